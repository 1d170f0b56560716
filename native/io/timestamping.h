// Timestamps of the kernel or the NIC through sockets (SO_TIMESTAMPING); the NIC's own switch is in
// nic_timestamping.h.
// Source: Documentation/networking/timestamping.rst of the Linux kernel.
#pragma once

#include <array>
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

// Stamps of sent frames, from a socket's error queue. The kernel numbers the frames of a socket by itself
// (SOF_TIMESTAMPING_OPT_ID), and also those that it then does not send: whoever tries such a frame again says
// so.
class TxStampReader {
 public:
  // Never blocks.
  uint32_t read(int fd, std::span<TxStamp> stamps, Provenance wanted) noexcept;

  // A send has failed: the numbers begin anew, and frame `index` will have the first one. What is known of
  // the frames before it is kept.
  [[gnu::noinline, gnu::cold]] void restart(int fd, uint32_t index, Provenance wanted) noexcept;

  // How many frames the error queue told of, so far, whose launch time was over (io/launch.h).
  uint64_t launches_missed() const noexcept { return launches_missed_; }

 private:
  static constexpr uint32_t KEPT = 256;

  uint32_t base_ = 0;  // frame that had the number 0
  std::array<TxStamp, KEPT> kept_;
  uint32_t kept_count_ = 0;
  uint64_t launches_missed_ = 0;
};

}  // namespace carom
