// Disciplines the schedule of a sending loop (core/servo.h) by a clock of the kernel. One thread of a run
// reads the clock now and then, when nothing is due soon; all of them go by what it has made of that.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <ctime>
#include <memory>

#include "core/clock.h"
#include "core/seqlock.h"
#include "core/servo.h"
#include "io/phc.h"

namespace carom {

// What became of it, for the report; once the loop has ended.
struct ScheduleRecord {
  uint64_t readings = 0;
  int64_t corrected_ns = 0;  // by how much the schedule was made later, from the first measured tick on
  double error_ns = 0;       // of the schedule against its clock: at the last reading, and the largest one
  double error_max_ns = 0;
};

// By thread 0 of a run for all others.
using SharedSlew = Seqlock<SlewLine>;

// Which clock that is.
struct ScheduleClock {
  static constexpr int NONE = -1;  // the TSC as it is: no clock of the kernel has this number

  int id = CLOCK_MONOTONIC;            // of clock_gettime(2)
  std::shared_ptr<Phc> phc = nullptr;  // that the number belongs to, where it is a device's
};

// How far a clock is from CLOCK_TAI, by which the kernel's qdisc for launch times goes; UINT64_MAX: it can't
// be read.
inline uint64_t off_tai_ns(int clock_id) noexcept {
  constexpr int TRIES = 64;
  ClockReading clock = Clock::get().read(clock_id, TRIES);
  ClockReading tai = Clock::get().read(CLOCK_TAI, TRIES);
  if (clock.width_ns == UINT64_MAX) return UINT64_MAX;
  return static_cast<uint64_t>(
      std::abs((clock.clock_ns - tai.clock_ns) - static_cast<int64_t>(clock.timeline_ns - tai.timeline_ns)));
}

class Discipline {
 public:
  // Reads the clock where `shared` is null or `leads`, and otherwise goes by `shared`.
  Discipline(const ScheduleClock& clock, SharedSlew* shared, bool leads) noexcept
      : kernel_clock_(clock.id), phc_(clock.phc), shared_(shared), leads_(shared == nullptr || leads) {}

  void begin() noexcept {
    if (kernel_clock_ == ScheduleClock::NONE) return;
    ClockReading reading = clock_.read(kernel_clock_, FIRST_TRIES);
    if (leads_) {
      servo_.begin(reading,
                   phc_ ? clock_.gain_since(phc_->first(), kernel_clock_) : clock_.gain_of(kernel_clock_));
      publish();
    }
    read_takes_ns_ = std::max(READ_TAKES_NS, (TRIES + 1) * reading.width_ns);
    applied_at_ns_ = reading.timeline_ns;
    read_due_ns_ = leads_ ? reading.timeline_ns + READ_EVERY_NS : UINT64_MAX;
    due_ns_ = reading.timeline_ns + MOVE_MIN_NS;
  }

  // When the loop has to call turn(); never before begin().
  uint64_t due_ns() const noexcept { return due_ns_; }

  // Returns by how much the schedule is to be later from now on, modulo 2^64. `next_ns` is when the next tick
  // is due: a reading of the clock waits until it does not delay one, but not for ever.
  [[gnu::noinline]] uint64_t turn(uint64_t now_ns, uint64_t next_ns) noexcept {
    bool is_idle = next_ns > now_ns && next_ns - now_ns > read_takes_ns_;
    if (now_ns >= read_due_ns_ && (is_idle || now_ns - read_due_ns_ > READ_AT_LEAST_NS)) {
      if (servo_.take(clock_.read(kernel_clock_, TRIES))) {
        publish();
        read_due_ns_ = now_ns + READ_EVERY_NS;
      } else {
        read_due_ns_ = now_ns + READ_AGAIN_NS;
      }
    }
    if (!leads_ && shared_->has_changed(version_)) line_ = shared_->read(version_);
    return apply(now_ns);
  }

  // After a pause, or a clock that went back (modulo 2^64), by which the schedule has moved already.
  void resume(uint64_t now_ns, uint64_t passed_ns) noexcept {
    if (due_ns_ == UINT64_MAX) return;
    if (leads_) {
      servo_.resume(passed_ns);
      publish();
      read_due_ns_ = now_ns;
    }
    applied_at_ns_ = now_ns;
    due_ns_ = now_ns + MOVE_MIN_NS;
  }

  int64_t applied_ns() const noexcept { return applied_ns_; }
  const ClockServo& servo() const noexcept { return servo_; }

 private:
  static constexpr int FIRST_TRIES = 64;
  static constexpr int TRIES = 3;
  static constexpr uint64_t READ_EVERY_NS = 5'000'000;
  static constexpr uint64_t READ_AGAIN_NS = 500'000;
  static constexpr uint64_t READ_AT_LEAST_NS = 20'000'000;
  static constexpr uint64_t READ_TAKES_NS = 1'000;  // at least; more where the kernel's clock is dear to read
  static constexpr uint64_t MOVE_MIN_NS = 20'000;   // a move is a few ns, so it comes often at a high slew
  static constexpr uint64_t MOVE_MAX_NS = 1'000'000;

  void publish() noexcept {
    line_ = servo_.line();
    if (shared_ != nullptr) shared_->write(line_);
  }

  // Never by more than the highest slew, whatever the line says, and in whole ns.
  uint64_t apply(uint64_t now_ns) noexcept {
    double most_ns = ClockServo::MAX_SLEW * static_cast<double>(now_ns - applied_at_ns_);
    double wanted_ns = line_.moved_at(now_ns) - static_cast<double>(applied_ns_);
    int64_t by_ns = std::llround(std::clamp(wanted_ns, -most_ns, most_ns));
    applied_ns_ += by_ns;
    applied_at_ns_ = now_ns;
    double next_ns = 1 / std::max(std::abs(line_.rate), 1e-9);  // for one more ns
    due_ns_ = now_ns + std::clamp(static_cast<uint64_t>(next_ns), MOVE_MIN_NS, MOVE_MAX_NS);
    return static_cast<uint64_t>(by_ns);
  }

  const Clock& clock_ = Clock::get();
  int kernel_clock_;
  std::shared_ptr<Phc> phc_;
  SharedSlew* shared_;  // null when there is one thread
  bool leads_;
  ClockServo servo_;
  SlewLine line_{};
  uint64_t version_ = 0;
  int64_t applied_ns_ = 0;  // by how much the schedule is later than it was planned
  uint64_t applied_at_ns_ = 0;
  uint64_t read_takes_ns_ = READ_TAKES_NS;
  uint64_t read_due_ns_ = UINT64_MAX;
  uint64_t due_ns_ = UINT64_MAX;  // without begin() nothing is ever due
};

}  // namespace carom
