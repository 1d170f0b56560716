// Frames of every link type as Ethernet frames: those without an Ethernet header get one.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "capture/reader.h"
#include "core/error.h"

namespace carom {

// The addresses of a header that is given; a group's own address is derived from the group.
struct GivenMacs {
  uint8_t source[6];
  uint8_t destination[6];
};

class ToEthernet {
 public:
  // Takes frames of Ethernet, raw IP, Linux cooked (v1 and v2) and BSD loopback. Throws Error (usage) for a
  // pcap of another link type; in a pcapng each frame has its own.
  ToEthernet(const CaptureReader& reader, const GivenMacs& macs);

  // Whether `out` is now the frame with an Ethernet header, borrowed from `in` or until the next convert().
  // False: it can't have one, by its link type; or as what it holds is not an EtherType's, or its own header
  // is cut short.
  bool convert(const CapturedFrame& in, CapturedFrame& out) noexcept {
    if (in.link_type != LINK_TYPE_ETHERNET) [[unlikely]]
      return make(in, out);
    out = in;
    return true;
  }

  // At the end: the error that not one frame of the capture could be converted, all for their link types.
  std::optional<Error> useless(const CaptureReader& reader) const;

  // About the frames that could not be converted.
  void add_remarks(std::vector<CaptureRemark>& to) const;

 private:
  enum class Kind : uint8_t { ip, cooked, cooked2, loopback, other };
  struct Refused {
    uint64_t frames = 0;
    uint64_t first = 0;
  };

  static Kind kind_of(uint32_t link_type) noexcept;
  bool make(const CapturedFrame& in, CapturedFrame& out) noexcept;
  bool refuse(const CapturedFrame& in, Refused& as) noexcept;
  void address(const uint8_t* packet, uint32_t length, uint16_t ethertype) noexcept;
  void cooked_macs(uint8_t type, uint16_t address_length, const uint8_t* address) noexcept;

  GivenMacs macs_;
  std::unique_ptr<uint8_t[]> frame_;
  std::map<uint32_t, Refused> link_types_;
  Refused contents_;
};

// The MAC address of an IPv4 group (RFC 1112, 6.4) or an IPv6 one (RFC 2464, 7). False: it is no group.
bool group_mac(const uint8_t* address, bool ipv6, uint8_t mac[6]) noexcept;

}  // namespace carom
