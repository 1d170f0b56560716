// Frames of every link type as Ethernet frames: those without an Ethernet header get one.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "capture/reader.h"

namespace carom {

// The addresses of a header that is given; a group's own address is derived from the group.
struct GivenMacs {
  uint8_t source[6];
  uint8_t destination[6];
};

class ToEthernet {
 public:
  // Of Ethernet, raw IP, Linux cooked (v1 and v2) and BSD loopback. Throws Error (usage) for any other link
  // type, with the path in it.
  ToEthernet(int link_type, const std::string& path, const GivenMacs& macs);

  // Whether `out` is now the frame with an Ethernet header, borrowed from `in` or until the next convert().
  // False: it can't have one, as what it holds is not an EtherType's, or its own header is cut short.
  bool convert(const CapturedFrame& in, CapturedFrame& out) noexcept;

  bool changes() const noexcept { return kind_ != Kind::ethernet; }

 private:
  enum class Kind : uint8_t { ethernet, ip, cooked, cooked2, loopback };

  static Kind kind_of(int link_type, const std::string& path);
  void address(const uint8_t* packet, uint32_t length, uint16_t ethertype) noexcept;
  void cooked_macs(uint8_t type, uint16_t address_length, const uint8_t* address) noexcept;

  Kind kind_;
  GivenMacs macs_;
  std::vector<uint8_t> frame_;
};

// The MAC address of an IPv4 group (RFC 1112, 6.4) or an IPv6 one (RFC 2464, 7). False: it is no group.
bool group_mac(const uint8_t* address, bool ipv6, uint8_t mac[6]) noexcept;

}  // namespace carom
