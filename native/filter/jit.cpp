#include "filter/jit.h"

#include <bit>

#include "filter/assembly.h"

namespace carom {
namespace {

using namespace asmjit;

class Jit {
 public:
  Jit(const Graph& graph, const FrameLayout& layout, bool listed)
      : graph_(graph), layout_(layout), asm_(Assembly::Vectors::none, listed), cc(asm_.cc) {}

  MachineCode make(std::string& listing) {
    find_unswapped();
    registers_.resize(graph_.values.size());
    labels_.resize(graph_.blocks.size());
    for (BlockId id = 0; id < labels_.size(); id++) {
      if (id < FIRST_BLOCK || graph_.blocks[id].reached) labels_[id] = cc.newLabel();
    }
    write_loop();
    return asm_.finish(listing);
  }

 private:
  // A way into a block that has to set its joins.
  struct Detour {
    Label label;
    Edge edge;
    BlockId to;
  };

  void write_loop() {
    x86::Gp record = asm_.frames;
    x86::Gp left = asm_.count;
    x86::Gp word = cc.newUInt64();  // verdicts of up to 64 frames
    x86::Gp bit = cc.newUInt64();   // the frame's among them
    data_ = cc.newUIntPtr();
    captured_ = cc.newUInt64();
    record_ = record;
    Label loop = cc.newLabel();
    Label go_on = cc.newLabel();
    Label done = cc.newLabel();
    cc.xor_(word.r32(), word.r32());
    cc.mov(bit.r32(), 1);
    cc.test(left, left);
    cc.jz(done);
    cc.bind(loop);
    cc.mov(data_, x86::qword_ptr(record, static_cast<int32_t>(layout_.data_at)));
    cc.mov(captured_.r32(), x86::dword_ptr(record, static_cast<int32_t>(layout_.captured_at)));
    if (graph_.first < FIRST_BLOCK) cc.jmp(labels_[graph_.first]);
    for (BlockId id = FIRST_BLOCK; id < graph_.blocks.size(); id++) {
      if (graph_.blocks[id].reached) write_block(id);
    }
    cc.bind(labels_[ACCEPT]);
    cc.or_(word, bit);
    cc.bind(labels_[REJECT]);
    cc.bind(labels_[PUNT]);  // no program of the whole scope gets there
    cc.add(record, layout_.stride);
    cc.add(bit, bit);
    cc.jnz(go_on);
    cc.mov(x86::qword_ptr(asm_.verdicts), word);
    cc.add(asm_.verdicts, 8);
    cc.xor_(word.r32(), word.r32());
    cc.mov(bit.r32(), 1);
    cc.bind(go_on);
    cc.dec(left);
    cc.jnz(loop);
    cc.cmp(bit, 1);
    cc.je(done);
    cc.mov(x86::qword_ptr(asm_.verdicts), word);
    cc.bind(done);
    cc.xor_(word.r32(), word.r32());
    cc.ret(word);
  }

  void write_block(BlockId id) {
    const Block& block = graph_.blocks[id];
    cc.bind(labels_[id]);
    if (block.bytes != 0) {
      cc.cmp(captured_.r32(), block.bytes);
      cc.jb(labels_[REJECT]);
    }
    for (ValueId value : block.values) write_value(value);
    std::vector<Detour> detours;
    BlockId next = id + 1;
    while (next < graph_.blocks.size() && !graph_.blocks[next].reached) next++;
    if (next == graph_.blocks.size()) next = ACCEPT;
    if (block.tests) {
      write_test(block, id, next, detours);
    } else {
      set_joins({id, false}, block.yes);
      if (block.yes != next) cc.jmp(labels_[block.yes]);
    }
    for (const Detour& detour : detours) {
      cc.bind(detour.label);
      set_joins(detour.edge, detour.to);
      cc.jmp(labels_[detour.to]);
    }
  }

  void write_test(const Block& block, BlockId id, BlockId next, std::vector<Detour>& detours) {
    auto [when_true, when_false] = compare(block.test);
    auto way = [&](Edge edge, BlockId to) {
      if (graph_.blocks[to].joins.empty()) return labels_[to];
      detours.push_back({cc.newLabel(), edge, to});
      return detours.back().label;
    };
    Label yes = way({id, false}, block.yes);
    Label no = way({id, true}, block.no);
    if (yes == labels_[next] && detours.empty()) {
      cc.j(when_false, no);
    } else {
      cc.j(when_true, yes);
      if (no != labels_[next] || !detours.empty()) cc.jmp(no);
    }
  }

