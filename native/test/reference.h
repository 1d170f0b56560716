// The same as the native core, a second time: byte by byte, by the text of the RFCs, slow, and without its
// code.
#pragma once

#include <cstdint>
#include <cstring>

#include "frame/parse.h"

namespace carom::test {

// Network order. (The names of the core's own helpers are left alone, so that neither is used by mistake.)
inline uint32_t be16(const uint8_t* at) { return static_cast<uint32_t>(at[0] << 8 | at[1]); }

inline void put_be16(uint8_t* at, uint32_t value) {
  at[0] = static_cast<uint8_t>(value >> 8);
  at[1] = static_cast<uint8_t>(value);
}

// One's complement sum, folded, not complemented (RFC 1071, section 1). `sum` goes on from an even length.
inline uint32_t ones_sum(const uint8_t* bytes, size_t length, uint32_t sum = 0) {
  for (size_t i = 0; i < length; i++) {
    sum += i % 2 == 0 ? uint32_t{bytes[i]} << 8 : bytes[i];
    if (sum > 0xffff) sum -= 0xffff;  // the carry goes round
  }
  return sum;
}

// Of source, destination, UDP length and protocol (RFC 768; RFC 8200, 8.1).
inline uint32_t ones_sum_pseudo(const uint8_t* ip, bool ipv6, uint32_t udp_length) {
  uint8_t rest[4] = {0, PROTOCOL_UDP, static_cast<uint8_t>(udp_length >> 8),
                     static_cast<uint8_t>(udp_length)};
  return ones_sum(rest, 4, ones_sum(ip + (ipv6 ? 8 : 12), ipv6 ? 32 : 8));
}

// What a frame holds, and everything that is wrong with it.
struct Reading {
  uint32_t defects;  // one bit for each ParseResult; 0: the frame is a good one
  bool ipv6;
  uint32_t ip;  // offsets in the frame
  uint32_t udp;
  uint32_t udp_length;

  bool has(ParseResult result) const { return (defects >> static_cast<uint32_t>(result) & 1) != 0; }
  void add(ParseResult result) { defects |= 1u << static_cast<uint32_t>(result); }
  uint32_t payload() const { return udp + 8; }
  uint32_t payload_length() const { return udp_length - 8; }
};

inline void read_udp(const uint8_t* frame, uint32_t length, bool verify, Reading& out) {
  const uint8_t* udp = frame + out.udp;
  if (length < 8) return out.add(ParseResult::truncated);
  out.udp_length = be16(udp + 4);
  if (out.udp_length < 8 || out.udp_length > length) return out.add(ParseResult::bad_udp_length);
  uint32_t stored = be16(udp + 6);
  if (!verify || (stored == 0 && !out.ipv6)) return;
  uint32_t pseudo = ones_sum_pseudo(frame + out.ip, out.ipv6, out.udp_length);
  if (stored != 0 && ones_sum(udp, out.udp_length, pseudo) == 0xffff) return;
  out.add(stored != 0 && stored == pseudo ? ParseResult::unfinished_checksum : ParseResult::bad_udp_checksum);
}

inline void read_ipv4(const uint8_t* frame, uint32_t length, bool verify, Reading& out) {
  const uint8_t* ip = frame + out.ip;
  out.ipv6 = false;
  if (length < 20) return out.add(ParseResult::truncated);
  if (ip[0] / 16 != 4 || ip[0] % 16 < 5) return out.add(ParseResult::bad_ip_header);
  if (ip[0] % 16 > 5) return out.add(ParseResult::ip_options);
  uint32_t total = be16(ip + 2);
  if (total < 20) return out.add(ParseResult::bad_ip_header);
  if (total > length) return out.add(ParseResult::truncated);
  if (verify && ones_sum(ip, 20) != 0xffff) out.add(ParseResult::bad_ip_checksum);
  bool more_fragments = (ip[6] & 0x20) != 0;
  if (more_fragments || be16(ip + 6) % 0x2000 != 0) out.add(ParseResult::fragment);
  if (ip[8] == 0) out.add(ParseResult::ttl_zero);
  if (ip[12] == 0 && ip[13] == 0 && ip[14] == 0 && ip[15] == 0) out.add(ParseResult::zero_source);
  if (ip[12] >= 224 && ip[12] <= 239) out.add(ParseResult::multicast_source);
  if (ip[12] == 255 && ip[13] == 255 && ip[14] == 255 && ip[15] == 255)
    out.add(ParseResult::broadcast_source);
  if (ip[9] != 17) out.add(ParseResult::wrong_protocol);
  if (out.has(ParseResult::fragment) || ip[9] != 17) return;
  out.udp = out.ip + 20;
  read_udp(frame, total - 20, verify, out);
}

inline void read_ipv6(const uint8_t* frame, uint32_t length, bool verify, Reading& out) {
  const uint8_t* ip = frame + out.ip;
  out.ipv6 = true;
  if (length < 40) return out.add(ParseResult::truncated);
  if (ip[0] / 16 != 6) return out.add(ParseResult::bad_ip_header);
  if (40 + be16(ip + 4) > length) return out.add(ParseResult::truncated);
  uint32_t any = 0;
  for (int i = 8; i < 24; i++) any += ip[i];
  if (ip[6] == 44) out.add(ParseResult::fragment);
  if (ip[7] == 0) out.add(ParseResult::ttl_zero);
  if (any == 0) out.add(ParseResult::zero_source);
  if (ip[8] == 255) out.add(ParseResult::multicast_source);
  if (ip[6] != 17 && ip[6] != 44) out.add(ParseResult::wrong_protocol);
  if (ip[6] != 17) return;
  out.udp = out.ip + 40;
  read_udp(frame, be16(ip + 4), verify, out);
}

inline Reading read_frame(const uint8_t* frame, uint32_t length, const ParseOptions& options) {
  Reading out{};
  if (length < 14) {
    out.add(ParseResult::truncated);
    return out;
  }
  uint32_t type = be16(frame + 12);
  int32_t vlan = -1;
  out.ip = 14;
  if (type == 0x8100) {
    if (length < 18) out.add(ParseResult::truncated);
    if (out.defects != 0) return out;
    vlan = static_cast<int32_t>(be16(frame + 14) % 4096);
    type = be16(frame + 16);
    out.ip = 18;
  }
  bool tagged = vlan > 0;  // identifier 0 is that of no VLAN
  if (tagged ? vlan != options.vlan : options.vlan >= 0) out.add(ParseResult::wrong_vlan);
  if (frame[6] % 2 == 1) out.add(ParseResult::group_source_mac);  // the bit that is sent first
  if (type == 0x0800) {
    read_ipv4(frame, length - out.ip, options.verify_checksums, out);
  } else if (type == 0x86dd) {
    read_ipv6(frame, length - out.ip, options.verify_checksums, out);
  } else {
    out.add(ParseResult::wrong_ethertype);
  }
  return out;
}

}  // namespace carom::test
