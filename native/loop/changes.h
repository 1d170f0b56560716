// What is changed while a run goes on: asked for by the thread that controls it, taken up by the loop at its
// next turn, which notes when that was.
#pragma once

#include <atomic>
#include <cstdint>
#include <vector>

namespace carom {

class RunChanges {
 public:
  struct Made {
    bool window;     // otherwise the rate
    uint64_t at_ns;  // from then on
    uint64_t from;   // ticks in flight, or ticks a second times 1000
    uint64_t to;
  };
  static constexpr uint32_t MOST = 256;  // of one run

  RunChanges() { made_.reserve(MOST); }

  // By the controlling thread. False: there have been as many as can be noted.
  bool ask_rate(uint64_t rate_millihertz) noexcept {
    rate_millihertz_.store(rate_millihertz, std::memory_order_relaxed);
    return ask();
  }
  bool ask_window(uint32_t window) noexcept {
    window_.store(window, std::memory_order_relaxed);
    return ask();
  }

  // By the loop, once a turn.
  bool due() const noexcept { return asked_.load(std::memory_order_relaxed) != taken_; }

  // By the loop, when something is due: 0 for what nobody has asked for.
  struct Wanted {
    uint64_t rate_millihertz;
    uint32_t window;
  };
  Wanted take() noexcept {
    taken_ = asked_.load(std::memory_order_acquire);
    return {rate_millihertz_.load(std::memory_order_relaxed), window_.load(std::memory_order_relaxed)};
  }
  void note(const Made& made) noexcept {
    if (made_.size() < MOST) made_.push_back(made);
  }

  // Once the loop has ended.
  const std::vector<Made>& made() const noexcept { return made_; }

 private:
  bool ask() noexcept {
    uint32_t asked = asked_.load(std::memory_order_relaxed);
    if (asked == MOST) return false;
    asked_.store(asked + 1, std::memory_order_release);
    return true;
  }

  std::atomic<uint64_t> rate_millihertz_{0};
  std::atomic<uint32_t> window_{0};
  std::atomic<uint32_t> asked_{0};
  uint32_t taken_ = 0;
  std::vector<Made> made_;
};

}  // namespace carom
