// What a captured frame is, read as far as it can be: tags, addresses, ports, checksums. Unlike the parser
// (frame/parse.h), which takes what a responder may answer, it refuses nothing. Nothing outside the frame is
// read, whatever it holds.
#pragma once

#include <algorithm>
#include <cstdint>

#include "frame/checksum.h"
#include "frame/headers.h"

namespace carom {

enum class ChecksumState : uint8_t {
  unknown,     // not all of it is there: a fragment, or cut short; or its length makes no sense
  good,        //
  none,        // UDP over IPv4 without one
  bad,         //
  unfinished,  // left to a NIC: usual in a capture taken where the frame was sent
};

struct Dissected {
  uint32_t tags = 0;            // VLAN tags
  uint32_t ip_offset = 0;       // of what follows the Ethernet header and its tags
  uint16_t ethertype = 0;       // 0: no whole Ethernet header
  const uint8_t* ip = nullptr;  // null: none that can be read
  bool ipv6 = false;
  bool options = false;  // IPv4 options or IPv6 extension headers
  bool fragment = false;
  uint8_t protocol = 0;      // of what follows the last header
  uint32_t ip_size = 0;      // bytes of the IP headers
  uint32_t packet_size = 0;  // bytes of the packet, as it says, headers included
  bool has_ports = false;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  ChecksumState ip_checksum = ChecksumState::unknown;  // IPv4
  ChecksumState checksum = ChecksumState::unknown;     // of UDP or TCP

  const uint8_t* source() const noexcept { return ip + (ipv6 ? 8 : 12); }
  const uint8_t* destination() const noexcept { return ip + (ipv6 ? 24 : 16); }
  uint32_t address_size() const noexcept { return ipv6 ? 16 : 4; }
  bool to_group() const noexcept {
    return ipv6 ? destination()[0] == 0xff : (destination()[0] & 0xf0) == 0xe0;
  }
};

namespace dissect_detail {

constexpr uint32_t MAX_TAGS = 4;
constexpr uint32_t MAX_EXTENSIONS = 8;

inline bool read_ipv4(const uint8_t* ip, uint32_t have, Dissected& out) noexcept {
  if (have < IPV4_SIZE || (ip[0] >> 4) != 4) return false;
  out.ip_size = (ip[0] & 15u) * 4;
  if (out.ip_size < IPV4_SIZE) return false;
  out.ip = ip;
  out.options = out.ip_size > IPV4_SIZE;
  out.packet_size = load_be16(ip + 2);
  out.fragment = (load_be16(ip + 6) & 0x3fff) != 0;
  out.protocol = ip[9];
  if (out.ip_size <= have) {
    bool right = checksum_fold(checksum_add(0, ip, out.ip_size)) == 0xffff;
    out.ip_checksum = right ? ChecksumState::good : ChecksumState::bad;
  }
  return true;
}

inline bool read_ipv6(const uint8_t* ip, uint32_t have, Dissected& out) noexcept {
  if (have < IPV6_SIZE || (ip[0] >> 4) != 6) return false;
  out.ip = ip;
  out.ipv6 = true;
  out.packet_size = IPV6_SIZE + load_be16(ip + 4);
  out.protocol = ip[6];
  out.ip_size = IPV6_SIZE;
  for (uint32_t i = 0; i < MAX_EXTENSIONS; i++) {
    bool is_fragment = out.protocol == 44;  // RFC 8200, 4.5
    bool is_options = out.protocol == 0 || out.protocol == 43 || out.protocol == 60;
    if ((!is_fragment && !is_options) || have < out.ip_size + 8) break;
    const uint8_t* extension = ip + out.ip_size;
    if (is_fragment && (load_be16(extension + 2) & 0xfff9) != 0) out.fragment = true;
    out.options = true;
    out.protocol = extension[0];
    out.ip_size += is_fragment ? 8 : (extension[1] + 1u) * 8;
    if (out.fragment) break;  // what follows may be the middle of a datagram
  }
  return true;
}

// Of UDP (RFC 768) or TCP (RFC 9293, 3.1): `length` bytes, all there.
inline ChecksumState check_transport(const Dissected& found, const uint8_t* transport,
                                     uint32_t length) noexcept {
  uint16_t stored;
  memcpy(&stored, transport + (found.protocol == PROTOCOL_UDP ? 6 : 16), 2);
  if (found.protocol == PROTOCOL_UDP && stored == 0) {
    return found.ipv6 ? ChecksumState::bad : ChecksumState::none;
  }
  uint64_t pseudo = checksum_add(0, found.source(), 2 * found.address_size());
  pseudo = checksum_add_word(pseudo, __builtin_bswap16(static_cast<uint16_t>(length)));
  pseudo = checksum_add_word(pseudo, static_cast<uint64_t>(found.protocol) << 8);
  if (checksum_fold(checksum_add(pseudo, transport, length)) == 0xffff) return ChecksumState::good;
  return stored == checksum_fold(pseudo) ? ChecksumState::unfinished : ChecksumState::bad;
}

inline void read_transport(uint32_t have, Dissected& out) noexcept {
  bool udp = out.protocol == PROTOCOL_UDP;
  if ((!udp && out.protocol != PROTOCOL_TCP) || out.fragment) return;
  if (have < out.ip_size + 4 || out.packet_size < out.ip_size + 4) return;
  const uint8_t* transport = out.ip + out.ip_size;
  out.has_ports = true;
  out.source_port = load_be16(transport);
  out.destination_port = load_be16(transport + 2);
  uint32_t length = out.packet_size - out.ip_size;
  if (have < out.packet_size || length < (udp ? UDP_SIZE : TCP_SIZE)) return;
  if (udp) {
    uint32_t said = load_be16(transport + 4);
    if (said < UDP_SIZE || said > length) return;
    length = said;
  }
  out.checksum = check_transport(out, transport, length);
}

}  // namespace dissect_detail

inline Dissected dissect(const uint8_t* frame, uint32_t captured) noexcept {
  Dissected out;
  if (captured < ETHERNET_SIZE) return out;
  uint32_t at = 12;
  uint16_t type = load_be16(frame + at);
  while ((type == ETHERTYPE_VLAN || type == ETHERTYPE_SERVICE_VLAN) && out.tags < dissect_detail::MAX_TAGS &&
         captured >= at + 2 * VLAN_SIZE - 2) {
    out.tags++;
    at += VLAN_SIZE;
    type = load_be16(frame + at);
  }
  out.ethertype = type;
  out.ip_offset = at + 2;
  const uint8_t* packet = frame + out.ip_offset;
  uint32_t have = captured - out.ip_offset;
  bool read = type == ETHERTYPE_IPV4   ? dissect_detail::read_ipv4(packet, have, out)
              : type == ETHERTYPE_IPV6 ? dissect_detail::read_ipv6(packet, have, out)
                                       : false;
  if (read) dissect_detail::read_transport(have, out);
  return out;
}

}  // namespace carom
