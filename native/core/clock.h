// Time: the TSC, as ns on one timeline for all threads, which begins when the addon is loaded.
#pragma once

#include <x86intrin.h>

#include <array>
#include <cstdint>
#include <ctime>
#include <string_view>

namespace carom {

// A clock of the kernel by which a schedule can go.
struct KernelClock {
  std::string_view name;
  int id;          // of clock_gettime(2)
  bool in_kernel;  // eBPF programs can go by it
};

// MONOTONIC is slewed by whoever disciplines the system's clock; RAW is not; TAI is slewed alike, and set.
inline constexpr std::array KERNEL_CLOCKS{KernelClock{"monotonic", CLOCK_MONOTONIC, true},
                                          KernelClock{"raw", CLOCK_MONOTONIC_RAW, false},
                                          KernelClock{"tai", CLOCK_TAI, true}};

// The TSC's timeline and a clock of the kernel at one moment.
struct ClockReading {
  uint64_t timeline_ns;
  int64_t clock_ns;
  // Of the bracket: the two are not further apart than half of this. UINT64_MAX: the clock could not be read.
  uint64_t width_ns;
};

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

  // The narrowest bracket of several tries: an interrupt within one would make it wide, and wrong.
  ClockReading read(int kernel_clock, int tries) const noexcept;

  // What a clock of KERNEL_CLOCKS has gained on the timeline since the addon was loaded, in ns per ns.
  double gain_of(int kernel_clock) const noexcept;

  // The same of any clock, since it was read.
  double gain_since(const ClockReading& then, int clock) const noexcept;

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
