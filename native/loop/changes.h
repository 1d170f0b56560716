// What is changed while a run goes on: asked for by the thread that controls it, taken up by the loop at its
// next turn, which notes when that was.
#pragma once

#include <cstdint>
#include <vector>

#include "core/seqlock.h"

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
    asked_.rate_millihertz = rate_millihertz;
    return ask();
  }
  bool ask_window(uint32_t window) noexcept {
    asked_.window = window;
    return ask();
  }

  // By the loop, once a turn.
  bool due() const noexcept { return wanted_.has_changed(taken_); }

  // By the loop, when something is due: 0 for what nobody has asked for.
  struct Wanted {
    uint64_t rate_millihertz;
    uint32_t window;
  };
  Wanted take() noexcept { return wanted_.read(taken_); }
  void note(const Made& made) noexcept {
    if (made_.size() < MOST) made_.push_back(made);
  }

  // Once the loop has ended.
  const std::vector<Made>& made() const noexcept { return made_; }

 private:
  bool ask() noexcept {
    if (count_ == MOST) return false;
    count_++;
    wanted_.write(asked_);
    return true;
  }

  Wanted asked_{};      // the controlling thread's, as count_
  uint32_t count_ = 0;  // of what was asked for
  Seqlock<Wanted> wanted_;
  uint64_t taken_ = wanted_.version();  // the loop's
  std::vector<Made> made_;
};

}  // namespace carom
