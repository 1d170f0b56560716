// How a schedule is held: what is done about ticks that are late, and what the sender sees of it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "core/histogram.h"

namespace carom {

// A tick that is late goes as soon as possible and the schedule stays; or it is not sent; or the rest of the
// schedule moves by as much.
enum class LatePolicy : uint8_t { catch_up, skip, slip };

// Knows when the process did not run for long (a suspended machine, SIGSTOP), or the clock went backwards.
class PauseWatch {
 public:
  static constexpr uint64_t PAUSE_NS = 1'000'000'000;

  void begin(uint64_t now_ns) noexcept { last_ns_ = now_ns; }

  // Called once a turn: what passed since the last one where that was a pause, otherwise 0. Modulo 2^64: less
  // than nothing for a clock that went backwards.
  uint64_t turn(uint64_t now_ns) noexcept {
    uint64_t passed_ns = now_ns - last_ns_;
    last_ns_ = now_ns;
    return passed_ns > PAUSE_NS ? passed_ns : 0;
  }

  uint64_t last_ns() const noexcept { return last_ns_; }

 private:
  uint64_t last_ns_ = 0;
};

// What the sender sees of the ticks that it sent on a schedule. Memory is taken at start.
class PacingRecord {
 public:
  static constexpr size_t ENDS = 1000;  // errors kept of the first ticks, and of the last

  PacingRecord() : first_(ENDS), last_(ENDS) {}

  // `error_ns` after its time, in the order in which ticks are sent. The error of a gap is the difference of
  // two such errors: what lies between the sends, less what lies between the planned times.
  void sent(uint64_t error_ns) noexcept {
    if (count_ != 0) gap_errors_.record(std::max(error_ns, newest_ns_) - std::min(error_ns, newest_ns_));
    newest_ns_ = error_ns;
    if (count_ < ENDS) first_[count_] = error_ns;
    last_[at_] = error_ns;
    at_ = at_ + 1 == ENDS ? 0 : at_ + 1;
    count_++;
  }

  const Histogram& gap_errors() const noexcept { return gap_errors_; }

  // After the loop: of the first and of the last ticks, as many, and each tick in one of them at the most.
  std::vector<uint64_t> first() const {
    return {first_.begin(), first_.begin() + static_cast<ptrdiff_t>(kept())};
  }
  std::vector<uint64_t> last() const {
    std::vector<uint64_t> result;
    for (size_t back = kept(); back > 0; back--) result.push_back(last_[(at_ + ENDS - back) % ENDS]);
    return result;
  }

 private:
  size_t kept() const noexcept { return std::min<size_t>(ENDS, count_ / 2); }

  Histogram gap_errors_;
  uint64_t count_ = 0;
  uint64_t newest_ns_ = 0;
  size_t at_ = 0;
  std::vector<uint64_t> first_;
  std::vector<uint64_t> last_;  // a ring
};

}  // namespace carom
