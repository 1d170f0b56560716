// What the readers of pcap and of pcapng have in common: where they read, and what makes a frame of a record.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>

#include "capture/remarks.h"
#include "capture/window.h"

namespace carom {

constexpr uint32_t CAPTURED_MAX = 262'144;  // bytes of a frame, as in libpcap and Wireshark
constexpr uint16_t LINK_TYPE_ETHERNET = 1;

// A record of a capture, borrowed from the reader until its next().
struct CapturedFrame {
  uint64_t time_ns;  // since the epoch, below 2^63
  const uint8_t* data;
  uint32_t captured;                        // bytes at `data`
  uint32_t length;                          // that it had on the wire; never below `captured`
  uint32_t link_type = LINK_TYPE_ETHERNET;  // of https://www.tcpdump.org/linktypes.html
  uint64_t number = 0;                      // in the file, from 1; those left out are counted
};

enum class Step : uint8_t {
  frame,
  nothing,  // something was passed over
  end,
  broken  // `trouble` says how
};

struct CaptureInput {
  CaptureWindow window;
  CaptureRemarks remarks;
  uint64_t packets = 0;     // met so far, those left out included
  uint64_t last_ns = 0;     // the time of the last frame
  std::string trouble;      // why it is broken
  uint64_t trouble_at = 0;  // byte of the file

  void note(RemarkKind kind) noexcept { remarks.note(kind, packets); }

  Step leave_out(RemarkKind kind) noexcept {
    note(kind);
    return Step::nothing;
  }

  Step broken(std::string why) noexcept {
    trouble = std::move(why);
    trouble_at = window.position();
    return Step::broken;
  }

  // The file ends, although `wanted` bytes should be there from byte `from` on.
  Step cut_short(uint64_t from, uint64_t wanted, const char* of) noexcept {
    uint64_t end = window.position() + window.size();
    broken("truncated dump file; tried to read " + std::to_string(wanted) + " " + of + ", only got " +
           std::to_string(end - from));
    trouble_at = end;
    return Step::broken;
  }

  // Completes a frame that has its bytes, lengths and link type. `fcs` bytes at its end are a frame check
  // sequence: those are no part of it.
  Step take(CapturedFrame& out, __int128 time_ns, uint32_t fcs) noexcept {
    constexpr __int128 TIME_END_NS = static_cast<__int128>(1) << 63;
    if (time_ns < 0 || time_ns >= TIME_END_NS) return leave_out(RemarkKind::bad_time);
    out.time_ns = last_ns = static_cast<uint64_t>(time_ns);
    out.number = packets;
    if (out.captured > out.length) {
      note(RemarkKind::above_length);
      out.length = out.captured;
    }
    if (fcs != 0) {
      note(RemarkKind::fcs_removed);
      out.length -= std::min(fcs, out.length);
      out.captured = std::min(out.captured, out.length);
    }
    return Step::frame;
  }
};

}  // namespace carom