  // Sets the flags; returns the conditions for yes and no.
  std::pair<x86::CondCode, x86::CondCode> compare(const Test& test) {
    x86::Gp a = get(test.a);
    bool is_constant = graph_.is_constant(test.b);
    uint32_t k = graph_.values[test.b].k;
    if (is_constant && unswapped_[test.a]) {
      k = graph_.values[test.a].size == 2 ? swap_half(k) : __builtin_bswap32(k);
    }
    auto with = [&](auto&& instruction) {
      if (is_constant) {
        instruction(Imm(static_cast<int32_t>(k)));
      } else {
        instruction(get(test.b));
      }
    };
    if (test.kind == TestKind::bits) {
      with([&](auto b) { cc.emit(x86::Inst::kIdTest, a, b); });
      return {x86::CondCode::kNotZero, x86::CondCode::kZero};
    }
    with([&](auto b) { cc.emit(x86::Inst::kIdCmp, a, b); });
    if (test.kind == TestKind::equal) return {x86::CondCode::kEqual, x86::CondCode::kNotEqual};
    if (test.kind == TestKind::above) return {x86::CondCode::kUnsignedGT, x86::CondCode::kUnsignedLE};
    return {x86::CondCode::kUnsignedGE, x86::CondCode::kUnsignedLT};
  }

  // A constant above 0xffff equals no field of two bytes, swapped or not: its upper half must stay.
  static uint32_t swap_half(uint32_t k) {
    return (k & 0xffff0000) | __builtin_bswap16(static_cast<uint16_t>(k));
  }

  // Fields that are only compared for equality, or for bits, with constants stay as they are in the frame:
  // the constants are swapped instead.
  void find_unswapped() {
    unswapped_.resize(graph_.values.size());
    for (size_t i = 0; i < graph_.values.size(); i++) {
      const Value& value = graph_.values[i];
      bool is_field = value.kind == ValueKind::field || value.kind == ValueKind::indirect;
      unswapped_[i] = is_field && value.size > 1;
    }
    auto keep = [&](ValueId id) {
      if (id != NO_VALUE) unswapped_[id] = false;
    };
    for (const Block& block : graph_.blocks) {
      if (!block.reached) continue;
      bool is_order = block.test.kind == TestKind::above || block.test.kind == TestKind::at_least;
      if (block.tests && (is_order || !graph_.is_constant(block.test.b)))
        keep(block.test.a), keep(block.test.b);
      for (ValueId id : block.values) keep(graph_.values[id].a), keep(graph_.values[id].b);
      for (const Join& join : block.joins) {
        for (ValueId from : join.from) keep(from);
      }
    }
  }

  void set_joins(Edge edge, BlockId to) {
    const Block& target = graph_.blocks[to];
    for (size_t i = 0; i < target.before.size(); i++) {
      if (target.before[i].from != edge.from || target.before[i].is_no != edge.is_no) continue;
      for (const Join& join : target.joins) {
        x86::Gp& into = registers_[join.value];
        if (!into.isValid()) into = cc.newUInt32();
        if (graph_.is_constant(join.from[i])) {
          cc.mov(into, graph_.values[join.from[i]].k);
        } else {
          cc.mov(into, get(join.from[i]));
        }
      }
    }
  }

  x86::Gp get(ValueId id) {
    if (!graph_.is_constant(id)) return registers_[id];
    x86::Gp fresh = cc.newUInt32();
    cc.mov(fresh, graph_.values[id].k);
    return fresh;
  }

  void write_value(ValueId id) {
    const Value& value = graph_.values[id];
    x86::Gp into = registers_[id] = cc.newUInt32();
    switch (value.kind) {
      case ValueKind::length:
        cc.mov(into, x86::dword_ptr(record_, static_cast<int32_t>(layout_.length_at)));
        break;
      case ValueKind::field:
        load(into, x86::ptr(data_, static_cast<int32_t>(value.k)), value.size, unswapped_[id]);
        break;
      case ValueKind::indirect: {
        // In 64 bits, in which offset, constant and size can't wrap.
        x86::Gp end = cc.newUInt64();
        x86::Gp at = cc.newUInt64();
        cc.mov(at.r32(), get(value.a));
        cc.lea(end, x86::ptr(at, static_cast<int32_t>(value.k + value.size)));
        cc.cmp(end, captured_);
        cc.ja(labels_[REJECT]);
        load(into, x86::ptr(data_, at, 0, static_cast<int32_t>(value.k)), value.size, unswapped_[id]);
        break;
      }
      case ValueKind::in_set:
        look_up(into, get(value.a), get(value.b), graph_.sets[value.k]);
        break;
      default:
        calculate(into, value);
        break;
    }
  }

  void load(const x86::Gp& into, x86::Mem from, uint32_t size, bool unswapped) {
    from.setSize(size);
    if (size == 4) {
      cc.mov(into, from);
    } else {
      cc.movzx(into, from);
    }
    if (unswapped || size == 1) return;
    cc.bswap(into);
    if (size == 2) cc.shr(into, 16);
  }

