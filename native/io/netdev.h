// What an interface's driver says of itself. Source: Documentation/netlink/specs/netdev.yaml of the Linux
// kernel.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "io/packet_io.h"

namespace carom {

// What its driver can do with XDP (enum netdev_xdp_act of <linux/netdev.h>); nothing where the kernel does
// not say (before Linux 6.3). Throws Error when there is no such interface.
std::optional<uint64_t> xdp_features(const Link& link);

// "" when the driver takes frames that a program redirects to it, otherwise why not. Where the kernel does
// not say (before Linux 6.3), it is taken to. Throws Error when there is no such interface.
std::string redirect_lack(const Link& link);

// The words of that.
std::string redirect_lack_text(const Link& link);

// Whether the NIC sends AF_XDP frames at a time that each one carries, in the calling thread's namespace;
// false too where the kernel (before 6.15) can't tell.
bool has_launch_time(const Link& link);

}  // namespace carom
