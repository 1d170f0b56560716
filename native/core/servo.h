// Keeps a schedule, which is planned on the TSC's timeline, at the pace of a clock of the kernel: readings of
// both go in, and out comes by how much the schedule is to be later from then on. That is slewed, never
// stepped. A clock that steps (one that is set) takes the schedule along, so that nothing is caught up.
//
// A loop of the second order, critically damped: what is left of the offset is taken off within some time
// constants, and the clock's gain on the timeline is learned, so that no offset stays at a constant gain.
// Gardner, Phaselock Techniques, 3rd edition, chapter 2.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

#include "core/clock.h"

namespace carom {

// By how much a schedule is later than it was planned, as a function of the timeline.
struct SlewLine {
  static constexpr uint64_t CORRECTS_NS = 50'000'000;

  uint64_t from_ns;
  double moved_ns;    // at from_ns
  double rate;        // ns per ns, from then on
  double later_rate;  // once no new line has come for CORRECTS_NS: without the correction of the offset

  double moved_at(uint64_t timeline_ns) const noexcept {
    double passed_ns = static_cast<double>(static_cast<int64_t>(timeline_ns - from_ns));
    double corrected_ns = std::min(passed_ns, static_cast<double>(CORRECTS_NS));
    return moved_ns + rate * corrected_ns + later_rate * (passed_ns - corrected_ns);
  }
};

class ClockServo {
 public:
  static constexpr double MAX_SLEW = 1e-3;     // the kernel slews its own clocks by half of that at the most
  static constexpr uint64_t STEP_NS = 20'000;  // a change of more than any slew, and this, is a step
  static constexpr uint64_t TRUST_NS = 100'000'000;  // after so long a reading in a wide bracket will do

  // `gain`: what the clock gains on the timeline, in ns per ns, as far as that is known. The schedule is true
  // to the clock at this moment.
  void begin(const ClockReading& reading, double gain) noexcept {
    gain_ = std::abs(gain) < MAX_SLEW ? gain : 0;
    anchor_ns_ = difference(reading);
    narrow_ns_ = reading.width_ns;
    last_ns_ = reading.timeline_ns;
    line_ = {reading.timeline_ns, 0, -gain_, -gain_};
  }

  // False: the bracket was too wide, or there was none, and the reading is not used.
  bool take(const ClockReading& reading) noexcept {
    if (reading.width_ns == UINT64_MAX) return false;
    uint64_t passed_ns = reading.timeline_ns - last_ns_;
    bool is_wide = reading.width_ns > 2 * narrow_ns_ + 20;
    if (is_wide && passed_ns < TRUST_NS && !resumes_) return false;
    narrow_ns_ = is_wide ? reading.width_ns : std::min(narrow_ns_, reading.width_ns);
    double seconds = static_cast<double>(passed_ns) / 1e9;
    double moved_ns = line_.moved_at(reading.timeline_ns);
    double error_ns = static_cast<double>(difference(reading) - anchor_ns_) + moved_ns;
    double change_ns = error_ns - (error_ns_ + gain_ * static_cast<double>(passed_ns) + moved_ns - moved_ns_);
    double explained_ns = MAX_SLEW * static_cast<double>(passed_ns) + static_cast<double>(reading.width_ns);
    if (resumes_ || std::abs(change_ns) > explained_ns + STEP_NS) {
      if (!resumes_) step(change_ns);
      anchor_ns_ += std::llround(change_ns);
      error_ns -= change_ns;
      resumes_ = false;
    }
    readings_++;
    error_ns_ = error_ns;
    moved_ns_ = moved_ns;
    error_max_ns_ = std::max(error_max_ns_, std::abs(error_ns));
    // Gains are those of the continuous loop, as far as the readings are close enough together for it.
    double learned = std::min(LOOP_HZ * LOOP_HZ * seconds, 0.5 / std::max(seconds, 1e-9));
    gain_ = limited(gain_ + error_ns / 1e9 * learned);
    double rate = limited(-gain_ - error_ns / static_cast<double>(SlewLine::CORRECTS_NS));
    last_ns_ = reading.timeline_ns;
    line_ = {reading.timeline_ns, moved_ns, rate, -gain_};
    return true;
  }

  // The schedule has been moved by a pause of so long, or the timeline has jumped (modulo 2^64): what the
  // clock did meanwhile counts for nothing.
  void resume(uint64_t passed_ns) noexcept {
    line_.from_ns += passed_ns;
    last_ns_ += passed_ns;
    resumes_ = true;
  }

  const SlewLine& line() const noexcept { return line_; }

  uint64_t readings() const noexcept { return readings_; }
  uint64_t steps() const noexcept { return steps_; }
  uint64_t stepped_ns() const noexcept { return stepped_ns_; }  // of all of them, forwards or back
  double error_ns() const noexcept { return error_ns_; }  // of the schedule: behind its clock, at the end
  double error_max_ns() const noexcept { return error_max_ns_; }

 private:
  // 1 / (2 * CORRECTS_NS): critical damping.
  static constexpr double LOOP_HZ = 0.5e9 / static_cast<double>(SlewLine::CORRECTS_NS);

  static int64_t difference(const ClockReading& reading) noexcept {
    return reading.clock_ns - static_cast<int64_t>(reading.timeline_ns);
  }
  static double limited(double rate) noexcept { return std::clamp(rate, -MAX_SLEW, MAX_SLEW); }

  void step(double change_ns) noexcept {
    steps_++;
    stepped_ns_ += static_cast<uint64_t>(std::llround(std::abs(change_ns)));
  }

  SlewLine line_{};
  double gain_ = 0;         // of the clock on the timeline, as learned
  int64_t anchor_ns_ = 0;   // from the timeline to the clock when the schedule was true to it
  uint64_t narrow_ns_ = 0;  // bracket that is usual
  uint64_t last_ns_ = 0;    // reading
  double moved_ns_ = 0;     // the schedule, at that reading
  double error_ns_ = 0;
  double error_max_ns_ = 0;
  uint64_t readings_ = 0;
  uint64_t steps_ = 0;
  uint64_t stepped_ns_ = 0;
  bool resumes_ = false;
};

}  // namespace carom
