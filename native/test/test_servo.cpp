// A schedule that is disciplined by a clock: the servo on clocks that are made up, and the whole loop on
// those of the kernel.
#include "core/servo.h"

#include <functional>
#include <vector>

#include "loop/discipline.h"
#include "test/test.h"

namespace carom::test {
namespace {

constexpr double PPM = 1e-6;

// A clock that gains on the timeline as `gain` says, read in brackets of some width, and the schedule that
// goes by it.
struct Simulated {
  std::function<double(double seconds)> gain;  // ns per ns
  Chance& chance;
  double noise_ns = 20;
  uint64_t now_ns = 1'000'000'000;
  double clock_ns = 5e17;  // ahead of the timeline, that is
  ClockServo servo{};
  double worst_slew = 0;
  double worst_jump_ns = 0;

  ClockReading read() {
    double off_ns = (chance.below(2001) / 1000.0 - 1) * noise_ns;
    uint64_t width_ns = static_cast<uint64_t>(2 * noise_ns);
    return {now_ns, std::llround(offset_ns + off_ns) + static_cast<int64_t>(now_ns), width_ns};
  }
  double offset_ns = 0;  // the clock, ahead of the timeline

  void begin(double known) { servo.begin(read(), known); }

  // Returns how far the schedule is behind its clock at the end.
  double run(double seconds, uint64_t every_ns = 5'000'000) {
    for (uint64_t end_ns = now_ns + static_cast<uint64_t>(seconds * 1e9); now_ns < end_ns;) {
      double before_ns = servo.line().moved_at(now_ns + every_ns);
      double passed_s = static_cast<double>(now_ns - 1'000'000'000) / 1e9;
      now_ns += every_ns;
      offset_ns += gain(passed_s) * static_cast<double>(every_ns);
      servo.take(read());
      worst_jump_ns = std::max(worst_jump_ns, std::abs(servo.line().moved_at(now_ns) - before_ns));
      worst_slew = std::max(worst_slew, std::abs(servo.line().rate));
    }
    return error_ns();
  }
  // Against the offset it had at the beginning, and without what was stepped.
  double stepped_ns = 0;
  double error_ns() const { return offset_ns - stepped_ns + servo.line().moved_at(now_ns); }
};

Simulated simulated(Chance& chance, double gain) {
  return {[gain](double) { return gain; }, chance};
}

void converges(Chance& chance) {
  for (double gain : {0.0, 0.1, -0.7, 20.0, -500.0}) {
    for (double known : {0.0, 1.0}) {
      Simulated clock = simulated(chance, gain * PPM);
      clock.begin(gain * PPM * known);
      clock.run(2);
      double end_ns = clock.run(98);
      expect(std::abs(end_ns) < 20, "after 100 s the schedule is at its clock");
      expect(clock.worst_jump_ns < 0.01, "it never jumps");
      expect(clock.worst_slew <= ClockServo::MAX_SLEW, "nor is it slewed too much");
      expect_equal(clock.servo.steps(), 0, "no step");
      // What was not known is made good: within the time constants no more than this is lost.
      double unknown = std::abs(gain) * PPM * (1 - known);
      expect(clock.servo.error_max_ns() < 1e8 * unknown + 3 * clock.noise_ns, "never far off");
    }
  }
}

// Whoever disciplines the system's clock changes its rate; readings may be rare, and in wide brackets.
void follows(Chance& chance) {
  Simulated clock{[](double seconds) { return (seconds < 10 ? 0 : seconds < 20 ? 50 : -30) * PPM; }, chance};
  clock.begin(0);
  expect(std::abs(clock.run(15)) < 30, "at a new rate");
  expect(std::abs(clock.run(15)) < 30, "and at another");
  for (uint64_t every_ns : {20'000'000u, 100'000'000u, 1'000'000'000u}) {
    Simulated rare = simulated(chance, 30 * PPM);
    rare.begin(0);
    expect(std::abs(rare.run(60, every_ns)) < 100, "with rare readings");
    expect_equal(rare.servo.steps(), 0, "without a step");
  }
  Simulated wide = simulated(chance, PPM);
  wide.begin(PPM);
  uint64_t before = wide.servo.readings();
  ClockReading reading = wide.read();
  reading.timeline_ns += 5'000'000;
  reading.width_ns = 5000;
  expect(!wide.servo.take(reading), "a wide bracket is not used");
  expect_equal(wide.servo.readings(), before, "nor counted");
  reading.timeline_ns += ClockServo::TRUST_NS;
  reading.clock_ns += 5'000'000 + ClockServo::TRUST_NS;
  expect(wide.servo.take(reading), "but when there has been no other for long");
}

// One that is set: the schedule goes on as if nothing had been, and it is counted.
void steps(Chance& chance) {
  for (double step_ns : {1e9, -1e9, 37e9, 40e3, -40e3}) {
    Simulated clock = simulated(chance, 3 * PPM);
    clock.begin(3 * PPM);
    clock.run(5);
    clock.offset_ns += step_ns;
    clock.stepped_ns = step_ns;
    double moved_ns = clock.servo.line().moved_at(clock.now_ns);
    clock.run(0.05);
    expect(std::abs(clock.servo.line().moved_at(clock.now_ns) - moved_ns) < 200, "nothing is caught up");
    expect(std::abs(clock.run(5)) < 100, "and it goes on by the clock");
    expect_equal(clock.servo.steps(), 1, "a step");
    double counted_ns = static_cast<double>(clock.servo.stepped_ns());
    expect(std::abs(counted_ns - std::abs(step_ns)) < 100, "and how long it was");
    expect(clock.worst_jump_ns < 0.01, "the schedule never jumps");
  }
  Simulated slewed = simulated(chance, 0);
  slewed.begin(0);
  slewed.run(1);
  slewed.offset_ns += 10e3;
  slewed.run(0.02);
  expect(slewed.worst_slew > 50 * PPM, "what is too little for a step is made good");
  expect(std::abs(slewed.run(5)) < 30, "all of it");
  expect_equal(slewed.servo.steps(), 0, "as a slew");
}

// A pause moves the schedule: neither the time nor what the clock did in it is made good.
void pauses(Chance& chance) {
  for (uint64_t paused_ns :
       {uint64_t{1'200'000'000}, uint64_t{86'400'000'000'000}, uint64_t(-3'000'000'000)}) {
    Simulated clock = simulated(chance, 2 * PPM);
    clock.begin(2 * PPM);
    clock.run(3);
    double before_ns = clock.error_ns();
    double moved_ns = clock.servo.line().moved_at(clock.now_ns);
    double meanwhile_ns = 1e6;
    clock.now_ns += paused_ns;
    clock.offset_ns += meanwhile_ns;
    clock.stepped_ns = meanwhile_ns;
    clock.servo.resume(paused_ns);
    expect(std::abs(clock.servo.line().moved_at(clock.now_ns) - moved_ns) < 1, "what was moved stays so");
    expect(std::abs(clock.run(5) - before_ns) < 100, "it goes on as before");
    expect_equal(clock.servo.steps(), 0, "and no clock was set");
  }
}

// All threads of a run are at the same place, whoever looks when.
void together(Chance&) {
  const Clock& clock = Clock::get();
  SharedSlew shared;
  Discipline first({CLOCK_MONOTONIC_RAW}, &shared, true);
  Discipline second({CLOCK_MONOTONIC_RAW}, &shared, false);
  expect_equal(first.due_ns(), UINT64_MAX, "before the beginning nothing is due");
  first.begin();
  second.begin();
  int64_t moved_ns = 0;
  while (first.servo().readings() < 3) {
    uint64_t now_ns = clock.now_ns();
    if (now_ns >= second.due_ns()) second.turn(now_ns, 0);
    if (now_ns >= first.due_ns()) moved_ns += static_cast<int64_t>(first.turn(now_ns, UINT64_MAX));
  }
  uint64_t now_ns = clock.now_ns();
  moved_ns += static_cast<int64_t>(first.turn(now_ns, 0));
  second.turn(now_ns, 0);
  expect_equal(first.applied_ns(), moved_ns, "what was told is what was moved");
  expect(std::abs(second.applied_ns() - first.applied_ns()) <= 1, "by both, to the last ns");
  expect_equal(second.servo().readings(), 0, "for the other, too");
}

const Tests TESTS{
    {"servo: a schedule comes to the pace of its clock", converges},
    {"servo: it follows a clock that is slewed", follows},
    {"servo: a clock that is set takes the schedule along", steps},
    {"servo: what a clock did in a pause is not made good", pauses},
    {"servo: threads go by one correction", together},
};

}  // namespace
}  // namespace carom::test
