// The strategies and the limit on answers a second time: naive, symbols as texts in a map, the averages as
// weighted sums of 128 bits, the book as distances, as docs/strategies.md says they must be.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "order/answer_limit.h"
#include "strategy/runner.h"
#include "test/test.h"

namespace carom::test {

class StrategyModel {
 public:
  explicit StrategyModel(const StrategyConfig& config) : config(config) {}

  Decision decide(const Tick& tick) {
    const strategy_settings& s = config.settings;
    std::string symbol(reinterpret_cast<const char*>(&tick.symbol), 8);
    if (!config.symbols.empty() && !is_listed(symbol)) return no(WHY_NOT_TRADED);
    if (config.id == STRATEGY_echo) return order(tick, s.side != 0, s.price_offset);
    if (config.id == STRATEGY_threshold)
      return tick.price < s.threshold ? order(tick, s.side != 0, s.price_offset) : no(WHY_NOT_BELOW);
    if (config.symbols.empty() && !symbols_.contains(symbol) && symbols_.size() >= config.symbol_limit)
      return no(WHY_OVER_LIMIT);
    Symbol& known = symbols_[symbol];
    if (config.id == STRATEGY_crossover) return crossover(known, tick);
    expect(config.id == STRATEGY_book, "a strategy that the model knows");
    return book(known, tick);
  }

  StrategyConfig config;  // the settings may be changed between two ticks

 private:
  struct Symbol {
    uint64_t ticks = 0;
    unsigned __int128 fast = 0, slow = 0;
    int side = 0;                // +1: the fast average was above when they last differed
    int64_t bid = -1, ask = -1;  // -1: none yet
    bool wide = false;
  };

  bool is_listed(const std::string& symbol) const {
    return std::any_of(config.symbols.begin(), config.symbols.end(), [&](std::string name) {
      name.resize(8, ' ');
      return name == symbol;
    });
  }

  static Decision no(decision_why why) { return {0, 0, 0, 0, static_cast<uint8_t>(why), 0}; }

  Decision order(const Tick& tick, bool sells, int64_t offset) const {
    int64_t price = int64_t{tick.price} + offset;
    if (price < 0 || price >= int64_t{1} << 32) return no(WHY_PRICE_RANGE);
    return {static_cast<uint32_t>(price), config.settings.quantity, 1, sells, WHY_ORDER, 0};
  }

  Decision towards(const Tick& tick, bool sells) const {
    int64_t offset = config.settings.price_offset;
    return order(tick, sells, sells ? -offset : offset);
  }

  // What is nearer to the newest price by weight / 2^16, in units of 2^-12 cents, rounded down.
  static unsigned __int128 average(unsigned __int128 last, uint32_t price, uint32_t weight) {
    unsigned __int128 newest = static_cast<unsigned __int128>(price) * 4096;
    return (last * (65536 - weight) + newest * weight) / 65536;
  }

  Decision crossover(Symbol& symbol, const Tick& tick) const {
    const strategy_settings& s = config.settings;
    bool first = symbol.ticks == 0;
    symbol.fast = average(symbol.fast, tick.price, first ? 65536 : s.fast_weight);
    symbol.slow = average(symbol.slow, tick.price, first ? 65536 : s.slow_weight);
    int before = symbol.side;
    if (symbol.fast > symbol.slow) symbol.side = 1;
    if (symbol.fast < symbol.slow) symbol.side = -1;
    if (symbol.ticks < s.slow_ticks) {
      symbol.ticks++;
      return no(WHY_TOO_FEW);
    }
    return before * symbol.side < 0 ? towards(tick, symbol.side < 0) : no(WHY_NOT_CROSSED);
  }

  Decision book(Symbol& symbol, const Tick& tick) const {
    int64_t price = tick.price;
    if (symbol.bid < 0) symbol.bid = symbol.ask = price;
    bool nearer_to_bid = price - symbol.bid <= symbol.ask - price;
    (nearer_to_bid ? symbol.bid : symbol.ask) = price;
    bool was_wide = std::exchange(symbol.wide, symbol.ask - symbol.bid > config.settings.spread);
    return was_wide && !symbol.wide ? towards(tick, nearer_to_bid) : no(WHY_SPREAD);
  }

  std::map<std::string, Symbol> symbols_;
};

// Whoever has a turn outstanding is busy; at most four of a set are. Time must not go back.
class LimitModel {
 public:
  bool allowed(const answer_source& source, const answer_limit& limit, uint64_t now_ns) {
    if (limit.interval_ns == 0) return true;
    auto& set = sets_[answer_limit_set_of(&source)];
    std::erase_if(set, [&](const auto& one) { return one.second <= now_ns; });
    std::pair key{source.words[0], source.words[1]};
    auto own = set.find(key);
    if (own == set.end() && set.size() == ANSWER_LIMIT_WAYS) return false;
    uint64_t due_ns = own == set.end() ? now_ns : own->second;
    if (due_ns - now_ns > limit.tolerance_ns) return false;
    set[key] = due_ns + limit.interval_ns;
    return true;
  }

 private:
  std::map<uint32_t, std::map<std::pair<uint64_t, uint64_t>, uint64_t>> sets_;
};

}  // namespace carom::test