  void calculate(const x86::Gp& into, const Value& value) {
    if (value.kind == ValueKind::divide || value.kind == ValueKind::modulo) {
      x86::Gp upper = cc.newUInt32();
      x86::Gp divisor = cc.newUInt32();
      cc.mov(divisor, get(value.b));
      cc.mov(into, get(value.a));
      cc.xor_(upper, upper);
      cc.div(upper, into, divisor);
      if (value.kind == ValueKind::modulo) cc.mov(into, upper);
      return;
    }
    cc.mov(into, get(value.a));
    if (graph_.is_constant(value.b)) {
      write_operation(value.kind, into, Imm(static_cast<int32_t>(graph_.values[value.b].k)));
      return;
    }
    x86::Gp b = get(value.b);
    bool shifts = value.kind == ValueKind::shift_left || value.kind == ValueKind::shift_right;
    write_operation(value.kind, into, b);
    if (!shifts) return;
    // The processor looks at five bits of the distance only.
    x86::Gp nothing = cc.newUInt32();
    cc.xor_(nothing, nothing);
    cc.cmp(b, 31);
    cc.cmova(into, nothing);
  }

  template <class B>
  void write_operation(ValueKind kind, const x86::Gp& into, const B& b) {
    constexpr bool IS_CONSTANT = std::is_same_v<B, Imm>;
    switch (kind) {
      case ValueKind::add:
        cc.emit(x86::Inst::kIdAdd, into, b);
        break;
      case ValueKind::subtract:
        cc.emit(x86::Inst::kIdSub, into, b);
        break;
      case ValueKind::multiply:
        if constexpr (IS_CONSTANT) {
          cc.imul(into, into, b);
        } else {
          cc.imul(into, b);
        }
        break;
      case ValueKind::bit_and:
        cc.emit(x86::Inst::kIdAnd, into, b);
        break;
      case ValueKind::bit_or:
        cc.emit(x86::Inst::kIdOr, into, b);
        break;
      case ValueKind::bit_xor:
        cc.emit(x86::Inst::kIdXor, into, b);
        break;
      default: {
        bool is_left = kind == ValueKind::shift_left;
        if constexpr (IS_CONSTANT) {
          cc.emit(is_left ? x86::Inst::kIdShl : x86::Inst::kIdShr, into, b);
        } else {
          cc.emit(is_left ? x86::Inst::kIdShl : x86::Inst::kIdShr, into, b.r8());
        }
        break;
      }
    }
  }

  // SymbolSet::contains().
  void look_up(const x86::Gp& into, const x86::Gp& first, const x86::Gp& last, const SymbolSet& set) {
    x86::Gp mixed = cc.newUInt32();
    x86::Gp rest = cc.newUInt32();
    x86::Gp index = cc.newUInt64();
    x86::Gp table = cc.newUIntPtr();
    auto multiply = [&](uint32_t k) { cc.imul(mixed, mixed, Imm(static_cast<int32_t>(k))); };
    auto fold = [&] {
      cc.mov(rest, mixed);
      cc.shr(rest, SymbolSet::FOLD_BITS);
      cc.xor_(mixed, rest);
    };
    cc.mov(mixed, first);
    multiply(set.mix_first());
    fold();
    cc.add(mixed, last);
    multiply(SymbolSet::MIX_LAST);
    fold();
    multiply(SymbolSet::MIX_ALL);
    cc.mov(index.r32(), mixed);
    cc.shr(index.r32(), set.bucket_shift());
    cc.mov(table, reinterpret_cast<uint64_t>(set.seeds()));
    cc.xor_(mixed, x86::dword_ptr(table, index, 2));
    multiply(SymbolSet::MIX_SLOT);
    cc.mov(index.r32(), mixed);
    cc.shr(index.r32(), set.slot_shift());
    cc.mov(table, reinterpret_cast<uint64_t>(set.keys()));
    cc.mov(rest, x86::dword_ptr(table, index, 3));
    cc.mov(mixed, x86::dword_ptr(table, index, 3, 4));
    cc.xor_(rest, first);
    cc.xor_(mixed, last);
    cc.xor_(into, into);
    cc.or_(rest, mixed);
    cc.setz(into.r8());
  }

  const Graph& graph_;
  const FrameLayout& layout_;
  Assembly asm_;
  x86::Compiler& cc;
  x86::Gp data_;
  x86::Gp captured_;
  x86::Gp record_;
  std::vector<x86::Gp> registers_;
  std::vector<Label> labels_;
  std::vector<bool> unswapped_;
};

}  // namespace

MachineCode make_jit(const Graph& graph, const FrameLayout& layout, bool listed, std::string& listing) {
  return Jit(graph, layout, listed).make(listing);
}

}  // namespace carom
