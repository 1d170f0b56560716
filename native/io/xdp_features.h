// What an interface's driver can do with XDP.
#pragma once

#include <string>

#include "io/packet_io.h"

namespace carom {

// "" when the driver takes frames that a program redirects to it, otherwise why not. Where the kernel does
// not say (before Linux 6.3), it is taken to. Source: Documentation/netlink/specs/netdev.yaml of the Linux
// kernel.
std::string redirect_lack(const Link& link);

}  // namespace carom
