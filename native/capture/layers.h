// Where things are in any Ethernet frame, as far as it goes: tags, IP with its options and extension headers,
// fragments. Unlike frame/parse.h it refuses nothing: what is there is told, what is not is left out.
#pragma once

#include <algorithm>
#include <cstdint>

#include "frame/headers.h"

namespace carom {

struct Layers {
  uint16_t ethertype = 0;  // behind the tags
  uint32_t tags = 0;
  uint32_t network = 0;  // where IP or ARP begins
  bool ipv4 = false;     // and its fixed header is there
  bool ipv6 = false;
  uint32_t transport = 0;  // where it begins; 0: it is not there, or in another fragment
  uint8_t protocol = 0;
  uint32_t end = 0;       // of what the IP packet says it has
  bool fragment = false;  // one of several
  bool whole = false;     // all of the IP packet is in the frame

  bool ip() const noexcept { return ipv4 || ipv6; }
  uint32_t address_size() const noexcept { return ipv6 ? 16 : 4; }
  uint32_t source() const noexcept { return network + (ipv6 ? 8 : 12); }
  uint32_t destination() const noexcept { return source() + address_size(); }
  bool has_ports() const noexcept {
    return transport != 0 && (protocol == PROTOCOL_UDP || protocol == PROTOCOL_TCP);
  }
};

constexpr bool is_tag(uint16_t ethertype) noexcept {
  return ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_SERVICE_VLAN;
}

inline void find_transport6(const uint8_t* frame, uint32_t length, Layers& out) noexcept {
  uint8_t next = frame[out.network + 6];
  uint32_t at = out.network + IPV6_SIZE;
  constexpr uint32_t EXTENSIONS_MAX = 8;
  for (uint32_t i = 0; i < EXTENSIONS_MAX; i++) {
    bool is_fragment = next == 44;
    if (next != 0 && next != 43 && next != 60 && !is_fragment) {
      out.protocol = next;
      out.transport = at;
      return;
    }
    if (at + 8 > length) return;
    if (is_fragment) {
      out.fragment = true;
      if ((load_be16(frame + at + 2) & 0xfff8) != 0) return;  // a later one: no transport header
    }
    next = frame[at];
    at += is_fragment ? 8 : (frame[at + 1] + 1u) * 8;
  }
}

inline Layers find_layers(const uint8_t* frame, uint32_t length) noexcept {
  Layers out;
  if (length < ETHERNET_SIZE) return out;
  uint32_t at = ETHERNET_SIZE;
  out.ethertype = load_be16(frame + 12);
  while (is_tag(out.ethertype) && out.tags < 4 && at + VLAN_SIZE <= length) {
    out.ethertype = load_be16(frame + at + 2);
    at += VLAN_SIZE;
    out.tags++;
  }
  out.network = at;
  if (out.ethertype == ETHERTYPE_IPV4 && at + IPV4_SIZE <= length && frame[at] >> 4 == 4) {
    uint32_t header = (frame[at] & 15u) * 4;
    uint32_t total = load_be16(frame + at + 2);
    if (header < IPV4_SIZE || total < header) return out;
    out.ipv4 = true;
    out.protocol = frame[at + 9];
    out.end = at + total;
    uint32_t fragment = load_be16(frame + at + 6);
    out.fragment = (fragment & 0x3fff) != 0;
    if ((fragment & 0x1fff) == 0) out.transport = at + header;
  } else if (out.ethertype == ETHERTYPE_IPV6 && at + IPV6_SIZE <= length && frame[at] >> 4 == 6) {
    out.ipv6 = true;
    out.end = at + IPV6_SIZE + load_be16(frame + at + 4);
    find_transport6(frame, std::min(length, out.end), out);
  }
  out.whole = out.ip() && out.end <= length;
  uint32_t least = out.protocol == PROTOCOL_TCP ? TCP_SIZE : out.protocol == PROTOCOL_UDP ? UDP_SIZE : 4;
  if (out.transport != 0 && out.transport + least > std::min(length, out.end)) out.transport = 0;
  return out;
}

}  // namespace carom
