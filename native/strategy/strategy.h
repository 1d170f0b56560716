// What a strategy sees and says. A strategy is a class with on_tick(); loops are made for each of them.
#pragma once

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "wire.gen.h"

namespace carom {

struct Tick {
  uint64_t symbol;  // the 8 bytes as one word
  uint32_t price;   // cents
  uint32_t quantity;
  uint64_t timestamp;  // ns

  static Tick read(const uint8_t* bytes) noexcept {
    Tick tick;
    memcpy(&tick.symbol, bytes + offsetof(market_data, symbol), 8);
    memcpy(&tick.price, bytes + offsetof(market_data, price), 4);
    memcpy(&tick.quantity, bytes + offsetof(market_data, quantity), 4);
    memcpy(&tick.timestamp, bytes + offsetof(market_data, timestamp), 8);
    return tick;
  }

  void write(uint8_t* bytes) const noexcept {
    memcpy(bytes + offsetof(market_data, symbol), &symbol, 8);
    memcpy(bytes + offsetof(market_data, price), &price, 4);
    memcpy(bytes + offsetof(market_data, quantity), &quantity, 4);
    memcpy(bytes + offsetof(market_data, timestamp), &timestamp, 8);
  }
};

struct Decision {
  bool order;  // false: nothing is sent
  uint8_t side;
  uint32_t price;
  uint32_t quantity;
};

struct StrategyConfig {
  uint32_t threshold;
  uint32_t quantity;
  int32_t price_offset;
  uint8_t side;
  std::vector<std::string> symbols;  // empty: all
};

}  // namespace carom
