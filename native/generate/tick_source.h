// What is sent and when: the planned time and the content of every tick, from a seed. The n-th tick is the
// same in every run with the same settings, whatever the backend and however late it was sent.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "strategy/runner.h"

namespace carom {

// xoshiro256** 1.0: small state, passes BigCrush. Source: Blackman and Vigna, https://prng.di.unimi.it.
class Random {
 public:
  explicit Random(uint64_t seed) noexcept {
    for (auto& word : state_) word = split_mix(seed);
  }

  uint64_t next() noexcept {
    uint64_t result = rotate(state_[1] * 5, 7) * 9;
    uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate(state_[3], 45);
    return result;
  }

  // Uniform in [0, bound), by multiplication (Lemire); the bias is below 2^-32 for the bounds used here.
  uint32_t below(uint32_t bound) noexcept { return static_cast<uint32_t>(((next() >> 32) * bound) >> 32); }

 private:
  static uint64_t rotate(uint64_t x, int k) noexcept { return (x << k) | (x >> (64 - k)); }
  static uint64_t split_mix(uint64_t& state) noexcept {
    uint64_t z = (state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }

  uint64_t state_[4];
};

struct TickSourceConfig {
  uint64_t seed;
  double trigger_ratio;  // of the ticks, the part below the threshold
  std::vector<std::string> symbols;
  uint32_t price_span;  // cents on either side of the threshold
  uint32_t threshold;
  bool unique_prices;  // prices that trigger follow one another, so that an order can be found by its price
};

// The content of ticks, but for the timestamp.
class TickSource {
 public:
  explicit TickSource(const TickSourceConfig& config)
      : random_(config.seed),
        trigger_below_(static_cast<uint64_t>(config.trigger_ratio * 18446744073709549568.0)),
        always_(config.trigger_ratio >= 1),
        threshold_(config.threshold),
        low_span_(config.price_span < config.threshold ? config.price_span : config.threshold),
        high_span_(config.price_span < UINT32_MAX - config.threshold ? config.price_span
                                                                     : UINT32_MAX - config.threshold),
        unique_prices_(config.unique_prices) {
    for (const auto& symbol : config.symbols) words_.push_back(symbol_word(symbol));
  }

  Tick next() noexcept {
    Tick tick;
    bool triggers = always_ || random_.next() < trigger_below_;
    if (low_span_ == 0) triggers = false;
    uint64_t bits = random_.next();
    symbol_ = static_cast<uint32_t>(((bits >> 32) * words_.size()) >> 32);
    tick.symbol = words_[symbol_];
    tick.quantity =
        100 * (1 + static_cast<uint32_t>((bits & 0xffff) * 10 >> 16));  // round lots, 100 to 1,000
    if (!triggers) {
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
  Random random_;
  uint32_t symbol_ = 0;
  uint64_t trigger_below_;
  bool always_;
  uint32_t threshold_;
  uint32_t low_span_;
  uint32_t high_span_;
  bool unique_prices_;
  uint32_t low_span_used_ = 0;
  std::vector<uint64_t> words_;
};

// A fixed rate, absolute: the n-th tick is planned n / rate after the start, so that no error accumulates.
class ConstantSchedule {
 public:
  ConstantSchedule(uint64_t start_ns, uint64_t rate_millihertz) noexcept
      : start_ns_(start_ns), rate_millihertz_(rate_millihertz) {}

  uint64_t planned_ns(uint64_t n) const noexcept {
    // n * 10^12 passes 64 bits after 18 million ticks.
    unsigned __int128 offset = static_cast<unsigned __int128>(n) * 1'000'000'000'000ull / rate_millihertz_;
    // 2^63 ns are 292 years: far enough for a tick that no run will reach, and short of a wrap.
    constexpr uint64_t NEVER_NS = uint64_t{1} << 63;
    return start_ns_ + (offset < NEVER_NS ? static_cast<uint64_t>(offset) : NEVER_NS);
  }

 private:
  uint64_t start_ns_;
  uint64_t rate_millihertz_;
};

}  // namespace carom
