#include "filter/symbol_set.h"

#include <algorithm>
#include <bit>

#include "core/error.h"

namespace carom {
namespace {

constexpr uint32_t MIXES_MAX = 1000;
constexpr uint32_t SEEDS_MAX = 1 << 16;
constexpr uint32_t MIX_STEP = 0x3c6ef372;  // even

}  // namespace

SymbolSet::SymbolSet(std::span<const SymbolWords> symbols) : size_(static_cast<uint32_t>(symbols.size())) {
  if (symbols.empty() || symbols.size() > SYMBOL_SET_MAX) {
    throw Error(ErrorCode::internal, "make a set of symbols", "it has " + std::to_string(symbols.size()));
  }
  // At the most half full, and two symbols a bucket: a seed for each bucket is then found in a few tries. At
  // least two of each, so that no shift has 32 bits.
  uint32_t slots = std::max(2u, std::bit_ceil(size_ * 2));
  uint32_t buckets = std::max(2u, std::bit_ceil(size_) / 2);
  slot_shift_ = 32 - static_cast<uint32_t>(std::countr_zero(slots));
  bucket_shift_ = 32 - static_cast<uint32_t>(std::countr_zero(buckets));
  for (uint32_t i = 0; i < MIXES_MAX; i++, mix_first_ += MIX_STEP) {
    // An empty slot holds the first symbol, which is looked for in its own slot only.
    keys_.assign(slots, symbols[0]);
    seeds_.assign(buckets, 0);
    if (build(symbols)) return;
  }
  throw Error(ErrorCode::internal, "make a set of symbols", "no perfect hash was found for it");
}

// Hash and displace, the fullest bucket first. False when the symbols are not mixed well.
bool SymbolSet::build(std::span<const SymbolWords> symbols) {
  std::vector<std::vector<uint32_t>> buckets(seeds_.size());
  for (uint32_t i = 0; i < symbols.size(); i++) {
    buckets[mix(symbols[i].first, symbols[i].last) >> bucket_shift_].push_back(i);
  }
  std::vector<uint32_t> order(buckets.size());
  for (uint32_t i = 0; i < order.size(); i++) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](uint32_t a, uint32_t b) { return buckets[a].size() > buckets[b].size(); });
  std::vector<bool> taken(keys_.size());
  return std::all_of(order.begin(), order.end(),
                     [&](uint32_t at) { return place(symbols, buckets[at], taken); });
}

// Finds the seed that sends a bucket's symbols to free slots.
bool SymbolSet::place(std::span<const SymbolWords> symbols, std::span<const uint32_t> bucket,
                      std::vector<bool>& taken) {
  if (bucket.empty()) return true;
  std::vector<uint32_t> mixed;
  for (uint32_t i : bucket) mixed.push_back(mix(symbols[i].first, symbols[i].last));
  std::vector<uint32_t> chosen;
  for (uint32_t seed = 0; seed < SEEDS_MAX; seed++) {
    chosen.clear();
    for (uint32_t value : mixed) {
      uint32_t at = slot(value, seed * MIX_LAST);
      if (taken[at] || std::find(chosen.begin(), chosen.end(), at) != chosen.end()) break;
      chosen.push_back(at);
    }
    if (chosen.size() < bucket.size()) continue;
    for (size_t i = 0; i < bucket.size(); i++) {
      taken[chosen[i]] = true;
      keys_[chosen[i]] = symbols[bucket[i]];
    }
    seeds_[mixed[0] >> bucket_shift_] = seed * MIX_LAST;
    return true;
  }
  return false;
}

}  // namespace carom
