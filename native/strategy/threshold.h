// The default strategy: a tick below the threshold gives one order (formats.md), any other none.
#pragma once

#include "strategy/strategy.h"
#include "strategy/symbol_set.h"

namespace carom {

class Threshold {
 public:
  explicit Threshold(const StrategyConfig& config)
      : threshold_(config.threshold),
        quantity_(config.quantity),
        price_offset_(config.price_offset),
        side_(config.side),
        symbols_(config.symbols) {}

  Decision on_tick(const Tick& tick) noexcept {
    if (tick.price >= threshold_ || !symbols_.contains(tick.symbol)) return {false, 0, 0, 0};
    int64_t price = static_cast<int64_t>(tick.price) + price_offset_;
    // An order's price has 32 bits: one that does not fit is not sent rather than wrapped around.
    if (price < 0 || price > UINT32_MAX) return {false, 0, 0, 0};
    return {true, side_, static_cast<uint32_t>(price), quantity_};
  }

 private:
  uint32_t threshold_;
  uint32_t quantity_;
  int64_t price_offset_;
  uint8_t side_;
  SymbolSet symbols_;
};

}  // namespace carom
