// Slow turns and largest intervals, against naive versions that remember everything; and whose fault turns
// are.
#include <algorithm>
#include <memory>
#include <vector>

#include "core/turn_watch.h"
#include "test/test.h"

namespace carom::test {
namespace {

// Without evidence, on times that are made up.
void slow_turns(Chance& chance) {
  constexpr uint64_t THRESHOLD_NS = 5000;
  TurnWatch watch(THRESHOLD_NS);
  std::vector<Interval> expected;
  uint64_t now_ns = chance.below(1000);
  uint64_t begin_ns = now_ns;
  uint64_t total_ns = 0;
  uint64_t longest_ns = 0;
  uint64_t allowed_ns = THRESHOLD_NS;
  watch.begin(now_ns);
  for (int i = 0; i < 500'000; i++) {
    if (chance.one_in(8)) {
      uint32_t frames = 1 + chance.below(3);
      watch.work(frames);
      allowed_ns += frames * TurnWatch::WORK_NS;
    }
    // The border itself, and its two neighbours, are common.
    uint64_t step =
        chance.one_in(8) ? allowed_ns - 1 + chance.below(3) : chance.below(chance.one_in(4) ? 60'000 : 300);
    uint64_t next_ns = now_ns + step;
    if (chance.one_in(16)) {
      watch.forget(next_ns);
      watch.turn(next_ns);
    } else {
      watch.pass(next_ns, static_cast<Place>(chance.below(3)));
      if (step > allowed_ns) {
        expected.push_back({now_ns, next_ns});
        total_ns += step;
        longest_ns = std::max(longest_ns, step);
      }
    }
    allowed_ns = THRESHOLD_NS;
    now_ns = next_ns;
  }
  expect_equal(watch.slow().count.get(), expected.size(), "slow turns");
  expect_equal(watch.slow().total_ns.get(), total_ns, "total");
  expect_equal(watch.slow().max_ns.get(), longest_ns, "longest");
  expect_equal(watch.slow(Cause::unexplained).count.get(), expected.size(), "of which nobody knows anything");
  expect_equal(watch.observed_ns(), now_ns - begin_ns, "observed");
  expect_equal(watch.first_ns(), begin_ns, "first");
  expect_equal(watch.threshold_ns(), THRESHOLD_NS, "threshold");
  size_t logged = std::min(expected.size(), TurnWatch::LOG_SIZE);
  expect_equal(watch.log().size(), logged, "logged");
  expect_equal(watch.causes().size(), logged, "causes");
  for (size_t i = 0; i < logged; i++) {
    expect_equal(watch.log()[i].start_ns, expected[i].start_ns, "start of a slow turn");
    expect_equal(watch.log()[i].end_ns, expected[i].end_ns, "end of a slow turn");
  }
}

void log_is_bounded(Chance&) {
  TurnWatch watch(10);
  watch.begin(0);
  for (uint64_t i = 1; i <= TurnWatch::LOG_SIZE + 100; i++) watch.turn(i * 11);
  expect_equal(watch.slow().count.get(), TurnWatch::LOG_SIZE + 100, "counted");
  expect_equal(watch.log().size(), TurnWatch::LOG_SIZE, "logged");
  expect_equal(watch.log().capacity(), TurnWatch::LOG_SIZE, "reserved at the start, and never again");
  expect_equal(watch.causes().capacity(), TurnWatch::LOG_SIZE, "as are the causes");
}

// Which evidence makes whom responsible.
void causes_of_turns(Chance&) {
  constexpr uint64_t US = 1000;
  struct Case {
    const char* what;
    Place place;
    Evidence evidence;  // length, off the CPU, asleep, {known, interrupts, in their handlers, a device's}
    Cause cause;
  };
  const Case CASES[] = {
      {"nothing was seen", Place::work, {20 * US, 0, 0, {true, 0, 0, false}}, Cause::carom},
      {"nothing was seen in a call", Place::call, {20 * US, 0, 0, {true, 0, 0, false}}, Cause::link},
      {"nothing was seen while idle", Place::idle, {20 * US, 0, 0, {true, 0, 0, false}}, Cause::unexplained},
      {"interrupts can't be seen", Place::work, {20 * US, 0, 0, {false, 0, 0, false}}, Cause::unexplained},
      {"nor in a call", Place::call, {20 * US, 0, 0, {false, 0, 0, false}}, Cause::unexplained},
      {"off the CPU", Place::work, {20 * US, 10 * US, 0, {true, 0, 0, false}}, Cause::machine},
      {"off the CPU, without interrupts to see", Place::work, {20 * US, 10 * US, 0, {}}, Cause::machine},
      {"a little off the CPU", Place::work, {20 * US, 9 * US, 0, {true, 0, 0, false}}, Cause::carom},
      {"preempted in a call", Place::call, {20 * US, 15 * US, 0, {true, 0, 0, false}}, Cause::machine},
      {"a call that slept",
       Place::call,
       {20 * US, 15 * US, 14 * US, {true, 0, 0, false}},
       Cause::unexplained},
      {"stopped elsewhere", Place::idle, {20 * US, 15 * US, 14 * US, {true, 0, 0, false}}, Cause::machine},
      {"in a handler", Place::work, {20 * US, 0, 0, {true, 1, 10 * US, false}}, Cause::machine},
      {"in a handler and off", Place::work, {20 * US, 4 * US, 0, {true, 1, 6 * US, false}}, Cause::machine},
      {"handlers that ran while it was off",
       Place::work,
       {200 * US, 90 * US, 0, {true, 1, 80 * US, false}},
       Cause::unexplained},
      {"an interrupt may explain it",
       Place::work,
       {20 * US, 0, 0, {true, 1, 7 * US, false}},
       Cause::unexplained},
      {"an interrupt while idle", Place::idle, {20 * US, 0, 0, {true, 1, 7 * US, false}}, Cause::machine},
      {"an interrupt can't explain it",
       Place::work,
       {1000 * US, 0, 0, {true, 1, 7 * US, false}},
       Cause::carom},
      {"nor that, in a call", Place::call, {1000 * US, 0, 0, {true, 2, 14 * US, false}}, Cause::link},
      {"nor that, while idle", Place::idle, {1000 * US, 0, 0, {true, 1, 7 * US, false}}, Cause::unexplained},
      {"a softirq behind it can",
       Place::work,
       {1000 * US, 0, 0, {true, 1, 7 * US, true}},
       Cause::unexplained},
      {"several may", Place::work, {150 * US, 0, 0, {true, 3, 21 * US, false}}, Cause::unexplained},
  };
  for (const Case& one : CASES) expect(TurnWatch::cause_of(one.evidence, one.place) == one.cause, one.what);
}

void delays(Chance&) {
  DelayCauses delay;
  delay.ahead(1000);
  expect(delay.cause(2000) == Cause::carom, "nobody else is known of");
  expect(delay.cause(2000, Cause::link) == Cause::link, "or who is said to have the rest");
  delay.add(Cause::link, 400);
  expect(delay.cause(2000) == Cause::carom, "a call that took less than the rest");
  expect(delay.cause(1700) == Cause::link, "most of it");
  delay.add(Cause::machine, 400);
  expect(delay.cause(2000) == Cause::machine, "as much of both");
  delay.add(Cause::unexplained, 500);
  expect(delay.cause(2000) == Cause::unexplained, "nobody knows of most of it");
  delay.add(Cause::carom, 700);
  expect(delay.cause(2000) == Cause::carom, "carom was slow itself");
  delay.ahead(3000);
  expect(delay.cause(4000) == Cause::carom, "what was before does not count");
}

void largest(Chance& chance) {
  for (size_t limit : {1u, 2u, 7u, 100u, 1000u}) {
    for (uint32_t offers : {0u, 1u, 99u, 20'000u}) {
      LargestIntervals kept(limit);
      std::vector<uint64_t> lengths;
      for (uint32_t i = 0; i < offers; i++) {
        uint64_t start_ns = chance.next() >> 8;
        uint64_t length_ns = chance.below(chance.one_in(2) ? 50 : 1'000'000);  // many alike
        kept.offer(start_ns, start_ns + length_ns);
        lengths.push_back(length_ns);
      }
      std::sort(lengths.rbegin(), lengths.rend());
      lengths.resize(std::min(limit, lengths.size()));
      std::vector<uint64_t> found;
      for (const Interval& interval : kept.intervals()) found.push_back(interval.end_ns - interval.start_ns);
      std::sort(found.rbegin(), found.rend());
      expect(found == lengths, "the longest ones, however many of them are alike");
      expect_equal(kept.intervals().capacity(), limit, "reserved at the start, and never again");
    }
  }
}

const Tests TESTS{
    {"turns: slow ones are counted and logged as by a naive watch", slow_turns},
    {"turns: the log is bounded, the count is not", log_is_bounded},
    {"turns: whose fault a slow one is", causes_of_turns},
    {"turns: why a tick is late", delays},
    {"turns: the largest intervals are those that sorting finds", largest},
};

}  // namespace
}  // namespace carom::test
