// Frames for the tests: good ones of every kind, made byte by byte, and what chance makes of them.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "test/reference.h"
#include "test/test.h"

namespace carom::test {

constexpr uint32_t MAX_FRAME = 2048;

struct FrameFields {
  uint8_t destination_mac[6];
  uint8_t source_mac[6];
  int32_t vlan = -1;  // -1: untagged
  bool ipv6 = false;
  uint8_t source[16];  // IPv4 in the first four bytes
  uint8_t destination[16];
  uint16_t source_port;
  uint16_t destination_port;
  uint8_t ttl = 16;
  uint8_t dscp = 0;
  bool udp_checksum = true;
  const uint8_t* payload = nullptr;
  uint32_t payload_length = 0;
  uint32_t padding = 0;  // bytes behind the IP packet, as Ethernet has them behind short ones
};

// Writes the checksums into a frame, as far as it has the fields for them, and with the offsets of a good
// frame. `finish` false leaves UDP's to a NIC that never comes.
inline void repair(uint8_t* frame, uint32_t length, bool finish = true) {
  if (length < 14) return;
  uint32_t ip = be16(frame + 12) == 0x8100 ? 18 : 14;
  if (length < ip + 20) return;
  bool ipv6 = be16(frame + ip - 2) == 0x86dd;
  uint32_t header = ipv6 ? 40 : 20;
  if (!ipv6) {
    put_be16(frame + ip + 10, 0);
    put_be16(frame + ip + 10, ~ones_sum(frame + ip, 20) & 0xffff);
  }
  if (length < ip + header + 8) return;
  uint8_t* udp = frame + ip + header;
  uint32_t udp_length = be16(udp + 4);
  if (ip + header + udp_length > length) return;
  put_be16(udp + 6, 0);
  uint32_t pseudo = ones_sum_pseudo(frame + ip, ipv6, udp_length);
  uint32_t sum = finish ? ~ones_sum(udp, udp_length, pseudo) & 0xffff : pseudo;
  put_be16(udp + 6, sum == 0 ? 0xffff : sum);
}

// Returns the length.
inline uint32_t build(const FrameFields& fields, uint8_t* out) {
  uint8_t* at = out;
  memcpy(at, fields.destination_mac, 6);
  memcpy(at + 6, fields.source_mac, 6);
  at += 12;
  if (fields.vlan >= 0) {
    put_be16(at, 0x8100);
    put_be16(at + 2, static_cast<uint32_t>(fields.vlan));
    at += 4;
  }
  put_be16(at, fields.ipv6 ? 0x86dd : 0x0800);
  at += 2;
  uint32_t udp_length = 8 + fields.payload_length;
  uint32_t address_size = fields.ipv6 ? 16 : 4;
  memset(at, 0, 40);
  if (fields.ipv6) {
    put_be16(at, 0x6000u | static_cast<uint32_t>(fields.dscp) << 6);
    put_be16(at + 4, udp_length);
    at[6] = 17;
    at[7] = fields.ttl;
  } else {
    at[0] = 0x45;
    at[1] = static_cast<uint8_t>(fields.dscp << 2);
    put_be16(at + 2, 20 + udp_length);
    at[8] = fields.ttl;
    at[9] = 17;
  }
  at += fields.ipv6 ? 8 : 12;
  memcpy(at, fields.source, address_size);
  memcpy(at + address_size, fields.destination, address_size);
  at += 2 * address_size;
  put_be16(at, fields.source_port);
  put_be16(at + 2, fields.destination_port);
  put_be16(at + 4, udp_length);
  put_be16(at + 6, 0);
  if (fields.payload_length != 0) memcpy(at + 8, fields.payload, fields.payload_length);
  memset(at + udp_length, 0xee, fields.padding);
  uint32_t length = static_cast<uint32_t>(at - out) + udp_length + fields.padding;
  repair(out, length);
  if (!fields.udp_checksum) put_be16(at + 6, 0);
  return length;
}

// One change of a frame of at most MAX_FRAME bytes; returns the new length. `other` is another frame, to
// splice.
inline uint32_t mutate_once(Chance& chance, uint8_t* frame, uint32_t length, const uint8_t* other,
                            uint32_t other_length) {
  constexpr uint8_t EDGES[] = {0x00, 0x01, 0x7f, 0x80, 0xfe, 0xff};
  constexpr uint32_t FIELDS[] = {12, 14, 16, 18, 20, 34, 36, 38, 42, 54, 56, 58};  // types, flags and lengths
  uint32_t near = std::min(length, chance.one_in(4) ? length : 70u);               // the headers, mostly
  switch (chance.below(8)) {
    case 0:
      if (near > 0) frame[chance.below(near)] ^= static_cast<uint8_t>(1u << chance.below(8));
      return length;
    case 1:
      if (near > 0) frame[chance.below(near)] = chance.byte();
      return length;
    case 2:
      if (near > 0) frame[chance.below(near)] = EDGES[chance.below(6)];
      return length;
    case 3: {
      uint32_t field = FIELDS[chance.below(12)];
      if (field + 2 <= length) put_be16(frame + field, be16(frame + field) + chance.below(65) - 32);
      return length;
    }
    case 4:
      return chance.below(length + 1);
    case 5: {
      uint32_t more = std::min(chance.below(64), MAX_FRAME - length);
      chance.fill(frame + length, more);
      return length + more;
    }
    case 6: {  // the other one's end behind our beginning
      uint32_t from = chance.below(std::min(length, other_length) + 1);
      memcpy(frame + from, other + from, other_length - from);
      return other_length;
    }
    default: {  // a few bytes fewer, or twice
      uint32_t at = chance.below(length + 1);
      uint32_t size = std::min(chance.below(9), length - at);
      if (chance.one_in(2)) {
        memmove(frame + at, frame + at + size, length - at - size);
        return length - size;
      }
      size = std::min(size, MAX_FRAME - length);
      memmove(frame + at + size, frame + at, length - at);
      return length + size;
    }
  }
}

// Up to five changes, or none, or nothing but chance; half of the time with checksums that fit again, so that
// what lies behind them is reached.
inline uint32_t mutate(Chance& chance, uint8_t* frame, uint32_t length, const uint8_t* other,
                       uint32_t other_length) {
  uint32_t kind = chance.below(32);
  if (kind == 0) {
    length = chance.below(128);
    chance.fill(frame, length);
    return length;
  }
  if (kind < 4) return length;
  uint32_t changes = 1 + chance.below(chance.one_in(2) ? 1 : 5);
  for (uint32_t i = 0; i < changes; i++) length = mutate_once(chance, frame, length, other, other_length);
  if (chance.one_in(2)) repair(frame, length, !chance.one_in(16));
  return length;
}

}  // namespace carom::test
