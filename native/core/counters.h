// Counters: written by one thread, read by any. A write is a plain add; a read may be one packet old.
#pragma once

#include <atomic>
#include <cstdint>

namespace carom {

class Counter {
 public:
  void add(uint64_t amount) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) + amount, std::memory_order_relaxed);
  }
  void subtract(uint64_t amount) noexcept {
    value_.store(value_.load(std::memory_order_relaxed) - amount, std::memory_order_relaxed);
  }
  void set(uint64_t value) noexcept { value_.store(value, std::memory_order_relaxed); }
  uint64_t get() const noexcept { return value_.load(std::memory_order_relaxed); }
  Counter& operator++() noexcept {
    add(1);
    return *this;
  }

 private:
  std::atomic<uint64_t> value_{0};
};

}  // namespace carom
