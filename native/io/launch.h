// Launch times: a socket's frames go with the time at which the NIC is to send them (SO_TXTIME), and the
// qdisc etf, offloaded, hands them to it. Source: etf(8) of iproute2; net/sched/sch_etf.c and
// include/uapi/linux/net_tstamp.h of the Linux kernel.
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <string>

namespace carom {

// Frames of this priority go to the queue with the qdisc (lab/launch_time.ts puts it there): no kind of
// service in an IP header gives a frame this one.
constexpr int LAUNCH_PRIORITY = 15;

// The qdisc takes frames of such sockets alone, and reports those that came too late. Throws Error.
void request_launches(int fd, const std::string& operation);

// Adds the launch time to a message's control data, in front of whose end there is room for it
// (LAUNCH_CONTROL).
constexpr size_t LAUNCH_CONTROL = CMSG_SPACE(sizeof(uint64_t));
void add_launch(msghdr& message, uint8_t* control, uint64_t launch_ns) noexcept;

}  // namespace carom
