// Timestamps of the kernel or the NIC through sockets (SO_TIMESTAMPING); the NIC's own switch is in
// nic_timestamping.h.
// Source: Documentation/networking/timestamping.rst of the Linux kernel.
#pragma once

#include <span>
#include <string>

#include "io/packet_io.h"
#include "io/socket.h"

namespace carom {

// What ETHTOOL_GET_TS_INFO says.
struct TimestampingInfo {
  bool hardware_tx;
  bool hardware_rx;
  bool software_tx;
  bool software_rx;
  int phc_index;  // -1: no hardware clock
};

// In the calling thread's namespace. Throws Error when there is no such interface.
TimestampingInfo timestamping_info(const Link& link);

// Asks a socket for the stamps that the configuration wants. Throws Error.
void request_timestamps(int fd, const IoConfig& config, const std::string& operation);

// The stamp in a received message's control data, 0 when there is none.
uint64_t stamp_of(const msghdr& message, Provenance wanted) noexcept;

// Stamps of sent frames from the socket's error queue; never blocks.
uint32_t read_tx_stamps(int fd, std::span<TxStamp> stamps, Provenance wanted) noexcept;

}  // namespace carom
