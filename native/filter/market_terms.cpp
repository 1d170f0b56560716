// From the parts of an expression to one program: what libpcap made of its parts, and code of our own for the
// terms about market data, joined by jumps.
#include <sys/types.h>
// Needs the types above.
#include <pcap/bpf.h>

#include <array>
#include <cstddef>

#include "core/error.h"
#include "filter/expression.h"
#include "filter/language.h"
#include "wire.gen.h"

namespace carom {
namespace {

constexpr uint32_t ETHERNET = 14;  // bytes of the header
constexpr uint32_t VLAN_TAG = 4;
constexpr uint32_t IP6_HEADER = 40;
constexpr uint32_t UDP_HEADER = 8;
constexpr uint32_t UDP_LENGTH_AT = 4;
constexpr uint32_t PROTOCOL_UDP = 17;
constexpr uint32_t FRAGMENT_OFFSET = 0x1fff;

using Label = uint32_t;
constexpr Label FALL = UINT32_MAX;  // to the next instruction

// Where the tick of a frame is: behind so many bytes, or that and X.
struct TickPlace {
  uint32_t at;
  bool behind_x;
};

class Joiner {
 public:
  explicit Joiner(const std::string& expression) : expression_(expression) {}

  std::optional<Program> join(const FilterPart& whole) {
    Label yes = label();
    Label no = label();
    write(whole, yes, no);
    bind(yes);
    put(BPF_RET | BPF_K, UINT32_MAX);
    bind(no);
    put(BPF_RET | BPF_K, 0);
    if (is_ambiguous_) return std::nullopt;
    return Program(resolved(), std::move(sets_));
  }

 private:
  // Jumps to labels until all is written.
  struct Draft {
    Instruction instruction;
    Label yes = FALL;
    Label no = FALL;
  };

  Label label() {
    places_.push_back(0);
    return static_cast<Label>(places_.size() - 1);
  }
  void bind(Label label) { places_[label] = static_cast<uint32_t>(drafts_.size()); }
  void put(uint32_t code, uint32_t k) { drafts_.push_back({{static_cast<uint16_t>(code), 0, 0, k}}); }
  void test(uint32_t operation, uint32_t k, Label yes, Label no) {
    drafts_.push_back({{static_cast<uint16_t>(BPF_JMP | BPF_K | operation), 0, 0, k}, yes, no});
  }
  void jump(Label to) { drafts_.push_back({{BPF_JMP | BPF_JA, 0, 0, 0}, to}); }

  std::vector<Instruction> resolved() const {
    std::vector<Instruction> instructions;
    for (uint32_t at = 0; at < drafts_.size(); at++) {
      Draft draft = drafts_[at];
      auto skip = [&](Label to) { return to == FALL ? 0 : places_[to] - at - 1; };
      bool is_jump = BPF_CLASS(draft.instruction.code) == BPF_JMP;
      if (is_jump && draft.instruction.code == (BPF_JMP | BPF_JA)) {
        draft.instruction.k = skip(draft.yes);
      } else if (is_jump) {
        draft.instruction.yes = skip(draft.yes);
        draft.instruction.no = skip(draft.no);
      }
      instructions.push_back(draft.instruction);
    }
    return instructions;
  }

  void write(const FilterPart& part, Label yes, Label no) {
    if (is_only_terms(part)) {
      write_terms(part, yes, no);
    } else if (part.kind == FilterPart::Kind::pcap) {
      write_pcap(part.pcap, yes, no);
    } else if (part.kind == FilterPart::Kind::negated) {
      write(*part.a, no, yes);
    } else {
      Label second = label();
      bool is_both = part.kind == FilterPart::Kind::both;
      write(*part.a, is_both ? second : yes, is_both ? no : second);
      bind(second);
      write(*part.b, yes, no);
    }
  }

