// Checksums of any frame (RFC 1071), where what they are of is there.
#pragma once

#include "capture/layers.h"
#include "frame/checksum.h"

namespace carom {

enum class ChecksumState : uint8_t {
  unknown,     // not all of it is there: a fragment, or cut short; or its length makes no sense
  good,        //
  none,        // UDP over IPv4 without one
  bad,         //
  unfinished,  // left to a NIC: usual in a capture taken where the frame was sent
};

// The bytes that the transport's checksum is of; 0: not all of them are there.
inline uint32_t summed_size(const uint8_t* frame, const Layers& layers) noexcept {
  bool is_whole = layers.transport != 0 && !layers.fragment && layers.whole && !layers.unsized;
  if (!is_whole || layers.final_destination == 0) return 0;
  uint32_t size = layers.end - layers.transport;
  if (layers.protocol != PROTOCOL_UDP) return size;
  uint32_t said = load_be16(frame + layers.transport + 4);
  return said < UDP_SIZE || said > size ? 0 : said;
}

// The pseudo header of UDP (RFC 768), TCP (RFC 9293, 3.1) and ICMPv6 (RFC 8200, 8.1), with the final
// destination; ICMP has none.
inline uint64_t pseudo_sum(const uint8_t* frame, const Layers& layers, uint32_t size) noexcept {
  if (layers.protocol == PROTOCOL_ICMP) return 0;
  uint64_t sum = checksum_add(0, frame + layers.source(), layers.address_size());
  sum = checksum_add(sum, frame + layers.final_destination, layers.address_size());
  sum = checksum_add_word(sum, __builtin_bswap16(static_cast<uint16_t>(size)));
  return checksum_add_word(sum, static_cast<uint64_t>(layers.protocol) << 8);
}

// Of the IPv4 header.
inline ChecksumState check_header(const uint8_t* frame, uint32_t length, const Layers& layers) noexcept {
  if (!layers.ipv4 || layers.payload > length) return ChecksumState::unknown;
  uint64_t sum = checksum_add(0, frame + layers.network, layers.payload - layers.network);
  return checksum_fold(sum) == 0xffff ? ChecksumState::good : ChecksumState::bad;
}

// Of UDP or TCP.
inline ChecksumState check_transport(const uint8_t* frame, const Layers& layers) noexcept {
  uint32_t size = layers.ports ? summed_size(frame, layers) : 0;
  if (size == 0) return ChecksumState::unknown;
  uint16_t stored;
  memcpy(&stored, frame + layers.checksum, 2);
  if (layers.protocol == PROTOCOL_UDP && stored == 0)
    return layers.ipv6 ? ChecksumState::bad : ChecksumState::none;
  uint64_t pseudo = pseudo_sum(frame, layers, size);
  if (checksum_fold(checksum_add(pseudo, frame + layers.transport, size)) == 0xffff)
    return ChecksumState::good;
  return stored == checksum_fold(pseudo) ? ChecksumState::unfinished : ChecksumState::bad;
}

}  // namespace carom
