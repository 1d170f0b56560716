// What is sent: the content of every tick, from a seed. The n-th tick is the same in every run with the same
// settings, whatever the backend and however late it was sent.
#pragma once

#include <algorithm>
#include <cstdint>
#include <string>
#include <vector>

#include "generate/random.h"
#include "generate/symbol_choice.h"
#include "strategy/runner.h"

namespace carom {

// Prices that move: each symbol's goes up or down by up to `step` at each of its ticks, and is thrown back at
// its bounds.
struct PriceWalk {
  uint32_t step = 0;  // cents, at most the distance of the bounds; 0: no walk, prices by chance
  uint32_t low = 0;
  uint32_t high = 0;
  int64_t start = -1;  // of every symbol; -1: each somewhere between the bounds
};

struct TickSourceConfig {
  uint64_t seed;
  double trigger_ratio;  // of the ticks, the part below the threshold; negative: as the walk goes
  std::vector<std::string> symbols;
  uint32_t price_span;  // cents on either side of the threshold, without a walk
  uint32_t threshold;
  bool unique_prices;  // prices that trigger follow one another, so that an order can be found by its price
  std::vector<double> weights = {};  // of the symbols; empty: each as often as the others
  PriceWalk walk = {};
  uint32_t lot = 100;  // quantities are a whole number of lots
  uint32_t lots_min = 1;
  uint32_t lots_max = 10;
};

// The content of ticks, but for the timestamp.
class TickSource {
 public:
  explicit TickSource(const TickSourceConfig& config)
      : random_(config.seed),
        trigger_below_(static_cast<uint64_t>(std::max(config.trigger_ratio, 0.0) * 18446744073709549568.0)),
        always_(config.trigger_ratio >= 1),
        as_it_goes_(config.trigger_ratio < 0),
        threshold_(config.threshold),
        low_span_(config.price_span < config.threshold ? config.price_span : config.threshold),
        high_span_(config.price_span < UINT32_MAX - config.threshold ? config.price_span
                                                                     : UINT32_MAX - config.threshold),
        unique_prices_(config.unique_prices),
        lot_(config.lot),
        lots_min_(config.lots_min),
        lots_(config.lots_max - config.lots_min + 1),
        choice_(config.weights),
        walk_(config.walk) {
    for (const auto& symbol : config.symbols) words_.push_back(symbol_word(symbol));
    if (walk_.step == 0) return;
    Random starts(config.seed ^ 0x7072696365ull);  // not the stream of the ticks: that is as long in any case
    for (size_t i = 0; i < words_.size(); i++) {
      uint32_t drawn = walk_.low + starts.below(walk_.high - walk_.low + 1);
      prices_.push_back(walk_.start < 0 ? drawn : static_cast<uint32_t>(walk_.start));
    }
  }

  Tick next() noexcept {
    Tick tick;
    bool triggers = always_ || random_.next() < trigger_below_;
    if (low_span_ == 0) triggers = false;
    uint64_t bits = random_.next();
    symbol_ =
        choice_.empty() ? static_cast<uint32_t>(((bits >> 32) * words_.size()) >> 32) : choice_.draw(random_);
    tick.symbol = words_[symbol_];
    tick.quantity = lot_ * (lots_min_ + static_cast<uint32_t>((bits & 0xffff) * lots_ >> 16));
    if (walk_.step != 0) {
      tick.price = step(triggers);
    } else if (!triggers) {
      tick.price = threshold_ + random_.below(high_span_);
    } else if (unique_prices_) {
      tick.price = threshold_ - 1 - low_span_used_;
      low_span_used_ = low_span_used_ + 1 == low_span_ ? 0 : low_span_used_ + 1;
    } else {
      tick.price = threshold_ - 1 - random_.below(low_span_);
    }
    tick.timestamp = 0;
    return tick;
  }

  // Which of the symbols the last tick was of.
  uint32_t symbol() const noexcept { return symbol_; }

 private:
  // The symbol's next price. One on the wrong side of the threshold is mirrored there, so that the distance
  // from the threshold walks and the trigger ratio holds.
  uint32_t step(bool triggers) noexcept {
    int64_t low = walk_.low;
    int64_t high = walk_.high;
    int64_t price = int64_t{prices_[symbol_]} - walk_.step + random_.below(2 * walk_.step + 1);
    if (price < low) price = 2 * low - price;
    if (price > high) price = 2 * high - price;
    prices_[symbol_] = static_cast<uint32_t>(price);
    if (as_it_goes_ || (price < threshold_) == triggers) return static_cast<uint32_t>(price);
    int64_t mirrored = 2 * int64_t{threshold_} - 1 - price;
    return static_cast<uint32_t>(std::clamp<int64_t>(mirrored, 0, UINT32_MAX));
  }

  Random random_;
  uint32_t symbol_ = 0;
  uint64_t trigger_below_;
  bool always_;
  bool as_it_goes_;
  uint32_t threshold_;
  uint32_t low_span_;
  uint32_t high_span_;
  bool unique_prices_;
  uint32_t low_span_used_ = 0;
  uint32_t lot_;
  uint32_t lots_min_;
  uint32_t lots_;
  SymbolChoice choice_;
  PriceWalk walk_;
  std::vector<uint32_t> prices_;  // of each symbol, with a walk
  std::vector<uint64_t> words_;
};

}  // namespace carom