  // libpcap's instructions, but that they return by a jump, and that the terms are decided where their
  // stand-ins are compared.
  void write_pcap(const PcapText& text, Label yes, Label no) {
    const std::vector<Instruction> all = compile_text(text, expression_);
    choose_scratch(all);
    std::vector<Label> labels;
    for (size_t i = 0; i < all.size(); i++) labels.push_back(label());
    std::vector<Comparison> comparisons = comparisons_in(all, text);
    size_t next = 0;
    for (size_t at = 0; at < all.size(); at++) {
      bind(labels[at]);
      Instruction one = all[at];
      if (next < comparisons.size() && comparisons[next].begin == at) {
        const Comparison& comparison = comparisons[next++];
        for (; at < comparison.end; at++) bind(labels[at]);
        one = all[at];
        write_stand(comparison, labels[at + 1 + one.yes], labels[at + 1 + one.no]);
      } else if (BPF_CLASS(one.code) == BPF_JMP) {
        bool is_always = one.code == (BPF_JMP | BPF_JA);
        Label taken = labels[at + 1 + (is_always ? one.k : one.yes)];
        drafts_.push_back({one, taken, is_always ? FALL : labels[at + 1 + one.no]});
      } else if (BPF_CLASS(one.code) != BPF_RET) {
        drafts_.push_back({one});
      } else if (BPF_RVAL(one.code) == BPF_A) {
        test(BPF_JEQ, 0, no, yes);
      } else {
        jump(one.k != 0 ? yes : no);
      }
    }
  }

  // Where a term's stand-in is loaded and compared: the load is at `begin`, the jump at `end`.
  struct Comparison {
    size_t begin;
    size_t end;
    const FilterPart* term;
    uint32_t place;  // of the header, behind X
    bool is_last;    // IPv6, after IPv4
    bool is_only;    // without a word that changed where headers are
  };

  // libpcap, whose optimizer was not run, compares a byte with a number always alike: ldb [x + k], st M[],
  // ld #number, st M[], ldx M[], ld M[], sub x, jeq #0.
  std::vector<Comparison> comparisons_in(std::span<const Instruction> all, const PcapText& text) {
    std::vector<Comparison> found;
    std::vector<uint32_t> times(text.stands.size());
    for (size_t at = 0; at < all.size(); at++) {
      if (text.stands.empty() || all[at].code != (BPF_LD | BPF_IMM)) continue;
      uint32_t index = all[at].k - text.stands[0].number;
      if (index >= text.stands.size()) continue;
      const PcapText::Stand& stand = text.stands[index];
      times[index]++;
      size_t end = at;
      while (end < all.size() && BPF_CLASS(all[end].code) != BPF_JMP) end++;
      bool is_known = at >= 2 && all[at - 2].code == (BPF_LD | BPF_B | BPF_IND) && end < all.size() &&
                      all[end].code == (BPF_JMP | BPF_JEQ) && all[end].k == 0;
      if (!is_known) {
        is_ambiguous_ = true;
        return {};
      }
      found.push_back({at - 2, end, stand.term.get(), all[at - 2].k, times[index] == 2, stand.times == 1});
    }
    for (size_t i = 0; i < times.size(); i++) is_ambiguous_ |= times[i] != text.stands[i].times;
    if (is_ambiguous_) found.clear();
    return found;
  }

  // libpcap has made sure of the family, and for IPv4 that it is UDP and no later fragment; X is at the
  // transport header there, with the part of the place that is not known before.
  void write_stand(const Comparison& comparison, Label yes, Label no) {
    const FilterPart& part = *comparison.term;
    if (comparison.is_only) {
      write_terms(part, yes, no);
    } else if (comparison.is_last) {
      write_udp(part, comparison.place, true, yes, no);
    } else {
      write_datagram(part, comparison.place, true, yes, no);
    }
  }

