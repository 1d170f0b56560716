// From the parts of an expression to one program: what libpcap made of its parts, and code of our own for the
// terms about market data, joined by jumps.
#include <sys/types.h>
// Needs the types above.
#include <pcap/bpf.h>

#include <cstddef>
#include <optional>

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
  Program join(const FilterPart& whole) {
    Label yes = label();
    Label no = label();
    write(whole, yes, no);
    bind(yes);
    put(BPF_RET | BPF_K, UINT32_MAX);
    bind(no);
    put(BPF_RET | BPF_K, 0);
    return Program(resolved(), std::move(sets_));
  }

 private:
  // Jumps to labels until all is written. `fixed`: libpcap's, inside its own part.
  struct Draft {
    Instruction instruction;
    Label yes = FALL;
    Label no = FALL;
    bool is_fixed = false;
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
      bool is_jump = BPF_CLASS(draft.instruction.code) == BPF_JMP && !draft.is_fixed;
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
      write_pcap(part.text, yes, no);
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

  // libpcap's instructions as they are, but that they return by a jump.
  void write_pcap(const std::string& text, Label yes, Label no) {
    const Program program = compile_expression(text);
    for (const Instruction& one : program.instructions()) {
      if (BPF_CLASS(one.code) != BPF_RET) {
        drafts_.push_back({one, FALL, FALL, true});
      } else if (BPF_RVAL(one.code) == BPF_A) {
        test(BPF_JEQ, 0, no, yes);
      } else {
        jump(one.k != 0 ? yes : no);
      }
    }
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
    put(BPF_LD | BPF_H | BPF_IND, ip + UDP_LENGTH_AT);
    test(BPF_JGE, UDP_HEADER + MARKET_DATA_SIZE, FALL, no);
    write_tick(part, {ip + UDP_HEADER, true}, yes, no);
    bind(six);
    test(BPF_JEQ, 0x86dd, six_too, otherwise);
    bind(six_too);
    put(BPF_LD | BPF_B | BPF_ABS, ip + 6);
    test(BPF_JEQ, PROTOCOL_UDP, FALL, no);
    put(BPF_LD | BPF_H | BPF_ABS, ip + IP6_HEADER + UDP_LENGTH_AT);
    test(BPF_JGE, UDP_HEADER + MARKET_DATA_SIZE, FALL, no);
    write_tick(part, {ip + IP6_HEADER + UDP_HEADER, false}, yes, no);
  }

  void load(const TickPlace& tick, uint32_t size, uint32_t at) {
    put(BPF_LD | size | (tick.behind_x ? BPF_IND : BPF_ABS), tick.at + at);
  }

  void write_tick(const FilterPart& part, const TickPlace& tick, Label yes, Label no) {
    if (part.kind == FilterPart::Kind::term) {
      if (part.field == TermField::symbol) {
        write_symbol(part, tick, yes, no);
      } else {
        write_number(part, tick, yes, no);
      }
      return;
    }
    Label second = label();
    bool is_both = part.kind == FilterPart::Kind::both;
    write_tick(*part.a, tick, is_both ? second : yes, is_both ? no : second);
    bind(second);
    write_tick(*part.b, tick, yes, no);
  }

  void write_symbol(const FilterPart& part, const TickPlace& tick, Label yes, Label no) {
    constexpr uint32_t AT = offsetof(market_data, symbol);
    if (part.sign == TermSign::unequal) std::swap(yes, no);
    load(tick, BPF_W, AT);
    if (part.symbols.size() == 1) {
      test(BPF_JEQ, part.symbols[0].first, FALL, no);
      load(tick, BPF_W, AT + 4);
      test(BPF_JEQ, part.symbols[0].last, yes, no);
      return;
    }
    put(BPF_ST, 0);
    load(tick, BPF_W, AT + 4);
    put(CODE_IN_SET, set_of(part));
    test(BPF_JEQ, 0, no, yes);
  }

  // Made once, although the code that uses it is there for each way to a tick.
  uint32_t set_of(const FilterPart& part) {
    for (size_t i = 0; i < made_of_.size(); i++) {
      if (made_of_[i] == &part) return static_cast<uint32_t>(i);
    }
    sets_.emplace_back(part.symbols);
    made_of_.push_back(&part);
    return static_cast<uint32_t>(sets_.size() - 1);
  }

  void write_number(const FilterPart& part, const TickPlace& tick, Label yes, Label no) {
    const bool is_price = part.field == TermField::price;
    const uint32_t at = is_price ? offsetof(market_data, price) : offsetof(market_data, quantity);
    switch (part.sign) {
      case TermSign::equal:
      case TermSign::unequal:
        load(tick, BPF_W, at);
        test(BPF_JEQ, __builtin_bswap32(part.number), part.sign == TermSign::equal ? yes : no,
             part.sign == TermSign::equal ? no : yes);
        return;
      case TermSign::below:
      case TermSign::at_least:
        load_swapped(tick, at);
        test(BPF_JGE, part.number, part.sign == TermSign::below ? no : yes,
             part.sign == TermSign::below ? yes : no);
        return;
      default:
        load_swapped(tick, at);
        test(BPF_JGT, part.number, part.sign == TermSign::above ? yes : no,
             part.sign == TermSign::above ? no : yes);
        return;
    }
  }

  // A tick's numbers have their lowest byte first, BPF's the highest: put together byte by byte. The second
  // operand is X, which is where the tick is: the sum is kept in scratch memory, and X put back.
  void load_swapped(const TickPlace& tick, uint32_t at) {
    if (tick.behind_x) put(BPF_STX, 1);
    for (uint32_t i = 4; i-- > 0;) {
      load(tick, BPF_B, at + i);
      if (i == 3) {
        put(BPF_ALU | BPF_LSH | BPF_K, 8);
        put(BPF_ST, 2);
        continue;
      }
      put(BPF_LDX | BPF_MEM, 2);
      put(BPF_ALU | BPF_OR | BPF_X, 0);
      if (i > 0) put(BPF_ALU | BPF_LSH | BPF_K, 8);
      if (i > 0) put(BPF_ST, 2);
      if (tick.behind_x) put(BPF_LDX | BPF_MEM, 1);
    }
  }

  std::vector<Draft> drafts_;
  std::vector<uint32_t> places_;  // of the labels
  std::vector<SymbolSet> sets_;
  std::vector<const FilterPart*> made_of_;
};

}  // namespace

Program join_parts(const FilterPart& whole) { return Joiner().join(whole); }

}  // namespace carom
