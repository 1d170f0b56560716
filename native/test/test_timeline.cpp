// When frames of a capture are planned: to the ns, whatever the speed, and however long it goes on.
#include <vector>

#include "capture/timeline.h"
#include "test/test.h"

namespace carom::test {
namespace {

using Kind = TimelineConfig::Kind;

std::vector<uint64_t> plan(const TimelineConfig& config, const std::vector<uint64_t>& times, int passes = 1) {
  Timeline timeline(config);
  std::vector<uint64_t> offsets;
  for (int pass = 0; pass < passes; pass++) {
    if (pass != 0) expect(timeline.next_pass(), "another pass");
    for (uint64_t time_ns : times) {
      uint64_t offset_ns = 0;
      expect(timeline.place(time_ns, offset_ns), "placed");
      offsets.push_back(offset_ns);
    }
  }
  return offsets;
}

void expect_plan(const TimelineConfig& config, const std::vector<uint64_t>& times,
                 const std::vector<uint64_t>& wanted, int passes = 1) {
  std::vector<uint64_t> offsets = plan(config, times, passes);
  expect_equal(offsets.size(), wanted.size(), "frames");
  for (size_t i = 0; i < wanted.size(); i++) expect_equal(offsets[i], wanted[i], "offset");
}

const std::vector<uint64_t> TIMES{1'700'000'000'000'000'001, 1'700'000'000'000'000'004,
                                  1'700'000'000'000'000'004, 1'700'000'000'000'100'001};

void captured(Chance&) {
  expect_plan({}, TIMES, {0, 3, 3, 100'000});
  TimelineConfig config;
  config.speed_millionths = 500'000;
  expect_plan(config, TIMES, {0, 6, 6, 200'000});
  config.speed_millionths = 8'000'000;
  expect_plan(config, TIMES, {0, 0, 0, 12'500});
}

// Beside 128-bit arithmetic of the whole time: nothing adds up.
void exact(Chance& chance) {
  for (uint64_t speed : {3'000'000ull, 333'333ull, 7'000'001ull, 1ull << 20}) {
    TimelineConfig config;
    config.speed_millionths = speed;
    Timeline timeline(config);
    uint64_t first_ns = 1'600'000'000'000'000'000 + chance.below(1000);
    uint64_t time_ns = first_ns;
    for (int i = 0; i < 100'000; i++) {
      uint64_t offset_ns = 0;
      expect(timeline.place(time_ns, offset_ns), "placed");
      auto wanted = static_cast<unsigned __int128>(time_ns - first_ns) * 1'000'000 / speed;
      expect_equal(offset_ns, static_cast<uint64_t>(wanted), "offset");
      time_ns += chance.any_size() >> 30;
    }
  }
}

void even(Chance&) {
  TimelineConfig config;
  config.kind = Kind::gap;
  config.gap_ns = 1000;
  expect_plan(config, TIMES, {0, 1000, 2000, 3000, 4000, 5000, 6000, 7000}, 2);
  config.kind = Kind::rate;
  config.rate_millihertz = 3'000'000;
  std::vector<uint64_t> offsets = plan(config, TIMES, 1000);
  for (size_t i = 0; i < offsets.size(); i++)
    expect_equal(offsets[i], i * 1'000'000 / 3, "a rate does not drift, nor at a seam");
  config.kind = Kind::fast;
  expect_plan(config, TIMES, {0, 0, 0, 0});
}

void seams(Chance&) {
  // The mean gap of 0, 10, 50, 100 is 33.3.
  const std::vector<uint64_t> times{1000, 1010, 1050, 1100};
  expect_plan({}, times, {0, 10, 50, 100, 133, 143, 183, 233, 266, 276, 316, 366}, 3);
  TimelineConfig config;
  config.loop_gap_ns = 7;
  expect_plan(config, times, {0, 10, 50, 100, 107, 117, 157, 207}, 2);
  config.speed_millionths = 10'000'000;
  expect_plan(config, times, {0, 1, 5, 10, 17, 18, 22, 27}, 2);
  config.kind = Kind::gap;
  config.gap_ns = 100;
  expect_plan(config, {1, 2}, {0, 100, 107, 207, 214, 314}, 3);
  Timeline alone({});
  uint64_t offset_ns = 0;
  expect(alone.place(5, offset_ns) && !alone.next_pass(), "one frame has no gap");
}

void gaps(Chance&) {
  TimelineConfig config;
  config.max_gap_ns = 1000;
  Timeline refusing(config);
  uint64_t offset_ns = 0;
  expect(refusing.place(0, offset_ns) && refusing.place(1000, offset_ns), "as long as allowed");
  expect(!refusing.place(2001, offset_ns), "longer");
  config.cuts_gaps = true;
  expect_plan(config, {0, 1000, 2001, 2002, 9'000'000'000, 9'000'000'001}, {0, 1000, 2000, 2001, 3001, 3002});
  config.cuts_gaps = false;
  config.kind = Kind::gap;
  config.gap_ns = 5;
  expect_plan(config, {0, 9'000'000'000},
              {0, 5});  // the capture does not say when: none of its gaps is too long
}

// Two bursts of three, 1 ms apart, and one frame.
void bursts(Chance&) {
  const std::vector<uint64_t> times{0, 10, 20, 1'000'000, 1'000'030, 1'000'060, 2'000'000};
  TimelineConfig config;
  config.keeps_bursts = true;
  TimelineConfig fast =
      config;  // a burst that takes longer than the rate gives it: the next pass waits for its end
  fast.kind = Kind::rate;
  fast.rate_millihertz = 1'000'000'000;
  expect_plan(fast, {0, 50'000, 100'000}, {0, 50'000, 100'000, 100'000, 150'000, 200'000}, 2);
  config.burst_gap_ns = 100;
  config.speed_millionths = 2'000'000;
  expect_plan(config, times, {0, 10, 20, 500'000, 500'030, 500'060, 1'000'000});
  config.speed_millionths = 500'000;
  expect_plan(config, times, {0, 10, 20, 2'000'000, 2'000'030, 2'000'060, 4'000'000});
  config.kind = Kind::rate;
  config.rate_millihertz = 1'000'000;  // a burst of three takes three times 1 ms
  expect_plan(config, times, {0, 10, 20, 3'000'000, 3'000'030, 3'000'060, 6'000'000});
  // Faster than the bursts are: one follows the other at once, and it is told.
  config.kind = Kind::captured;
  config.speed_millionths = 1'000'000'000'000;
  Timeline crowded(config);
  uint64_t offset_ns = 0;
  std::vector<uint64_t> offsets;
  for (uint64_t time_ns : times) {
    expect(crowded.place(time_ns, offset_ns), "placed");
    offsets.push_back(offset_ns);
  }
  expect(offsets == std::vector<uint64_t>{0, 10, 20, 20, 50, 80, 80}, "one burst after the other");
  expect_equal(crowded.crowded(), 2, "crowded");
}

const Tests TESTS{
    {"timeline: as captured, and at another speed", captured},
    {"timeline: exact however long", exact},
    {"timeline: even gaps and rates", even},
    {"timeline: seams between passes", seams},
    {"timeline: gaps that are too long", gaps},
    {"timeline: bursts are kept", bursts},
};

}  // namespace
}  // namespace carom::test
