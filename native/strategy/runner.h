// A strategy with its rules and its memory, as user space runs it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "strategy/strategies.h"
#include "strategy/symbol_table.h"
#include "wire.gen.h"

namespace carom {

using Decision = decision;
using StrategyId = strategy_id;

struct Tick : tick {
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

inline constexpr const char* STRATEGY_NAMES[] = {
#define CAROM_STRATEGY_NAME(name, keeps_state) #name,
    CAROM_STRATEGIES(CAROM_STRATEGY_NAME)
#undef CAROM_STRATEGY_NAME
};

inline constexpr bool STRATEGY_STATES[] = {
#define CAROM_STRATEGY_STATE(name, keeps_state) keeps_state != 0,
    CAROM_STRATEGIES(CAROM_STRATEGY_STATE)
#undef CAROM_STRATEGY_STATE
};

inline constexpr const char* DECISION_REASONS[] = {
    "",
    "the symbol is not traded",
    "there is no room for the state of one more symbol",
    "the order's price would not fit into 32 bits",
    "the price is not below the threshold",
    "too few ticks of the symbol yet",
    "the moving averages did not cross",
    "the spread did not become narrow",
    "the strategy's state is in the kernel",
};
static_assert(sizeof DECISION_REASONS / sizeof *DECISION_REASONS == WHY_COUNT);

struct StrategyConfig {
  StrategyId id;
  strategy_settings settings;
  std::vector<std::string> symbols;  // empty: all
  uint32_t symbol_limit;             // how many symbols a strategy that keeps state has room for

  bool keeps_state() const noexcept { return STRATEGY_STATES[id]; }
};

// What can change while a strategy runs: made by whoever changes it, used by the loop.
struct StrategyRules {
  explicit StrategyRules(const StrategyConfig& config)
      : settings(config.settings), all(config.symbols.empty()), traded(config.symbols, 0) {}

  strategy_settings settings;
  bool all;
  SymbolTable traded;
};

// The memory of a strategy; decides tick by tick.
class StrategyRunner {
 public:
  explicit StrategyRunner(const StrategyConfig& config)
      : id_(config.id),
        open_(config.symbols.empty()),
        symbols_(config.keeps_state() ? config.symbols : std::vector<std::string>{},
                 config.keeps_state() ? config.symbol_limit : 0),
        states_(symbols_.limit()) {}

  template <StrategyId ID>
  Decision on_tick(const StrategyRules& rules, const Tick& tick) noexcept {
    if constexpr (STRATEGY_STATES[ID]) {
      uint32_t number = open_ ? symbols_.add(tick.symbol) : symbols_.find(tick.symbol);
      if (number == SymbolTable::NONE) [[unlikely]]
        return no_order(open_ ? WHY_OVER_LIMIT : WHY_NOT_TRADED);
      return strategy_on_tick(ID, &rules.settings, &states_[number], &tick);
    } else {
      if (!rules.all && rules.traded.find(tick.symbol) == SymbolTable::NONE) return no_order(WHY_NOT_TRADED);
      return strategy_on_tick(ID, &rules.settings, nullptr, &tick);
    }
  }

  // The same, where the strategy is known only when it runs.
  Decision on_tick(const StrategyRules& rules, const Tick& tick) noexcept {
    switch (id_) {
#define CAROM_STRATEGY_CASE(name, keeps_state) \
  case STRATEGY_##name:                        \
    return on_tick<STRATEGY_##name>(rules, tick);
      CAROM_STRATEGIES(CAROM_STRATEGY_CASE)
#undef CAROM_STRATEGY_CASE
      case STRATEGY_COUNT:
        break;
    }
    return no_order(WHY_NOT_TRADED);
  }

  size_t symbols() const noexcept { return symbols_.size(); }

 private:
  StrategyId id_;
  bool open_;  // any symbol gets its state, up to the limit
  SymbolTable symbols_;
  std::vector<symbol_state> states_;
};

}  // namespace carom
