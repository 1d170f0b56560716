// Arrival processes for tests, and their times.
#pragma once

#include <utility>
#include <vector>

#include "generate/arrival.h"
#include "test/test.h"

namespace carom::test {

using Kind = ArrivalConfig::Kind;
constexpr double SIGMAS = 5;

inline ArrivalConfig process(Kind kind, uint64_t rate_millihertz = 1000) {
  ArrivalConfig config;
  config.kind = kind;
  config.rate_millihertz = rate_millihertz;
  return config;
}

inline ArrivalConfig bursts(uint64_t count, uint64_t every_ns, uint64_t gap_ns) {
  ArrivalConfig config = process(Kind::bursts);
  config.count = count;
  config.every_ns = every_ns;
  config.gap_ns = gap_ns;
  return config;
}

inline ArrivalConfig microbursts(double size, uint64_t every_ns, uint64_t gap_ns) {
  ArrivalConfig config = bursts(1, every_ns, gap_ns);
  config.kind = Kind::microbursts;
  config.size = size;
  return config;
}

inline ArrivalConfig hawkes(uint64_t rate_millihertz, double branching, uint64_t decay_ns) {
  ArrivalConfig config = process(Kind::hawkes, rate_millihertz);
  config.branching = branching;
  config.decay_ns = decay_ns;
  return config;
}

inline ArrivalConfig curve(std::vector<CurvePoint> points, bool poisson = false) {
  ArrivalConfig config = process(Kind::curve);
  config.points = std::move(points);
  config.poisson = poisson;
  return config;
}

inline ArrivalConfig sum(std::vector<ArrivalConfig> parts) {
  ArrivalConfig config = process(Kind::sum);
  config.parts = std::move(parts);
  return config;
}

// One of each kind.
inline std::vector<ArrivalConfig> each_kind() {
  ArrivalConfig shape = curve({{0, 5'000'000}, {1'000'000, 0}, {3'000'000, 90'000'000}, {10'000'000, 0}});
  ArrivalConfig chance = shape;
  chance.poisson = true;
  std::vector<ArrivalConfig> all = {process(Kind::constant, 123'456'789),
                                    process(Kind::poisson, 50'000'000),
                                    bursts(7, 1'000'000, 1000),
                                    microbursts(20, 500'000, 700),
                                    hawkes(10'000'000, 0.8, 50'000),
                                    shape,
                                    chance};
  all.push_back(sum(all));
  return all;
}

inline std::vector<uint64_t> times_of(const ScheduleConfig& config, size_t count) {
  auto arrival = make_arrival(config);
  std::vector<uint64_t> times(count);
  for (uint64_t& time : times) time = arrival->next_ns();
  return times;
}

}  // namespace carom::test
