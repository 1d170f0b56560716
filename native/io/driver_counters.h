// Counters that a driver keeps of its own and that only ethtool shows (ETHTOOL_GSTATS).
#pragma once

#include <functional>
#include <string_view>
#include <vector>

#include "io/packet_io.h"
#include "io/socket.h"

namespace carom {

struct DriverCounters {
  Fd socket;  // in the interface's namespace
  std::string interface_name;
  uint32_t count = 0;            // of all that the driver has
  std::vector<uint32_t> wanted;  // the numbers of those that were found
};

// Those whose names are wanted; none where the driver has none.
DriverCounters find_driver_counters(const Link& link,
                                    const std::function<bool(std::string_view name)>& is_wanted);

// Their sum now; 0 when they can't be read.
uint64_t driver_counter(const DriverCounters& counters) noexcept;

// Frames that the driver of a veth received and dropped ("rx_queue_0_drops" and its like), in the calling
// thread's namespace; -1 where the driver has no such counters. What the interface counts as rx_dropped
// (struct rtnl_link_stats64) also has what arrived and was of a kind that nobody handles.
int64_t veth_drops(const Link& link);

}  // namespace carom
