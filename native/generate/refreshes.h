// When a user interface is drawn while a run goes on, that takes a core's time: which round trips it may have
// made longer. It is told by the thread that draws; the loop asks once for each round trip.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "core/histogram.h"

namespace carom {

class Refreshes {
 public:
  // By the thread that draws, in turn.
  void begin(uint64_t now_ns) noexcept {
    begin_ns_ = now_ns;
    end_ns_.store(UINT64_MAX, std::memory_order_relaxed);
  }
  void end(uint64_t now_ns) noexcept {
    if (end_ns_.load(std::memory_order_relaxed) != UINT64_MAX) return;
    end_ns_.store(now_ns, std::memory_order_relaxed);
    uint64_t length_ns = now_ns - begin_ns_;
    count_++;
    total_ns_ += length_ns;
    longest_ns_ = std::max(longest_ns_, length_ns);
  }

  // By the loop: a round trip that has come back now.
  void record(uint64_t sent_ns, uint64_t round_trip_ns) noexcept {
    if (end_ns_.load(std::memory_order_relaxed) > sent_ns) [[unlikely]]
      overlapping_.record(round_trip_ns);
  }

  // Once the loop has ended.
  uint64_t count() const noexcept { return count_; }
  uint64_t total_ns() const noexcept { return total_ns_; }
  uint64_t longest_ns() const noexcept { return longest_ns_; }
  const Histogram& overlapping() const noexcept { return overlapping_; }

 private:
  std::atomic<uint64_t> end_ns_{0};  // of the last one; the highest there is while one goes on
  uint64_t begin_ns_ = 0;
  uint64_t count_ = 0;
  uint64_t total_ns_ = 0;
  uint64_t longest_ns_ = 0;
  Histogram overlapping_;  // round trips
};

}  // namespace carom
