// Counters that a driver keeps of its own and that only ethtool shows (ETHTOOL_GSTATS).
#pragma once

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

// Those whose names hold one of these words; none where the driver has none.
DriverCounters find_driver_counters(const Link& link, const std::vector<std::string_view>& words);

// Their sum now; 0 when they can't be read.
uint64_t driver_counter(const DriverCounters& counters) noexcept;

}  // namespace carom
