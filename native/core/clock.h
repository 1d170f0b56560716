// Time: the TSC, as ns on one timeline for all threads, which begins when the addon is loaded.
#pragma once

#include <x86intrin.h>

#include <cstdint>

namespace carom {

struct ClockInfo {
  double frequency_hz;
  double resolution_ns;
  double read_cost_ns;
  double error_ppm;  // what the width of the calibration's brackets allows
};

class Clock {
 public:
  // The process's clock, calibrated against CLOCK_MONOTONIC_RAW on first use (50 ms after load at the
  // earliest).
  static const Clock& get();

  // ns on the timeline. rdtsc is not serialising: it may be taken some instructions early, a few ns at most.
  uint64_t now_ns() const noexcept { return to_ns(__rdtsc()); }

  uint64_t to_ns(uint64_t tsc) const noexcept {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(tsc - base_tsc_) * multiplier_) >> 32);
  }

  // What to add to the timeline to get ns since the epoch, by a clock of the kernel (CLOCK_REALTIME,
  // CLOCK_TAI).
  int64_t offset_to(int kernel_clock) const noexcept;

  const ClockInfo& info() const noexcept { return info_; }

 private:
  Clock();

  uint64_t base_tsc_;
  uint64_t multiplier_;  // ns a tick, times 2^32
  ClockInfo info_;
};

}  // namespace carom
