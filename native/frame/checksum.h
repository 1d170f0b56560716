// The Internet checksum (RFC 1071), 8 bytes at a time. Sums are in memory order: the result is stored as it
// is.
#pragma once

#include <cstdint>
#include <cstring>

namespace carom {

// One's complement sum of the bytes, not folded; an odd last byte counts as if followed by a zero.
inline uint64_t checksum_add(uint64_t sum, const uint8_t* bytes, uint32_t length) noexcept {
  uint64_t word;
  uint64_t carry = 0;
  while (length >= 8) {
    memcpy(&word, bytes, 8);
    sum += word;
    carry += sum < word;
    bytes += 8;
    length -= 8;
  }
  if (length >= 4) {
    uint32_t half;
    memcpy(&half, bytes, 4);
    sum += half;
    carry += sum < half;
    bytes += 4;
    length -= 4;
  }
  if (length != 0) {
    word = bytes[0];
    if (length > 1) word |= static_cast<uint64_t>(bytes[1]) << 8;
    if (length > 2) word |= static_cast<uint64_t>(bytes[2]) << 16;
    sum += word;
    carry += sum < word;
  }
  sum += carry;
  return sum + (sum < carry);
}

inline uint64_t checksum_add_word(uint64_t sum, uint64_t word) noexcept {
  sum += word;
  return sum + (sum < word);
}

// Folds to 16 bits, in memory order.
inline uint16_t checksum_fold(uint64_t sum) noexcept {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(sum);
}

}  // namespace carom
