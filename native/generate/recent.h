// Orders and ticks that were not as expected, for who looks while the run goes on: a queue between the loop
// and the thread that controls it. When it is full, what comes is left out, so that a flood of them costs the
// loop little.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <vector>

namespace carom {

template <class Item>
class Recent {
 public:
  static constexpr uint64_t CAPACITY = 64;  // a power of two

  // By the loop. `fill` makes the item in its place.
  template <class Fill>
  void add(Fill fill) noexcept {
    uint64_t head = head_.load(std::memory_order_relaxed);
    if (head - tail_.load(std::memory_order_acquire) == CAPACITY) return;
    fill(items_[head % CAPACITY]);
    head_.store(head + 1, std::memory_order_release);
  }

  // By the controlling thread: takes out what is there, oldest first.
  std::vector<Item> take() {
    uint64_t head = head_.load(std::memory_order_acquire);
    std::vector<Item> taken;
    for (uint64_t at = tail_.load(std::memory_order_relaxed); at != head; at++)
      taken.push_back(items_[at % CAPACITY]);
    tail_.store(head, std::memory_order_release);
    return taken;
  }

 private:
  std::array<Item, CAPACITY> items_{};
  std::atomic<uint64_t> head_{0};
  std::atomic<uint64_t> tail_{0};
};

}  // namespace carom
