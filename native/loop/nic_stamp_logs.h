// What a role keeps of the NIC's own stamps, beside those of its loop, for the ticks that it follows
// (core/passages.h): of a passage, begin_ns is the stamp, by the NIC's clock, and handed_ns when the loop
// handed the frame over, or took it up: no stamp of a frame that leaves is before that, and none of one that
// comes behind it.
#pragma once

#include "core/passages.h"
#include "io/packet_io.h"

namespace carom {

struct NicStampLogs {
  NicStampLogs(const IoConfig& io, uint32_t every, size_t room)
      : sent(io.tx_stamps && io.timestamps == Provenance::hardware ? every : 0, room),
        received(io.rx_stamps && io.timestamps == Provenance::hardware ? every : 0, room) {}

  static void note(PassageLog& log, uint64_t tick, uint64_t stamp_ns, uint64_t loop_ns) noexcept {
    if (log.wants(tick)) log.add({tick, stamp_ns, loop_ns, 0});
  }

  uint64_t dropped() const noexcept { return sent.dropped() + received.dropped(); }

  PassageLog sent;
  PassageLog received;
};

}  // namespace carom
