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
  uint32_t offset = 0;     // of a later fragment: bytes of the datagram in front of it
  uint32_t checksum = 0;   // of the transport: where it is, be it in a later fragment; 0: not in this frame
  // Where the destination is that the transport's checksum counts (RFC 8200, 8.1); 0: nobody knows.
  uint32_t final_destination = 0;
  uint32_t segments = 0;  // the addresses of an IPv6 routing header: where they begin, and how many
  uint32_t segment_count = 0;

  bool ip() const noexcept { return ipv4 || ipv6; }
  uint32_t address_size() const noexcept { return ipv6 ? 16 : 4; }
  uint32_t source() const noexcept { return network + (ipv6 ? 8 : 12); }
  uint32_t destination() const noexcept { return source() + address_size(); }
};

constexpr uint16_t ETHERTYPE_OLD_VLAN = 0x9100;  // the outer of two tags, before IEEE 802.1ad

// Those that libpcap's `vlan` counts.
constexpr bool is_tag(uint16_t ethertype) noexcept {
  return ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_SERVICE_VLAN ||
         ethertype == ETHERTYPE_OLD_VLAN;
}

// What follows the headers of IP, unless it is a later fragment.
inline void find_transport(uint32_t length, Layers& out) noexcept {
  bool has_ports = out.protocol == PROTOCOL_UDP || out.protocol == PROTOCOL_TCP;
  uint32_t least = out.protocol == PROTOCOL_TCP ? TCP_SIZE : out.protocol == PROTOCOL_UDP ? UDP_SIZE : 4;
  uint32_t there = std::min(length, out.end);
  out.ports = has_ports && out.payload + 4 <= there;
  if (out.payload + least <= there) out.transport = out.payload;
}

// Where the checksum is in the header of UDP, TCP, ICMP or ICMPv6; 0: there is none that is known.
inline uint32_t checksum_in_header(const Layers& layers) noexcept {
  if (layers.protocol == PROTOCOL_UDP) return 6;
  if (layers.protocol == PROTOCOL_TCP) return 16;
  bool is_icmp = layers.protocol == (layers.ipv4 ? PROTOCOL_ICMP : PROTOCOL_ICMP6);
  return is_icmp ? 2 : 0;
}

// Of a whole datagram, of its first fragment, or of a later one: TCP's checksum may be in any of the first.
inline void find_checksum(uint32_t length, Layers& out) noexcept {
  uint32_t in_header = checksum_in_header(out);
  if (in_header == 0 || in_header < out.offset) return;
  uint32_t at = out.payload + in_header - out.offset;
  if (at + 2 <= std::min(length, out.end)) out.checksum = at;
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
  out.offset = (fragment & 0x1fff) * 8;
  out.final_destination = out.destination();
  find_checksum(length, out);
  if ((fragment & 0x1fff) == 0) find_transport(length, out);
}

// A routing header: while segments are left, the last of them is the final destination.
inline void find_segments(const uint8_t* frame, uint32_t there, Layers& out) noexcept {
  const uint8_t* routing = frame + out.payload;
  const uint32_t room = routing[1] / 2u;  // for addresses
  const uint8_t type = routing[2];
  bool is_list = type == 0 || type == 2;  // RFC 2460, 4.4, and RFC 6275, 6.4: the last one is the last
  bool is_segment_routing = type == 4;    // RFC 8754, 2: the last one is the first; with TLVs behind them
  if (is_list) out.segment_count = room;
  if (is_segment_routing) out.segment_count = std::min(room, routing[4] + 1u);
  out.segments = out.payload + 8;
  if (out.segments + 16 * out.segment_count > there) out.segment_count = 0;
  if (routing[3] == 0) return;  // none is left: it is where the packet goes now
  uint32_t last = is_list ? out.segment_count - 1 : 0;
  out.final_destination = out.segment_count > 0 ? out.segments + 16 * last : 0;
}

inline void find_ipv6(const uint8_t* frame, uint32_t length, Layers& out) noexcept {
  const uint8_t* ip = frame + out.network;
  out.ipv6 = true;
  out.protocol = ip[6];
  out.payload = out.network + IPV6_SIZE;
  uint32_t size = load_be16(ip + 4);
  out.unsized = size == 0 && (out.protocol == PROTOCOL_TCP || out.protocol == PROTOCOL_UDP);
  out.end = out.unsized ? length : out.payload + size;
  out.final_destination = out.destination();
  constexpr uint32_t EXTENSIONS_MAX = 8;
  for (uint32_t i = 0; i < EXTENSIONS_MAX; i++) {
    bool is_fragment = out.protocol == 44;  // RFC 8200, 4.5
    bool is_options = out.protocol == 0 || out.protocol == 43 || out.protocol == 60;
    if ((!is_fragment && !is_options) || out.payload + 8 > std::min(length, out.end)) break;
    const uint8_t* extension = frame + out.payload;
    uint32_t fragment = is_fragment ? load_be16(extension + 2) : 0;
    if (out.protocol == 43) find_segments(frame, std::min(length, out.end), out);
    out.options = true;
    out.fragment |= (fragment & 0xfff9) != 0;
    out.protocol = extension[0];
    out.payload += is_fragment ? 8 : (extension[1] + 1u) * 8;
    out.offset = fragment & 0xfff8;
    if (out.offset != 0) {  // what follows is the middle of a datagram
      find_checksum(length, out);
      return;
    }
  }
  find_checksum(length, out);
  find_transport(length, out);
}

// IP that begins at `at`, if the EtherType says so.
inline void find_ip(const uint8_t* frame, uint32_t length, uint32_t at, Layers& out) noexcept {
  out.network = at;
  if (out.ethertype == ETHERTYPE_IPV4 && at + IPV4_SIZE <= length && frame[at] >> 4 == 4) {
    find_ipv4(frame, length, out);
  } else if (out.ethertype == ETHERTYPE_IPV6 && at + IPV6_SIZE <= length && frame[at] >> 4 == 6) {
    find_ipv6(frame, length, out);
  }
  out.whole = out.ip() && out.payload <= out.end && out.end <= length;
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
  find_ip(frame, length, at, out);
  return out;
}

}  // namespace carom
