// A frame to its UDP payload: Ethernet, one VLAN tag, IPv4 (RFC 791) or IPv6 (RFC 8200), UDP (RFC 768).
// A tag with identifier 0 carries a priority alone: the frame counts as untagged (IEEE 802.1Q, 6.9.3).
// Nothing outside the frame is read, whatever it holds. Every frame that is refused has one reason.
#pragma once

#include <cstdint>

#include "frame/checksum.h"
#include "frame/headers.h"

namespace carom {

enum class ParseResult : uint8_t {
  ok,
  truncated,         // a header, or a length in it, goes beyond the frame
  wrong_ethertype,   // neither IPv4 nor IPv6, or a second VLAN tag
  wrong_vlan,        // tagged when untagged is wanted, or the other way, or another identifier
  bad_ip_header,     // version, header length or total length make no sense
  ip_options,        // IPv4 options
  fragment,          // part of a datagram
  bad_ip_checksum,   //
  ttl_zero,          //
  zero_source,       // 0.0.0.0 or ::
  multicast_source,  // 224.0.0.0/4 or ff00::/8: nobody has such an address (RFC 1122, 3.2.1.3; RFC 4291, 2.7)
  broadcast_source,  // 255.255.255.255
  group_source_mac,  // from a MAC address with the group bit
  wrong_protocol,    // not UDP (or an IPv6 extension header)
  bad_udp_length,    //
  bad_udp_checksum,  //
  unfinished_checksum,  // the sender left it to a NIC that never was: "ethtool -K … tx off" on a virtual link
  COUNT
};

constexpr const char* PARSE_RESULT_NAMES[] = {
    "ok",
    "truncated",
    "wrong_ethertype",
    "wrong_vlan",
    "bad_ip_header",
    "ip_options",
    "fragment",
    "bad_ip_checksum",
    "ttl_zero",
    "zero_source",
    "multicast_source",
    "broadcast_source",
    "group_source_mac",
    "wrong_protocol",
    "bad_udp_length",
    "bad_udp_checksum",
    "unfinished_checksum",
};
static_assert(sizeof PARSE_RESULT_NAMES / sizeof *PARSE_RESULT_NAMES ==
              static_cast<size_t>(ParseResult::COUNT));

// Where things are in a frame that parsed; borrowed from it.
struct Datagram {
  const uint8_t* ethernet;
  const uint8_t* ip;
  const uint8_t* payload;
  uint32_t payload_length;
  uint16_t source_port;
  uint16_t destination_port;
  bool ipv6;
  int32_t vlan;  // -1: untagged

