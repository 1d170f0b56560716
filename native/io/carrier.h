// Whether an interface's link is up. Attaching an XDP program, and binding an AF_XDP socket in zero-copy
// mode, make some drivers set up their rings anew, for which they take the link down: igb for about 10 s.
#pragma once

#include <string>

#include "io/packet_io.h"

namespace carom {

// Whether the driver has a carrier and the kernel lets frames through, in the calling thread's namespace.
bool has_carrier(const Link& link) noexcept;

// Waits until it has, up to a limit of 20 s. `had` is whether it had one before its rings were set up.
// Returns what there is to be told of it, "" for nothing. Throws Error when the link had a carrier, and does
// not get it back.
std::string await_carrier(const Link& link, bool had, const std::string& operation);

// The name of its driver (ETHTOOL_GDRVINFO); "" where none is told.
std::string driver_name(const Link& link);

}  // namespace carom
