#include "capture/fingerprint.h"

#include <cstring>

#include "capture/layers.h"
#include "wire.gen.h"

namespace carom {
namespace {

// 64 bits, 8 bytes at a time: multiplied to 128 bits and folded, as wyhash has it
// (https://github.com/wangyi-fudan/wyhash).
uint64_t fold(uint64_t a, uint64_t b) noexcept {
  unsigned __int128 product = static_cast<unsigned __int128>(a) * b;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

uint64_t hash_bytes(uint64_t seed, const uint8_t* bytes, uint32_t length) noexcept {
  constexpr uint64_t FIRST = 0xa0761d6478bd642full;
  constexpr uint64_t SECOND = 0xe7037ed1a0b428dbull;
  uint64_t hash = seed ^ length;
  uint64_t word;
  while (length > 8) {
    memcpy(&word, bytes, 8);
    hash = fold(word ^ SECOND, hash ^ FIRST);
    bytes += 8;
    length -= 8;
  }
  word = 0;
  if (length != 0) memcpy(&word, bytes, length);  // of a frame without a byte there may be no address
  return fold(fold(word ^ SECOND, hash ^ FIRST) ^ SECOND, FIRST);
}

// Zeros, as far as the frame goes.
void wipe(uint8_t* frame, uint32_t captured, uint32_t at, uint32_t length) noexcept {
  if (at < captured) memset(frame + at, 0, std::min(length, captured - at));
}

void wipe_stamps(uint8_t* frame, uint32_t captured, uint32_t from, uint32_t end, bool ticks) noexcept {
  uint32_t size = ticks ? MARKET_DATA_SIZE : TRADING_ORDER_SIZE;
  for (uint32_t at = from; at + size <= std::min(end, captured); at += size) {
    if (ticks) {
      wipe(frame, captured, at + offsetof(market_data, timestamp), 8);
    } else {
      wipe(frame, captured, at + offsetof(trading_order, timestamp), 8 + 16);  // the clOrdId is behind it
    }
  }
}

}  // namespace

uint64_t Fingerprint::of(const uint8_t* frame, uint32_t captured) {
  if (!ignored_.any()) return hash_bytes(seed_, frame, captured);
  if (copy_.size() < captured) copy_.resize(captured);
  if (captured != 0) memcpy(copy_.data(), frame, captured);
  return hash_bytes(seed_, copy_.data(), blank(copy_.data(), captured));
}

// Returns how many bytes of it count.
uint32_t Fingerprint::blank(uint8_t* frame, uint32_t captured) const noexcept {
  Layers found = find_layers(frame, captured);
  if (ignored_.mac) wipe(frame, captured, 0, 12);
  if (found.network == 0) return captured;
  uint32_t ip = found.network;
  uint32_t end = captured;
  if (found.ip()) {
    bool udp = found.protocol == PROTOCOL_UDP;
    uint16_t port = udp && found.ports ? load_be16(frame + found.payload + 2) : 0;  // neither is 0
    bool stamps = ignored_.timestamp && (port == tick_port_ || port == order_port_);
    bool sums = ignored_.checksum || ignored_.ip || ignored_.port || stamps;
    if (ignored_.ttl) wipe(frame, captured, ip + (found.ipv6 ? 7 : 8), 1);
    if (ignored_.dscp && found.ipv6) {
      if (ip + 1 < captured) {
        frame[ip] &= 0xf0;
        frame[ip + 1] &= 0x0f;
      }
    } else if (ignored_.dscp) {
      wipe(frame, captured, ip + 1, 1);
    }
    if (!found.ipv6 && (ignored_.ttl || ignored_.dscp || ignored_.checksum || ignored_.ip)) {
      wipe(frame, captured, ip + 10, 2);
    }
    if (ignored_.ip) wipe(frame, captured, found.source(), 2 * found.address_size());
    if (stamps) wipe_stamps(frame, captured, found.payload + UDP_SIZE, found.end, port == tick_port_);
    if (found.ports && ignored_.port) wipe(frame, captured, found.payload, 4);
    if (found.ports && sums) wipe(frame, captured, found.payload + (udp ? 6 : 16), 2);
    if (ignored_.padding && found.payload <= found.end) end = std::min(end, found.end);
  }
  if (!ignored_.vlan || found.tags == 0) return end;
  // The tags are between the addresses and the EtherType, which stays.
  uint32_t type = ip - 2;
  memmove(frame + 12, frame + type, end - type);
  return end - (type - 12);
}

}  // namespace carom
