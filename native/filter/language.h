// The language of filters: libpcap's, joined with terms about the market data in a frame.
//
//   udp dst port 8080 and symbol in (AAPL, MSFT) and not (price < 100.00 or quantity >= 500)
//
// A term holds for a UDP datagram, over IPv4 or IPv6, with or without a VLAN tag, whose first tick it
// describes; for any other frame it does not hold. As in libpcap's language, `and` and `or` bind alike, from
// left to right, and `vlan`, `mpls`, `pppoes` and `geneve` change where everything to their right looks for
// its headers: libpcap's parts and carom's terms alike.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "filter/program.h"

namespace carom {

// Throws Error (usage) with the place in the expression. "" takes every frame. What was compiled last is
// kept: libpcap may take seconds for an expression that several of a process need. May be called by any
// thread.
Program compile_filter(const std::string& expression);

enum class TermField : uint8_t { symbol, price, quantity };
enum class TermSign : uint8_t { below, at_most, above, at_least, equal, unequal, in };

// A term about market data.
struct FilterTerm {
  TermField field{};
  TermSign sign{};
  uint32_t number = 0;               // of a price in cents, or of a quantity
  std::vector<SymbolWords> symbols;  // of a term about symbols
};

struct FilterPart;

// Text for libpcap, and where its parts stand in the expression: from `at` on, it has what stands at
// `original` there.
struct PcapText {
  struct Origin {
    size_t at;
    size_t original;
    bool is_stand;  // for a term, whose text stands there in the expression
  };
  // A term in the text, as a comparison with this number that libpcap compiles: so libpcap decides where the
  // term has to look.
  struct Stand {
    uint32_t number;
    uint32_t times;  // it is compared
    std::unique_ptr<FilterPart> term;
  };

  std::string text;
  std::vector<Origin> origins;
  std::vector<Stand> stands;
};

// A part of an expression: a term, what libpcap has to compile, or several joined.
struct FilterPart {
  enum class Kind : uint8_t { term, pcap, both, either, negated };

  Kind kind;
  FilterTerm term;
  PcapText pcap;
  std::unique_ptr<FilterPart> a;
  std::unique_ptr<FilterPart> b;
};

// The program of a whole expression, as it was written. Nothing if it has a stand-in's number itself. Throws
// Error (usage) for what libpcap refuses.
std::optional<Program> join_parts(const FilterPart& whole, const std::string& expression);

}  // namespace carom
