// Frames from one port to another that it is linked with, one at a time, each with the NICs' stamps of when
// it left and when it arrived: how long the wire is, and the ports at both its ends.
#pragma once

#include <array>
#include <memory>
#include <string>

#include "io/nic_timestamping.h"
#include "io/packet_io.h"
#include "io/socket.h"
#include "io/timestamping.h"

namespace carom {

class WireProbe {
 public:
  // By the clock of the NIC that made the stamp; 0 where it made none in time, or the frame did not arrive.
  struct Stamps {
    uint64_t sent_ns = 0;
    uint64_t arrived_ns = 0;
  };

  // Throws Error where one of the two can't stamp, or can't be opened.
  WireProbe(const Link& from, const Link& to);

  // Sends one and waits for it, not for long. Throws Error (environment) when it can't be sent.
  Stamps probe();

 private:
  static constexpr size_t FRAME_BYTES = 60;  // the shortest, without its check sequence

  struct Port {
    Port(const Link& given, bool sends);  // in the calling thread's namespace
    Link link;
    NicTimestamping timestamping;
    Fd fd;
  };

  uint64_t arrival() noexcept;

  std::unique_ptr<Port> from_;
  std::unique_ptr<Port> to_;
  TxStampReader stamps_;
  uint64_t series_;      // in each frame, so that no other's is taken for one of these
  uint32_t number_ = 0;  // of the next frame
  std::array<uint8_t, FRAME_BYTES> frame_{};
};

}  // namespace carom
