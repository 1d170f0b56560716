// Interference: a spinning loop knows when it was stopped, because a turn took far longer than a turn takes.
#pragma once

#include <cstdint>
#include <vector>

#include "core/counters.h"

namespace carom {

struct Interval {
  uint64_t start_ns;
  uint64_t end_ns;
};

class StallDetector {
 public:
  static constexpr uint64_t WORK_NS = 3000;    // a frame: a system call, and the far side's driver within it
  static constexpr size_t LOG_SIZE = 1 << 17;  // about four minutes at 500 stalls a second

  explicit StallDetector(uint64_t threshold_ns) : threshold_ns_(threshold_ns) { log_.reserve(LOG_SIZE); }

  void begin(uint64_t now_ns) noexcept { first_ns_ = last_ns_ = now_ns; }

  // Called once a turn, with the time just read.
  void turn(uint64_t now_ns) noexcept {
    if (now_ns - last_ns_ > threshold_ns_ + allowance_ns_) [[unlikely]]
      record(now_ns);
    last_ns_ = now_ns;
    allowance_ns_ = 0;
  }

  // One that was seen elsewhere.
  void note(Interval stall) noexcept {
    last_ns_ = stall.start_ns;
    record(stall.end_ns);
    last_ns_ = stall.end_ns;
  }

  // Frames are about to be received or sent: what that may rightly take is no stall.
  void work(uint64_t frames) noexcept { allowance_ns_ += frames * WORK_NS; }

  // Called before the loop does something that may rightly take long, and is no stall (start-up, a drain).
  void forget(uint64_t now_ns) noexcept { last_ns_ = now_ns; }

  // When the latest stall ended: what was planned before that was late for this reason.
  uint64_t last_end_ns() const noexcept { return last_end_ns_; }

  uint64_t count() const noexcept { return count_.get(); }
  uint64_t total_ns() const noexcept { return total_ns_.get(); }
  uint64_t max_ns() const noexcept { return max_ns_.get(); }
  uint64_t observed_ns() const noexcept { return last_ns_ - first_ns_; }
  uint64_t threshold_ns() const noexcept { return threshold_ns_; }
  const std::vector<Interval>& log() const noexcept { return log_; }  // once the loop has ended

 private:
  [[gnu::noinline]] void record(uint64_t now_ns) noexcept {
    uint64_t length_ns = now_ns - last_ns_;
    ++count_;
    total_ns_.add(length_ns);
    if (length_ns > max_ns_.get()) max_ns_.set(length_ns);
    if (log_.size() < LOG_SIZE) log_.push_back({last_ns_, now_ns});  // reserved: does not allocate
    last_end_ns_ = now_ns;
  }

  uint64_t threshold_ns_;
  uint64_t first_ns_ = 0;
  uint64_t last_ns_ = 0;
  uint64_t last_end_ns_ = 0;
  uint64_t allowance_ns_ = 0;
  Counter count_;
  Counter total_ns_;
  Counter max_ns_;
  std::vector<Interval> log_;
};

// The largest intervals seen, a fixed number of them, in a heap with the smallest on top.
class LargestIntervals {
 public:
  explicit LargestIntervals(size_t limit) : limit_(limit) { heap_.reserve(limit); }

  void offer(uint64_t start_ns, uint64_t end_ns) noexcept {
    if (heap_.size() == limit_ && end_ns - start_ns <= smallest_ns_) [[likely]]
      return;
    insert({start_ns, end_ns});
  }

  const std::vector<Interval>& intervals() const noexcept { return heap_; }

 private:
  [[gnu::noinline]] void insert(Interval interval) noexcept;

  size_t limit_;
  uint64_t smallest_ns_ = 0;
  std::vector<Interval> heap_;
};

}  // namespace carom
