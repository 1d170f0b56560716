// Where things are in any Ethernet frame, as far as it goes: tags, IP with its options and extension headers,
// fragments, ports. Unlike frame/parse.h, which takes what a responder may answer, it refuses nothing: what
// is there is told, what is not is left out. Nothing outside the frame is read, whatever it holds.
#pragma once

#include <algorithm>
#include <cstdint>

#include "frame/headers.h"

namespace carom {

struct Layers {
  uint16_t ethertype = 0;  // behind the tags
  uint32_t tags = 0;
  uint32_t network = 0;  // where IP or ARP begins; 0: no whole Ethernet header
  bool ipv4 = false;     // and its fixed header is there
  bool ipv6 = false;
  bool options = false;    // of IPv4, or IPv6 extension headers
  bool fragment = false;   // one of several
  bool ports = false;      // of UDP or TCP, and they are there: at `payload`
  bool whole = false;      // all of the IP packet is in the frame, and it is no shorter than its headers
  bool unsized = false;    // its length is 0, as where segmentation was left to a NIC: it is taken to be all
  uint8_t protocol = 0;    // of what follows the last IP header
  uint32_t payload = 0;    // of IP: where it begins, or would
  uint32_t transport = 0;  // the same; 0: not all of its header is there, or it is in another fragment
  uint32_t end = 0;        // of what the IP packet says it has

  bool ip() const noexcept { return ipv4 || ipv6; }
  uint32_t address_size() const noexcept { return ipv6 ? 16 : 4; }
  uint32_t source() const noexcept { return network + (ipv6 ? 8 : 12); }
  uint32_t destination() const noexcept { return source() + address_size(); }
};

constexpr bool is_tag(uint16_t ethertype) noexcept {
  return ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_SERVICE_VLAN;
}

// What follows the headers of IP, unless it is a later fragment.
inline void find_transport(uint32_t length, Layers& out) noexcept {
  bool has_ports = out.protocol == PROTOCOL_UDP || out.protocol == PROTOCOL_TCP;
  uint32_t least = out.protocol == PROTOCOL_TCP ? TCP_SIZE : out.protocol == PROTOCOL_UDP ? UDP_SIZE : 4;
  uint32_t there = std::min(length, out.end);
  out.ports = has_ports && out.payload + 4 <= there;
  if (out.payload + least <= there) out.transport = out.payload;
}

inline void find_ipv4(const uint8_t* frame, uint32_t length, Layers& out) noexcept {
  const uint8_t* ip = frame + out.network;
  uint32_t header = (ip[0] & 15u) * 4;
  if (header < IPV4_SIZE) return;
  out.ipv4 = true;
  out.options = header > IPV4_SIZE;
  out.protocol = ip[9];
  out.payload = out.network + header;
  uint32_t total = load_be16(ip + 2);
  out.unsized = total == 0;
  out.end = out.unsized ? length : out.network + total;
  uint32_t fragment = load_be16(ip + 6);
  out.fragment = (fragment & 0x3fff) != 0;
  if ((fragment & 0x1fff) == 0) find_transport(length, out);
}

inline void find_ipv6(const uint8_t* frame, uint32_t length, Layers& out) noexcept {
  const uint8_t* ip = frame + out.network;
  out.ipv6 = true;
  out.protocol = ip[6];
  out.payload = out.network + IPV6_SIZE;
  uint32_t size = load_be16(ip + 4);
  out.unsized = size == 0 && (out.protocol == PROTOCOL_TCP || out.protocol == PROTOCOL_UDP);
  out.end = out.unsized ? length : out.payload + size;
  constexpr uint32_t EXTENSIONS_MAX = 8;
  for (uint32_t i = 0; i < EXTENSIONS_MAX; i++) {
    bool is_fragment = out.protocol == 44;  // RFC 8200, 4.5
    bool is_options = out.protocol == 0 || out.protocol == 43 || out.protocol == 60;
    if ((!is_fragment && !is_options) || out.payload + 8 > std::min(length, out.end)) break;
    const uint8_t* extension = frame + out.payload;
    uint32_t fragment = is_fragment ? load_be16(extension + 2) : 0;
    out.options = true;
    out.fragment |= (fragment & 0xfff9) != 0;
    out.protocol = extension[0];
    out.payload += is_fragment ? 8 : (extension[1] + 1u) * 8;
    if ((fragment & 0xfff8) != 0) return;  // what follows is the middle of a datagram
  }
  find_transport(length, out);
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
    find_ipv4(frame, length, out);
  } else if (out.ethertype == ETHERTYPE_IPV6 && at + IPV6_SIZE <= length && frame[at] >> 4 == 6) {
    find_ipv6(frame, length, out);
  }
  out.whole = out.ip() && out.payload <= out.end && out.end <= length;
  return out;
}

}  // namespace carom
