// Native ticks and orders in a capture, and the round trips between them as the capture has them.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>

#include "capture/tick_memory.h"
#include "capture/top_table.h"
#include "core/histogram.h"
#include "frame/parse.h"
#include "wire.gen.h"

namespace carom {

struct SymbolCount {
  uint64_t frames = 0;  // ticks and orders
  uint64_t ticks = 0;
  uint64_t orders = 0;

  void add(const SymbolCount& other) noexcept {
    frames += other.frames;
    ticks += other.ticks;
    orders += other.orders;
  }
};

struct TradingCounters {
  uint64_t tick_datagrams = 0;
  uint64_t ticks = 0;
  uint64_t tick_copies = 0;    // with a timestamp that was there before, as on a second line
  uint64_t partial_ticks = 0;  // datagrams with bytes behind the last whole tick
  uint64_t order_datagrams = 0;
  uint64_t orders = 0;
  uint64_t partial_orders = 0;
  std::array<uint64_t, 3> sides{};  // buy, sell, anything else
  uint64_t matched = 0;             // orders, each the first one for its tick
  uint64_t repeated = 0;            // further ones
  uint64_t unmatched = 0;           // no such tick came before, or not among the latest
  uint64_t bad_ids = 0;             // clOrdId that stands for no tick
  uint64_t early = 0;               // before their tick, by the times of the capture
  uint64_t unfinished = 0;          // datagrams whose checksum was left to a NIC; they count
  std::array<uint64_t, static_cast<size_t>(ParseResult::COUNT)> refused{};  // datagrams to these ports
};

class Trading {
 public:
  using Symbols = TopTable<std::array<char, 8>, SymbolCount>;

  Trading(uint16_t tick_port, uint16_t order_port) : tick_port_(tick_port), order_port_(order_port) {}

  bool wants(uint16_t port) const noexcept { return port == tick_port_ || port == order_port_; }

  // A frame to one of these ports, as a responder would take it.
  void add(const uint8_t* frame, uint32_t captured, uint64_t time_ns);

  const TradingCounters& counters() const noexcept { return counters_; }
  const Symbols& symbols() const noexcept { return symbols_; }
  const Histogram& round_trips() const noexcept { return round_trips_; }

 private:
  void tick(const market_data& tick, uint64_t time_ns);
  void order(const trading_order& order, uint64_t time_ns);

  uint16_t tick_port_;
  uint16_t order_port_;
  TradingCounters counters_;
  Symbols symbols_{1 << 16};
  Histogram round_trips_;
  TickMemory ticks_;
};

}  // namespace carom
