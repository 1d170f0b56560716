// Decision to order bytes and back, in carom's native format (wire/schema.ts).
#pragma once

#include <cstdint>
#include <cstring>

#include "wire.gen.h"

namespace carom {

// 8 lower-case hex digits of 32 bits, in memory order: all nibbles at once, in one word.
inline uint64_t hex_digits(uint32_t value) noexcept {
  uint64_t x = value;
  x = ((x << 16) | x) & 0x0000ffff0000ffffull;
  x = ((x << 8) | x) & 0x00ff00ff00ff00ffull;
  x = ((x << 4) | x) & 0x0f0f0f0f0f0f0f0full;
  uint64_t letters =
      ((x + 0x0606060606060606ull) >> 4) & 0x0101010101010101ull;  // 1 where the nibble is a to f
  return __builtin_bswap64(x + 0x3030303030303030ull + letters * ('a' - '0' - 10));
}

inline void write_hex(char* out, uint64_t value) noexcept {
  uint64_t high = hex_digits(static_cast<uint32_t>(value >> 32));
  uint64_t low = hex_digits(static_cast<uint32_t>(value));
  memcpy(out, &high, 8);
  memcpy(out + 8, &low, 8);
}

// The value of 8 hex digits. Other characters give some value or other: the caller compares the text
// afterwards.
inline uint32_t hex_value(const char* text) noexcept {
  uint64_t x;
  memcpy(&x, text, 8);
  x = __builtin_bswap64(x);
  uint64_t letters = (x >> 6) & 0x0101010101010101ull;
  x = (x & 0x0f0f0f0f0f0f0f0full) + letters * 9;
  x = (x | (x >> 4)) & 0x00ff00ff00ff00ffull;
  x = (x | (x >> 8)) & 0x0000ffff0000ffffull;
  return static_cast<uint32_t>(x | (x >> 16));
}

// The timestamp a clOrdId stands for; right only when write_hex of it gives the same text again.
inline uint64_t read_hex(const char* text) noexcept {
  return static_cast<uint64_t>(hex_value(text)) << 32 | hex_value(text + 8);
}

// All 41 bytes, each time: the buffer may hold anything.
inline void write_order(uint8_t* out, uint64_t symbol, uint32_t price, uint32_t quantity, uint8_t side,
                        uint64_t now_ns, uint64_t tick_timestamp) noexcept {
  trading_order order;
  memcpy(order.symbol, &symbol, 8);
  order.price = price;
  order.quantity = quantity;
  order.side = side;
  order.timestamp = now_ns;
  write_hex(order.cl_ord_id, tick_timestamp);
  memcpy(out, &order, sizeof order);
}

}  // namespace carom
