// Stalls and largest intervals, against naive versions that remember everything.
#include <algorithm>
#include <memory>
#include <vector>

#include "core/stall.h"
#include "test/test.h"

namespace carom::test {
namespace {

void stalls(Chance& chance) {
  constexpr uint64_t THRESHOLD_NS = 5000;
  StallDetector detector(THRESHOLD_NS);
  std::vector<Interval> expected;
  uint64_t now_ns = chance.below(1000);
  uint64_t begin_ns = now_ns;
  uint64_t total_ns = 0;
  uint64_t longest_ns = 0;
  uint64_t last_end_ns = 0;
  uint64_t allowed_ns = THRESHOLD_NS;
  detector.begin(now_ns);
  for (int i = 0; i < 500'000; i++) {
    if (chance.one_in(8)) {
      uint32_t frames = 1 + chance.below(3);
      detector.work(frames);
      allowed_ns += frames * StallDetector::WORK_NS;
    }
    // The border itself, and its two neighbours, are common.
    uint64_t step =
        chance.one_in(8) ? allowed_ns - 1 + chance.below(3) : chance.below(chance.one_in(4) ? 60'000 : 300);
    uint64_t next_ns = now_ns + step;
    if (chance.one_in(16)) {
      detector.forget(next_ns);
    } else {
      detector.turn(next_ns);
      if (step > allowed_ns) {
        expected.push_back({now_ns, next_ns});
        total_ns += step;
        longest_ns = std::max(longest_ns, step);
        last_end_ns = next_ns;
      }
      allowed_ns = THRESHOLD_NS;
    }
    now_ns = next_ns;
    expect_equal(detector.last_end_ns(), last_end_ns, "end of the latest stall");
  }
  expect_equal(detector.count(), expected.size(), "stalls");
  expect_equal(detector.total_ns(), total_ns, "total");
  expect_equal(detector.max_ns(), longest_ns, "longest");
  expect_equal(detector.observed_ns(), now_ns - begin_ns, "observed");
  expect_equal(detector.threshold_ns(), THRESHOLD_NS, "threshold");
  size_t logged = std::min(expected.size(), StallDetector::LOG_SIZE);
  expect_equal(detector.log().size(), logged, "logged");
  for (size_t i = 0; i < logged; i++) {
    expect_equal(detector.log()[i].start_ns, expected[i].start_ns, "start of a stall");
    expect_equal(detector.log()[i].end_ns, expected[i].end_ns, "end of a stall");
  }
}

void log_is_bounded(Chance&) {
  StallDetector detector(10);
  detector.begin(0);
  for (uint64_t i = 1; i <= StallDetector::LOG_SIZE + 100; i++) detector.turn(i * 11);
  expect_equal(detector.count(), StallDetector::LOG_SIZE + 100, "counted");
  expect_equal(detector.log().size(), StallDetector::LOG_SIZE, "logged");
  expect_equal(detector.log().capacity(), StallDetector::LOG_SIZE, "reserved at the start, and never again");
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
    {"stalls: counted and logged as by a naive detector", stalls},
    {"stalls: the log is bounded, the count is not", log_is_bounded},
    {"stalls: the largest intervals are those that sorting finds", largest},
};

}  // namespace
}  // namespace carom::test
