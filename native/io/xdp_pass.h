// An XDP program that lets everything pass. A veth takes what a program at its other end sends back (XDP_TX)
// only while it has one itself: otherwise the frames wait in its ring, and nobody is told (veth_xdp_flush()
// in drivers/net/veth.c of the Linux kernel).
#pragma once

#include "io/packet_io.h"
#include "io/socket.h"

namespace carom {

// Attaches to the interface, in the calling thread's namespace; the program goes when the descriptor is
// closed. Throws Error.
Fd attach_xdp_pass(const Link& link);

}  // namespace carom
