// A set of symbols, looked up in the same time whatever its size: a perfect hash, so one probe settles it.
// The engines read the tables themselves, 16 symbols at a time.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace carom {

// The eight bytes of a symbol as a frame has them, in two big-endian words.
struct SymbolWords {
  uint32_t first;
  uint32_t last;
  bool operator==(const SymbolWords&) const = default;
};

constexpr uint32_t SYMBOL_SET_MAX = 65536;

class SymbolSet {
 public:
  static constexpr uint32_t MIX_SLOT = 0x9e3779b1;
  static constexpr uint32_t MIX_LAST = 0x85ebca77;
  static constexpr uint32_t MIX_ALL = 0xc2b2ae3d;
  static constexpr uint32_t FOLD_BITS = 15;

  // All different, 1 to SYMBOL_SET_MAX of them.
  explicit SymbolSet(std::span<const SymbolWords> symbols);

  bool contains(uint32_t first, uint32_t last) const noexcept {
    uint32_t mixed = mix(first, last);
    return keys_[slot(mixed, seeds_[mixed >> bucket_shift_])] == SymbolWords{first, last};
  }

  // For the engines: the tables, and the numbers that lead into them.
  const SymbolWords* keys() const noexcept { return keys_.data(); }
  const uint32_t* seeds() const noexcept { return seeds_.data(); }
  uint32_t mix_first() const noexcept { return mix_first_; }
  uint32_t bucket_shift() const noexcept { return bucket_shift_; }
  uint32_t slot_shift() const noexcept { return slot_shift_; }
  uint32_t size() const noexcept { return size_; }

 private:
  uint32_t mix(uint32_t first, uint32_t last) const noexcept {
    uint32_t mixed = first * mix_first_;
    mixed = ((mixed ^ mixed >> FOLD_BITS) + last) * MIX_LAST;
    return (mixed ^ mixed >> FOLD_BITS) * MIX_ALL;
  }
  uint32_t slot(uint32_t mixed, uint32_t seed) const noexcept {
    return (mixed ^ seed) * MIX_SLOT >> slot_shift_;
  }
  bool build(std::span<const SymbolWords> symbols);
  bool place(std::span<const SymbolWords> symbols, std::span<const uint32_t> bucket,
             std::vector<bool>& taken);

  std::vector<SymbolWords> keys_;
  std::vector<uint32_t> seeds_;
  uint32_t mix_first_ = 0x9e3779b1;  // odd; another one, until no two symbols are mixed into the same
  uint32_t bucket_shift_ = 0;
  uint32_t slot_shift_ = 0;
  uint32_t size_ = 0;
};

}  // namespace carom
