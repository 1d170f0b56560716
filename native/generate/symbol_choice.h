// Symbols drawn by weight, in constant time: Walker's alias method as Vose builds it (IEEE Trans. Softw. Eng.
// 17, 1991). Each symbol has a column of equal width; a part of the column is its own, the rest another
// symbol's.
#pragma once

#include <algorithm>
#include <cstdint>
#include <vector>

#include "generate/random.h"

namespace carom {

// Weights 1 / rank^exponent: Zipf's law.
inline std::vector<double> zipf_weights(size_t count, double exponent) {
  std::vector<double> weights;
  for (size_t i = 0; i < count; i++) {
    weights.push_back(portable_exp(-exponent * portable_log(static_cast<double>(i + 1))));
  }
  return weights;
}

class SymbolChoice {
 public:
  // Positive weights; their sum may be anything.
  explicit SymbolChoice(const std::vector<double>& weights) : columns_(weights.size()) {
    double sum = 0;
    for (double weight : weights) sum += weight;
    std::vector<double> part;
    std::vector<uint32_t> small;
    std::vector<uint32_t> large;
    for (uint32_t i = 0; i < weights.size(); i++) {
      part.push_back(weights[i] * static_cast<double>(weights.size()) / sum);
      columns_[i] = {UINT32_MAX, i};
      (part[i] < 1 ? small : large).push_back(i);
    }
    while (!small.empty() && !large.empty()) {
      uint32_t low = small.back();
      uint32_t high = large.back();
      small.pop_back();
      columns_[low] = {static_cast<uint32_t>(std::min(part[low] * 0x1p32, 0x1p32 - 1)), high};
      part[high] -= 1 - part[low];
      if (part[high] < 1) {
        large.pop_back();
        small.push_back(high);
      }
    }
  }

  bool empty() const noexcept { return columns_.empty(); }

  uint32_t draw(Random& random) noexcept {
    uint64_t bits = random.next();
    uint32_t column = static_cast<uint32_t>(((bits >> 32) * columns_.size()) >> 32);
    const Column& found = columns_[column];
    return static_cast<uint32_t>(bits) < found.own ? column : found.other;
  }

 private:
  struct Column {
    uint32_t own;  // of 2^32
    uint32_t other;
  };
  std::vector<Column> columns_;
};

}  // namespace carom