  const uint8_t* source_address() const noexcept { return ip + (ipv6 ? 8 : 12); }
  const uint8_t* destination_address() const noexcept { return ip + (ipv6 ? 24 : 16); }
  uint32_t address_size() const noexcept { return ipv6 ? 16 : 4; }
};

constexpr int32_t ANY_VLAN = -2;

struct ParseOptions {
  int32_t vlan;           // the identifier every frame must carry, -1 for none; or ANY_VLAN
  bool verify_checksums;  // false when the kernel has done it
};

inline uint64_t pseudo_header_sum(const uint8_t* addresses, uint32_t size, uint32_t udp_length) noexcept {
  uint64_t sum = checksum_add(0, addresses, size);
  sum = checksum_add_word(sum, __builtin_bswap16(static_cast<uint16_t>(udp_length)));
  return checksum_add_word(sum, static_cast<uint64_t>(PROTOCOL_UDP) << 8);
}

inline ParseResult check_udp_checksum(const Datagram& datagram, const uint8_t* udp,
                                      uint32_t udp_length) noexcept {
  uint16_t stored;
  memcpy(&stored, udp + 6, 2);
  if (stored == 0) {
    // None was made: allowed over IPv4 (RFC 768), not over IPv6 (RFC 8200, 8.1).
    return datagram.ipv6 ? ParseResult::bad_udp_checksum : ParseResult::ok;
  }
  uint64_t pseudo = pseudo_header_sum(datagram.source_address(), 2 * datagram.address_size(), udp_length);
  if (checksum_fold(checksum_add(pseudo, udp, udp_length)) == 0xffff) [[likely]]
    return ParseResult::ok;
  // A kernel that counts on offload leaves the sum of the pseudo header alone in the field.
  return stored == checksum_fold(pseudo) ? ParseResult::unfinished_checksum : ParseResult::bad_udp_checksum;
}

inline ParseResult parse_udp(const uint8_t* udp, uint32_t ip_payload_length, bool verify,
                             Datagram& out) noexcept {
  if (ip_payload_length < UDP_SIZE) return ParseResult::truncated;
  uint32_t udp_length = load_be16(udp + 4);
  if (udp_length < UDP_SIZE || udp_length > ip_payload_length) return ParseResult::bad_udp_length;
  out.source_port = load_be16(udp);
  out.destination_port = load_be16(udp + 2);
  out.payload = udp + UDP_SIZE;
  out.payload_length = udp_length - UDP_SIZE;
  return verify ? check_udp_checksum(out, udp, udp_length) : ParseResult::ok;
}

// Whether somebody can have an address: who answers any other sends to a group, or to everybody.
inline ParseResult check_source4(const uint8_t* source) noexcept {
  if (source[0] < 0xe0) [[likely]]
    return all_zero(source, 4) ? ParseResult::zero_source : ParseResult::ok;
  if (source[0] < 0xf0) return ParseResult::multicast_source;
  return load_be16(source) == 0xffff && load_be16(source + 2) == 0xffff ? ParseResult::broadcast_source
                                                                        : ParseResult::ok;
}

inline ParseResult check_source6(const uint8_t* source) noexcept {
  if (source[0] == 0xff) return ParseResult::multicast_source;
  return all_zero(source, 16) ? ParseResult::zero_source : ParseResult::ok;
}

inline ParseResult parse_ipv4(const uint8_t* ip, uint32_t length, bool verify, Datagram& out) noexcept {
  if (length < IPV4_SIZE) return ParseResult::truncated;
  uint32_t header_length = (ip[0] & 0x0fu) * 4;
  if ((ip[0] >> 4) != 4 || header_length < IPV4_SIZE) return ParseResult::bad_ip_header;
  if (header_length != IPV4_SIZE) return ParseResult::ip_options;
  uint32_t total_length = load_be16(ip + 2);
  if (total_length < IPV4_SIZE) return ParseResult::bad_ip_header;
  if (total_length > length) return ParseResult::truncated;
  if (verify && checksum_fold(checksum_add(0, ip, IPV4_SIZE)) != 0xffff) return ParseResult::bad_ip_checksum;
  if ((load_be16(ip + 6) & 0x3fff) != 0) return ParseResult::fragment;  // MF, or an offset
  if (ip[8] == 0) return ParseResult::ttl_zero;
  if (ParseResult source = check_source4(ip + 12); source != ParseResult::ok) [[unlikely]]
    return source;
  if (ip[9] != PROTOCOL_UDP) return ParseResult::wrong_protocol;
  out.ip = ip;
  out.ipv6 = false;
  return parse_udp(ip + IPV4_SIZE, total_length - IPV4_SIZE, verify, out);
}

inline ParseResult parse_ipv6(const uint8_t* ip, uint32_t length, bool verify, Datagram& out) noexcept {
  if (length < IPV6_SIZE) return ParseResult::truncated;
  if ((ip[0] >> 4) != 6) return ParseResult::bad_ip_header;
  uint32_t payload_length = load_be16(ip + 4);
  if (payload_length > length - IPV6_SIZE) return ParseResult::truncated;
  if (ip[6] == 44) return ParseResult::fragment;  // RFC 8200, 4.5
  if (ip[7] == 0) return ParseResult::ttl_zero;
  if (ParseResult source = check_source6(ip + 8); source != ParseResult::ok) [[unlikely]]
    return source;
  if (ip[6] != PROTOCOL_UDP) return ParseResult::wrong_protocol;
  out.ip = ip;
  out.ipv6 = true;
  return parse_udp(ip + IPV6_SIZE, payload_length, verify, out);
}

// Parses `length` bytes at `frame`; `out` is valid only when the result is ok.
inline ParseResult parse_frame(const uint8_t* frame, uint32_t length, const ParseOptions& options,
                               Datagram& out) noexcept {
  if (length < ETHERNET_SIZE) return ParseResult::truncated;
  uint16_t ethertype = load_be16(frame + 12);
  uint32_t offset = ETHERNET_SIZE;
  int32_t vlan = -1;
  if (ethertype == ETHERTYPE_VLAN) [[unlikely]] {
    if (length < ETHERNET_SIZE + VLAN_SIZE) return ParseResult::truncated;
    vlan = load_be16(frame + 14) & 0x0fff;
    ethertype = load_be16(frame + 16);
    offset += VLAN_SIZE;
  }
  if (vlan == 0) vlan = -1;
  if (vlan != options.vlan && options.vlan != ANY_VLAN) return ParseResult::wrong_vlan;
  if ((frame[6] & 1) != 0) [[unlikely]]
    return ParseResult::group_source_mac;
  out.ethernet = frame;
  out.vlan = vlan;
  if (ethertype == ETHERTYPE_IPV4) [[likely]] {
    return parse_ipv4(frame + offset, length - offset, options.verify_checksums, out);
  }
  if (ethertype == ETHERTYPE_IPV6)
    return parse_ipv6(frame + offset, length - offset, options.verify_checksums, out);
  return ParseResult::wrong_ethertype;
}

}  // namespace carom
