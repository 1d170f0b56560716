// The language of filters: libpcap's, joined with terms about the market data in a frame.
//
//   udp dst port 8080 and symbol in (AAPL, MSFT) and not (price < 100.00 or quantity >= 500)
//
// A term holds for a UDP datagram, over IPv4 or IPv6, with or without a VLAN tag, whose first tick it
// describes; for any other frame it does not hold. As in libpcap's language, `and` and `or` bind alike, from
// left to right.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "filter/program.h"

namespace carom {

// Throws Error (usage) with the place in the expression. "" takes every frame.
Program compile_filter(const std::string& expression);

enum class TermField : uint8_t { symbol, price, quantity };
enum class TermSign : uint8_t { below, at_most, above, at_least, equal, unequal, in };

// A part of an expression: a term, what libpcap has to compile, or several joined.
struct FilterPart {
  enum class Kind : uint8_t { term, pcap, both, either, negated };

  Kind kind;
  TermField field{};
  TermSign sign{};
  uint32_t number = 0;               // of a price in cents, or of a quantity
  std::vector<SymbolWords> symbols;  // of a term about symbols
  std::string text;                  // for libpcap
  std::unique_ptr<FilterPart> a;
  std::unique_ptr<FilterPart> b;
};

// The program of a whole expression.
Program join_parts(const FilterPart& whole);

}  // namespace carom
