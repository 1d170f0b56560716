// A fixed set of symbols: 8 bytes each, looked up as one word. Filled at start, at most half full.
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

class SymbolSet {
 public:
  explicit SymbolSet(const std::vector<std::string>& symbols)
      : all_(symbols.empty()), mask_(std::bit_ceil(symbols.size() * 2 + 2) - 1), words_(mask_ + 1, 0) {
    for (const auto& symbol : symbols) {
      size_t at = slot(symbol_word(symbol));
      words_[at] = symbol_word(symbol);
    }
  }

  bool contains(uint64_t word) const noexcept { return all_ || (word != 0 && words_[slot(word)] == word); }

 private:
  size_t slot(uint64_t word) const noexcept {
    size_t at = static_cast<size_t>((word * 0x9e3779b97f4a7c15ull) >> 32) & mask_;
    while (words_[at] != 0 && words_[at] != word) at = (at + 1) & mask_;
    return at;
  }

  bool all_;
  size_t mask_;
  std::vector<uint64_t> words_;  // 0 is an empty place: no symbol is eight zero bytes
};

}  // namespace carom
