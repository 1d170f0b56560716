// Feeds for tests, and what leaves by them.
#pragma once

#include <cmath>
#include <map>
#include <string>
#include <vector>

#include "generate/feed.h"
#include "test/loop_support.h"
#include "test/test.h"

namespace carom::test {

constexpr uint64_t START_NS = 1'000'000'000;
constexpr int64_t EPOCH_NS = 1'700'000'000'000'000'000;

inline LineConfig line_to(uint8_t last, Impairment impairment = {}) {
  LineConfig line{};
  memcpy(line.destination.mac, GROUP4_MAC, 6);
  memcpy(line.destination.address, GROUP4, 16);
  line.destination.address[3] = last;
  line.destination.port = TICK_PORT;
  line.impairment = impairment;
  return line;
}

inline StreamConfig stream_of(std::vector<LineConfig> lines, uint64_t seed = 7) {
  StreamConfig stream{};
  stream.schedule.arrival.kind = ArrivalConfig::Kind::poisson;
  stream.schedule.arrival.rate_millihertz = 100'000'000;
  stream.schedule.seed = seed;
  stream.ticks = {seed, 0.9, {"AAPL", "MSFT", "GOOG", "AMZN"}, 1000, 10000, false};
  stream.source_port = ORDER_PORT;
  stream.flows = 1;
  stream.lines = std::move(lines);
  return stream;
}

// What left, or was lost, and all that can be known of it.
struct Seen {
  Transmission transmission;
  std::vector<Tick> ticks;
  uint8_t answers;
  std::string frame;  // "" when it was lost
};

struct Run {
  std::vector<Seen> seen;
  std::vector<LineCounters> counters;
};

inline Run run(const std::vector<StreamConfig>& streams, size_t count,
               FeedConfig config = {10'000'000, 1e5, false}, size_t finish_at = SIZE_MAX, bool roomy = true) {
  Run result{{}, std::vector<LineCounters>(line_count(streams))};
  IoConfig io = io_config(false, false);
  Feed feed(streams, config, io.link, io.ttl, result.counters, nullptr);
  feed.start(START_NS, EPOCH_NS);
  uint64_t last_ns = 0;
  while (result.seen.size() < count && feed.planned_ns() != Feed::NONE_NS) {
    if (result.seen.size() == finish_at) feed.finish();
    if (feed.planned_ns() == Feed::NONE_NS) break;
    if (roomy) expect(feed.planned_ns() >= last_ns, "in the order of time");
    last_ns = feed.planned_ns();
    Transmission transmission = feed.take();
    Seen& seen = result.seen.emplace_back();
    seen.transmission = transmission;
    seen.answers = feed.answers(transmission);
    for (const FedTick& fed : feed.ticks(transmission)) seen.ticks.push_back(fed.tick);
    if (!transmission.lost) {
      std::vector<uint8_t> buffer(2048, 0xaa);
      uint32_t length = feed.write(transmission, buffer.data());
      seen.frame.assign(reinterpret_cast<char*>(buffer.data()), length);
    }
    feed.count(transmission);
    feed.release(transmission);
  }
  return result;
}

// The number of each tick, by its timestamp, which is unique.
inline std::map<uint64_t, uint32_t> numbers(const Run& run) {
  std::map<uint64_t, uint32_t> result;
  for (const Seen& seen : run.seen) {
    for (const Tick& tick : seen.ticks) result[tick.timestamp] = 0;
  }
  uint32_t number = 0;
  for (auto& [timestamp, at] : result) at = number++;
  return result;
}

// Within five standard deviations of what chance gives.
inline void expect_ratio(uint64_t count, uint64_t of, double ratio, const char* what) {
  double mean = static_cast<double>(of) * ratio;
  double deviation = std::sqrt(mean * (1 - ratio)) + 1;
  expect(std::abs(static_cast<double>(count) - mean) < 5 * deviation, what);
}

}  // namespace carom::test
