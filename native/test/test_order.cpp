// Order bytes and clOrdId: against the C library, at the edges and by chance.
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "order/native_order.h"
#include "strategy/runner.h"
#include "test/test.h"

namespace carom::test {
namespace {

void check_hex(uint64_t value) {
  char expected[17];
  char written[17] = {};
  snprintf(expected, sizeof expected, "%016" PRIx64, value);
  write_hex(written, value);
  expect(memcmp(written, expected, 16) == 0, "hex digits as snprintf writes them");
  expect_equal(read_hex(written), strtoull(written, nullptr, 16), "value as strtoull reads it");
  for (char& c : written) c = static_cast<char>(c >= 'a' ? c - 32 : c);
  expect_equal(read_hex(written), value, "value of upper-case digits");
}

void hex(Chance& chance) {
  for (uint32_t bit = 0; bit < 64; bit++) {
    for (uint64_t value : {(1ull << bit) - 1, 1ull << bit, (1ull << bit) + 1}) check_hex(value);
  }
  for (uint64_t nibble = 0; nibble < 16; nibble++) {
    check_hex(nibble * 0x1111111111111111ull);
    for (uint32_t at = 0; at < 64; at += 4) check_hex(nibble << at);
  }
  for (int i = 0; i < 1'000'000; i++) check_hex(chance.any_size());
}

bool canonical(const char* text) {
  for (int i = 0; i < 16; i++) {
    if (!(text[i] >= '0' && text[i] <= '9') && !(text[i] >= 'a' && text[i] <= 'f')) return false;
  }
  return true;
}

// What isn't 16 lower-case hex digits never comes out of write_hex again: the ledger relies on it.
void not_hex(Chance& chance) {
  char text[16];
  char again[16];
  auto check = [&] {
    write_hex(again, read_hex(text));
    expect((memcmp(again, text, 16) == 0) == canonical(text), "only canonical text comes back");
  };
  for (int at = 0; at < 16; at++) {
    for (int byte = 0; byte < 256; byte++) {  // each byte in each place
      write_hex(text, chance.next());
      text[at] = static_cast<char>(byte);
      check();
    }
  }
  for (int i = 0; i < 1'000'000; i++) {
    chance.fill(reinterpret_cast<uint8_t*>(text), 16);
    if (chance.one_in(2)) {
      write_hex(text, chance.next());
      for (uint32_t changes = 1 + chance.below(3); changes > 0; changes--) {
        text[chance.below(16)] = static_cast<char>(chance.byte());
      }
    }
    check();
  }
}

void order_bytes(Chance& chance) {
  uint8_t order[TRADING_ORDER_SIZE + 1];
  for (int i = 0; i < 10'000; i++) {
    uint64_t symbol = chance.next(), now_ns = chance.any_size(), timestamp = chance.any_size();
    uint32_t price = chance.word(), quantity = chance.word();
    uint8_t side = static_cast<uint8_t>(chance.below(2));
    chance.fill(order, sizeof order);
    uint8_t behind = order[TRADING_ORDER_SIZE];
    write_order(order, symbol, price, quantity, side, now_ns, timestamp);
    // formats.md, by hand: offsets 0, 8, 12, 16, 17 and 25, little-endian.
    uint8_t expected[TRADING_ORDER_SIZE];
    memcpy(expected, &symbol, 8);
    for (int b = 0; b < 4; b++) expected[8 + b] = static_cast<uint8_t>(price >> 8 * b);
    for (int b = 0; b < 4; b++) expected[12 + b] = static_cast<uint8_t>(quantity >> 8 * b);
    expected[16] = side;
    for (int b = 0; b < 8; b++) expected[17 + b] = static_cast<uint8_t>(now_ns >> 8 * b);
    char id[17];
    snprintf(id, sizeof id, "%016" PRIx64, timestamp);
    memcpy(expected + 25, id, 16);
    expect(memcmp(order, expected, sizeof expected) == 0, "the 41 bytes");
    expect_equal(order[TRADING_ORDER_SIZE], behind, "the byte behind them");
  }
}

void tick_bytes(Chance& chance) {
  for (int i = 0; i < 10'000; i++) {
    Tick tick{{chance.next(), chance.word(), chance.word(), chance.next()}};
    uint8_t bytes[MARKET_DATA_SIZE];
    tick.write(bytes);
    uint32_t price = 0;
    for (int b = 3; b >= 0; b--) price = price << 8 | bytes[8 + b];
    expect_equal(price, tick.price, "price at 8, little-endian");
    Tick read = Tick::read(bytes);
    expect(read.symbol == tick.symbol && read.price == tick.price && read.quantity == tick.quantity &&
               read.timestamp == tick.timestamp,
           "a tick read back");
  }
}

const Tests TESTS{
    {"order: hex digits as the C library writes and reads them", hex},
    {"order: what is not 16 lower-case hex digits is never taken for it", not_hex},
    {"order: the 41 bytes of formats.md, and no other", order_bytes},
    {"order: a tick's 24 bytes there and back", tick_bytes},
};

}  // namespace
}  // namespace carom::test
