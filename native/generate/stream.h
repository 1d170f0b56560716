// A stream of ticks: when they come, what is in them, how they are packed, and the lines that they go out on.
#pragma once

#include <cstdint>
#include <vector>

#include "frame/build.h"
#include "generate/schedule.h"
#include "generate/tick_source.h"

namespace carom {

// What is done to the datagrams of a line on purpose. Ratios are from 0 to 1.
struct Impairment {
  double loss = 0;
  double duplicate = 0;  // sent once more, right behind
  double reorder = 0;
  uint32_t reorder_by = 1;  // how many later ones overtake it
  uint64_t delay_ns = 0;
  uint64_t jitter_ns = 0;  // added to the delay, evenly from 0 to this; the order is kept
  double corrupt = 0;
  uint32_t corrupt_from = 0;  // bytes of the payload, both included
  uint32_t corrupt_to = 0;

  bool none() const noexcept {
    return loss == 0 && duplicate == 0 && reorder == 0 && corrupt == 0 && delay_ns == 0 && jitter_ns == 0;
  }
};

struct LineConfig {
  Endpoint destination;
  bool ipv6;
  int32_t vlan = -1;  // -1: untagged
  uint8_t dscp = 0;
  uint64_t skew_ns = 0;
  bool judged = true;  // the device under test listens to it
  Impairment impairment = {};
};

struct StreamConfig {
  ScheduleConfig schedule;  // open loop
  TickSourceConfig ticks;
  uint16_t source_port;
  uint32_t flows;               // source ports that the ticks come from, each symbol's from one of them
  uint32_t most = 1;            // ticks in a datagram
  uint64_t within_ns = 0;       // after the first of them
  std::vector<uint32_t> sizes;  // of the frames, without the FCS, in turn; empty: as long as the ticks need
  std::vector<LineConfig> lines;
};

// Whether every tick goes out alone, on one line, at its planned time, and nothing is done to it.
inline bool is_plain(const std::vector<StreamConfig>& streams) {
  const StreamConfig& first = streams.front();
  return streams.size() == 1 && first.most == 1 && first.lines.size() == 1 && first.lines[0].skew_ns == 0 &&
         first.lines[0].impairment.none();
}

inline size_t line_count(const std::vector<StreamConfig>& streams) {
  size_t count = 0;
  for (const StreamConfig& stream : streams) count += stream.lines.size();
  return count;
}

}  // namespace carom