  // Words of the scratch memory in which libpcap's part keeps nothing from one jump to another. Geneve's
  // place is kept so; what a calculation keeps is done with at the jump.
  void choose_scratch(std::span<const Instruction> all) {
    std::array<bool, SCRATCH_WORDS> used{};
    std::array<bool, SCRATCH_WORDS> written{};
    for (const Instruction& one : all) {
      if (one.code == BPF_ST || one.code == BPF_STX) written[one.k] = true;
      bool is_read = one.code == (BPF_LD | BPF_MEM) || one.code == (BPF_LDX | BPF_MEM);
      if (is_read && !written[one.k]) used[one.k] = true;
      if (BPF_CLASS(one.code) == BPF_JMP || BPF_CLASS(one.code) == BPF_RET) written = {};
    }
    size_t count = 0;
    for (uint32_t word = SCRATCH_WORDS; word-- > 0 && count < scratch_.size();) {
      if (!used[word]) scratch_[count++] = word;
    }
    if (count == scratch_.size()) return;
    throw Error(ErrorCode::usage, "filter " + quoted(expression_), "it calculates too much at once",
                "use fewer of geneve, vlan and calculations in one expression");
  }

  // Terms that a frame without a tick does not pass, whatever they are: they share the way to the tick.
  static bool is_only_terms(const FilterPart& part) {
    switch (part.kind) {
      case FilterPart::Kind::term:
        return true;
      case FilterPart::Kind::both:
      case FilterPart::Kind::either:
        return is_only_terms(*part.a) && is_only_terms(*part.b);
      default:
        return false;
    }
  }

  void write_terms(const FilterPart& part, Label yes, Label no) {
    Label tagged = label();
    write_network(part, 0, tagged, yes, no);
    bind(tagged);
    put(BPF_LD | BPF_H | BPF_ABS, ETHERNET - 2);
    test(BPF_JEQ, 0x8100, FALL, no);
    write_network(part, VLAN_TAG, no, yes, no);
  }

  // IPv4 and IPv6, so many bytes further back than without a tag.
  void write_network(const FilterPart& part, uint32_t tag, Label otherwise, Label yes, Label no) {
    const uint32_t ip = ETHERNET + tag;
    Label six = label();
    Label six_too = label();
    put(BPF_LD | BPF_H | BPF_ABS, ip - 2);
    test(BPF_JEQ, 0x800, FALL, six);
    put(BPF_LD | BPF_B | BPF_ABS, ip + 9);
    test(BPF_JEQ, PROTOCOL_UDP, FALL, no);
    put(BPF_LD | BPF_H | BPF_ABS, ip + 6);
    test(BPF_JSET, FRAGMENT_OFFSET, no, FALL);
    put(BPF_LDX | BPF_MSH | BPF_B, ip);
    write_datagram(part, ip, true, yes, no);
    bind(six);
    test(BPF_JEQ, 0x86dd, six_too, otherwise);
    bind(six_too);
    write_udp(part, ip, false, yes, no);
  }

  void write_udp(const FilterPart& part, uint32_t ip6, bool behind_x, Label yes, Label no) {
    load({ip6, behind_x}, BPF_B, 6);
    test(BPF_JEQ, PROTOCOL_UDP, FALL, no);
    write_datagram(part, ip6 + IP6_HEADER, behind_x, yes, no);
  }

  void write_datagram(const FilterPart& part, uint32_t udp, bool behind_x, Label yes, Label no) {
    load({udp, behind_x}, BPF_H, UDP_LENGTH_AT);
    test(BPF_JGE, UDP_HEADER + MARKET_DATA_SIZE, FALL, no);
    write_tick(part, {udp + UDP_HEADER, behind_x}, yes, no);
  }

  void load(const TickPlace& tick, uint32_t size, uint32_t at) {
    put(BPF_LD | size | (tick.behind_x ? BPF_IND : BPF_ABS), tick.at + at);
  }

  void write_tick(const FilterPart& part, const TickPlace& tick, Label yes, Label no) {
    if (part.kind == FilterPart::Kind::term) {
      if (part.term.field == TermField::symbol) {
        write_symbol(part.term, tick, yes, no);
      } else {
        write_number(part.term, tick, yes, no);
      }
      return;
    }
    Label second = label();
    bool is_both = part.kind == FilterPart::Kind::both;
    write_tick(*part.a, tick, is_both ? second : yes, is_both ? no : second);
    bind(second);
    write_tick(*part.b, tick, yes, no);
  }

