// Whether a NIC sends AF_XDP frames at a time that each one carries.
#pragma once

#include "io/packet_io.h"

namespace carom {

// What the driver says of itself, in the calling thread's namespace; false too where the kernel (before 6.15)
// can't tell. Source: Documentation/netlink/specs/netdev.yaml of the Linux kernel, xsk-features.
bool has_launch_time(const Link& link);

}  // namespace carom
