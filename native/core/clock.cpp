#include "core/clock.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <ctime>

namespace carom {
namespace {

constexpr uint64_t CALIBRATION_NS = 50'000'000;
constexpr uint64_t GAIN_AFTER_NS = 10'000'000;  // sooner, the readings' brackets would be most of it

// A reading of a kernel clock between two of the TSC.
struct Sample {
  uint64_t tsc;    // in the middle of the two
  uint64_t width;  // between the two
  int64_t ns;
};

constexpr int64_t NO_TIME = INT64_MIN;  // a device's clock may be gone

int64_t read_ns(int kernel_clock) {
  timespec time{};
  if (clock_gettime(kernel_clock, &time) != 0) return NO_TIME;
  return time.tv_sec * 1'000'000'000LL + time.tv_nsec;
}

// The narrowest of several: an interrupt between the two readings would make one wide, and wrong.
Sample narrowest(int kernel_clock, int tries) {
  Sample best{0, UINT64_MAX, 0};
  for (int i = 0; i < tries; i++) {
    uint64_t before = __rdtsc();
    int64_t ns = read_ns(kernel_clock);
    uint64_t after = __rdtsc();
    if (ns != NO_TIME && after - before < best.width)
      best = {before + (after - before) / 2, after - before, ns};
  }
  return best;
}

const std::array LOADED_SAMPLES = [] {
  std::array<Sample, KERNEL_CLOCKS.size()> samples{};
  for (size_t i = 0; i < samples.size(); i++) samples[i] = narrowest(KERNEL_CLOCKS[i].id, 64);
  return samples;
}();

// Of the clock when the addon was loaded.
const Sample& loaded(int kernel_clock) {
  size_t at = 0;
  while (at + 1 < KERNEL_CLOCKS.size() && KERNEL_CLOCKS[at].id != kernel_clock) at++;
  return LOADED_SAMPLES[at];
}

double median_read_cost_ticks() {
  std::array<uint64_t, 1001> gaps{};
  uint64_t last = __rdtsc();
  for (auto& gap : gaps) {
    uint64_t now = __rdtsc();
    gap = now - last;
    last = now;
  }
  std::nth_element(gaps.begin(), gaps.begin() + gaps.size() / 2, gaps.end());
  return static_cast<double>(gaps[gaps.size() / 2]);
}

}  // namespace

const Clock& Clock::get() {
  static const Clock clock;
  return clock;
}

Clock::Clock() {
  const Sample& begin = loaded(CLOCK_MONOTONIC_RAW);
  while (read_ns(CLOCK_MONOTONIC_RAW) - begin.ns < static_cast<int64_t>(CALIBRATION_NS)) {
    timespec pause{0, 1'000'000};
    nanosleep(&pause, nullptr);
  }
  Sample end = narrowest(CLOCK_MONOTONIC_RAW, 64);
  double elapsed_ns = static_cast<double>(end.ns - begin.ns);
  double ticks = static_cast<double>(end.tsc - begin.tsc);
  double ns_per_tick = elapsed_ns / ticks;
  base_tsc_ = begin.tsc;
  multiplier_ = static_cast<uint64_t>(std::llround(ns_per_tick * 4294967296.0));
  info_.frequency_hz = 1e9 / ns_per_tick;
  info_.resolution_ns = ns_per_tick;
  info_.read_cost_ns = median_read_cost_ticks() * ns_per_tick;
  info_.error_ppm = static_cast<double>(begin.width + end.width) / 2 / ticks * 1e6;
}

int64_t Clock::offset_to(int kernel_clock) const noexcept {
  ClockReading reading = read(kernel_clock, 3);
  return reading.clock_ns - static_cast<int64_t>(reading.timeline_ns);
}

ClockReading Clock::read(int kernel_clock, int tries) const noexcept {
  Sample sample = narrowest(kernel_clock, tries);
  if (sample.width == UINT64_MAX) return {to_ns(__rdtsc()), 0, UINT64_MAX};
  return {to_ns(sample.tsc), sample.ns, to_ns(base_tsc_ + sample.width)};
}

double Clock::gain_of(int kernel_clock) const noexcept {
  const Sample& then = loaded(kernel_clock);
  Sample now = narrowest(kernel_clock, 16);
  int64_t timeline_ns = static_cast<int64_t>(to_ns(base_tsc_ + (now.tsc - then.tsc)));
  return static_cast<double>(now.ns - then.ns - timeline_ns) / static_cast<double>(timeline_ns);
}

double Clock::gain_since(const ClockReading& then, int clock) const noexcept {
  ClockReading now = read(clock, 16);
  if (now.width_ns == UINT64_MAX || now.timeline_ns - then.timeline_ns < GAIN_AFTER_NS) return 0;
  auto timeline_ns = static_cast<int64_t>(now.timeline_ns - then.timeline_ns);
  return static_cast<double>(now.clock_ns - then.clock_ns - timeline_ns) / static_cast<double>(timeline_ns);
}

}  // namespace carom
