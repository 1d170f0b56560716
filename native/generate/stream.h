// A stream of ticks: when they come, what is in them, and the lines that they go out on.
#pragma once

#include <cstdint>
#include <vector>

#include "frame/build.h"
#include "generate/schedule.h"
#include "generate/tick_source.h"

namespace carom {

struct LineConfig {
  Endpoint destination;
  bool ipv6;
  int32_t vlan;  // -1: untagged
};

struct StreamConfig {
  ScheduleConfig schedule;  // open loop
  TickSourceConfig ticks;
  uint16_t source_port;
  uint32_t flows;  // source ports that the ticks come from, each symbol's from one of them
  std::vector<LineConfig> lines;
};

}  // namespace carom
