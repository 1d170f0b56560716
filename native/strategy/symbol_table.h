// Symbols and their numbers: 8 bytes each, looked up as one word. Memory is taken at start; at most half
// full.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

namespace carom {

// 8 bytes, padded with spaces, as they are on the wire.
inline uint64_t symbol_word(const std::string& symbol) {
  char padded[8];
  memset(padded, ' ', 8);
  memcpy(padded, symbol.data(), symbol.size() < 8 ? symbol.size() : 8);
  uint64_t word;
  memcpy(&word, padded, 8);
  return word;
}

class SymbolTable {
 public:
  static constexpr uint32_t NONE = UINT32_MAX;

  // Holds the symbols of the list, numbered in their order, with room for `limit` in all.
  SymbolTable(const std::vector<std::string>& symbols, size_t limit)
      : limit_(limit > symbols.size() ? limit : symbols.size()),
        mask_(std::bit_ceil(limit_ * 2 + 2) - 1),
        places_(mask_ + 1) {
    for (const auto& symbol : symbols) add(symbol_word(symbol));
  }

  // The symbol's number, or NONE.
  uint32_t find(uint64_t word) const noexcept { return places_[place(word)].number; }

  // The same, and a new symbol gets the next number; NONE when there is no room.
  uint32_t add(uint64_t word) noexcept {
    Place& at = places_[place(word)];
    if (at.number == NONE && used_ < limit_) [[unlikely]]
      at = {word, used_++};
    return at.number;
  }

  size_t size() const noexcept { return used_; }
  size_t limit() const noexcept { return limit_; }

 private:
  struct Place {
    uint64_t word = 0;
    uint32_t number = NONE;  // NONE: the place is free
  };

  size_t place(uint64_t word) const noexcept {
    size_t at = static_cast<size_t>((word * 0x9e3779b97f4a7c15ull) >> 32) & mask_;
    while (places_[at].number != NONE && places_[at].word != word) at = (at + 1) & mask_;
    return at;
  }

  size_t limit_;
  size_t mask_;
  uint32_t used_ = 0;
  std::vector<Place> places_;
};

}  // namespace carom