  void write_symbol(const FilterTerm& term, const TickPlace& tick, Label yes, Label no) {
    constexpr uint32_t AT = offsetof(market_data, symbol);
    if (term.sign == TermSign::unequal) std::swap(yes, no);
    load(tick, BPF_W, AT);
    if (term.symbols.size() == 1) {
      test(BPF_JEQ, term.symbols[0].first, FALL, no);
      load(tick, BPF_W, AT + 4);
      test(BPF_JEQ, term.symbols[0].last, yes, no);
      return;
    }
    put(BPF_ST, scratch_[0]);
    load(tick, BPF_W, AT + 4);
    put(CODE_IN_SET, scratch_[0] << 16 | set_of(term));
    test(BPF_JEQ, 0, no, yes);
  }

  // Made once, although the code that uses it is there for each way to a tick.
  uint32_t set_of(const FilterTerm& term) {
    for (size_t i = 0; i < made_of_.size(); i++) {
      if (made_of_[i] == &term) return static_cast<uint32_t>(i);
    }
    sets_.emplace_back(term.symbols);
    made_of_.push_back(&term);
    return static_cast<uint32_t>(sets_.size() - 1);
  }

  void write_number(const FilterTerm& term, const TickPlace& tick, Label yes, Label no) {
    const bool is_price = term.field == TermField::price;
    const uint32_t at = is_price ? offsetof(market_data, price) : offsetof(market_data, quantity);
    switch (term.sign) {
      case TermSign::equal:
      case TermSign::unequal:
        load(tick, BPF_W, at);
        test(BPF_JEQ, __builtin_bswap32(term.number), term.sign == TermSign::equal ? yes : no,
             term.sign == TermSign::equal ? no : yes);
        return;
      case TermSign::below:
      case TermSign::at_least:
        load_swapped(tick, at);
        test(BPF_JGE, term.number, term.sign == TermSign::below ? no : yes,
             term.sign == TermSign::below ? yes : no);
        return;
      default:
        load_swapped(tick, at);
        test(BPF_JGT, term.number, term.sign == TermSign::above ? yes : no,
             term.sign == TermSign::above ? no : yes);
        return;
    }
  }

  // A tick's numbers have their lowest byte first, BPF's the highest: put together byte by byte. The second
  // operand is X, which is where the tick is: the sum is kept in scratch memory, and X put back.
  void load_swapped(const TickPlace& tick, uint32_t at) {
    if (tick.behind_x) put(BPF_STX, scratch_[1]);
    for (uint32_t i = 4; i-- > 0;) {
      load(tick, BPF_B, at + i);
      if (i == 3) {
        put(BPF_ALU | BPF_LSH | BPF_K, 8);
        put(BPF_ST, scratch_[2]);
        continue;
      }
      put(BPF_LDX | BPF_MEM, scratch_[2]);
      put(BPF_ALU | BPF_OR | BPF_X, 0);
      if (i > 0) put(BPF_ALU | BPF_LSH | BPF_K, 8);
      if (i > 0) put(BPF_ST, scratch_[2]);
      if (tick.behind_x) put(BPF_LDX | BPF_MEM, scratch_[1]);
    }
  }

  std::vector<Draft> drafts_;
  std::vector<uint32_t> places_;  // of the labels
  std::vector<SymbolSet> sets_;
  std::vector<const FilterTerm*> made_of_;
  const std::string& expression_;
  std::array<uint32_t, 3> scratch_{0, 1, 2};  // words of the scratch memory
  bool is_ambiguous_ = false;
};

}  // namespace

std::optional<Program> join_parts(const FilterPart& whole, const std::string& expression) {
  return Joiner(expression).join(whole);
}

}  // namespace carom
