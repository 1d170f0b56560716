// The engine `simd`, but for where the fields come from: a graph run on several frames in lockstep, each in a
// lane of its own. As a program only goes forward, its blocks are run one after the other, each for the lanes
// whose way leads through it.
//
// Which lanes those are is a word of bits in a general register: a comparison gives one, and the two ways out
// of a test are one `and` and one `andn`.
#pragma once

#include <algorithm>

#include "filter/assembly.h"
#include "filter/frame_layout.h"
#include "filter/graph.h"

namespace carom {

// What a source of fields gives: Source<Lanes>::field(value, block) and ::indirect(value, block, lanes).
template <class Lanes, class Source>
class Lockstep {
 public:
  using Vec = typename Lanes::Vec;
  using Gp = asmjit::x86::Gp;
  using Label = asmjit::Label;

  Lockstep(const Graph& graph, Lanes& lanes, Source& source, asmjit::x86::Compiler& compiler)
      : graph_(graph), lanes_(lanes), source_(source), cc(compiler) {}

  // Runs the graph for the lanes in `all`. `captured` and `length` are vectors; with `is_long` every frame is
  // known to have all bytes that the graph asks for.
  struct Frames {
    Vec captured;
    Vec length;
    bool is_long;
  };

  // What came of them, as bits.
  struct Ends {
    Gp accepted;
    Gp punted;
  };

  Ends run(const Frames& frames, const Gp& all) {
    frames_ = frames;
    vectors_.assign(graph_.values.size(), Vec());
    ways_.assign(graph_.blocks.size(), Gp());
    for (BlockId end : {ACCEPT, PUNT}) clear_way(end);
    prepare_skipped();
    enter(graph_.first, all);
    for (BlockId id = FIRST_BLOCK; id < graph_.blocks.size(); id++) {
      if (graph_.blocks[id].reached) write_block(id);
    }
    return {ways_[ACCEPT], ways_[PUNT]};
  }

  Vec get(ValueId id) { return graph_.is_constant(id) ? lanes_.constant(graph_.values[id].k) : vectors_[id]; }

  // A block that loads by gathers is skipped when no lane needs it.
  bool is_skippable(BlockId id) const {
    const Block& block = graph_.blocks[id];
    return id != graph_.first && std::any_of(block.values.begin(), block.values.end(), [&](ValueId value) {
             return source_.is_slow(graph_.values[value]) || graph_.values[value].kind == ValueKind::in_set ||
                    graph_.values[value].kind == ValueKind::divide ||
                    graph_.values[value].kind == ValueKind::modulo;
           });
  }

 private:
  void clear_way(BlockId id) {
    ways_[id] = cc.newUInt32();
    cc.xor_(ways_[id], ways_[id]);
  }

  // What a skipped block would have set must have a value all the same.
  void prepare_skipped() {
    for (BlockId id = FIRST_BLOCK; id < graph_.blocks.size(); id++) {
      const Block& block = graph_.blocks[id];
      bool waits = block.reached && std::any_of(block.before.begin(), block.before.end(),
                                                [&](const Edge& edge) { return is_skippable(edge.from); });
      if (!waits) continue;
      clear_way(id);
      for (const Join& join : block.joins) {
        vectors_[join.value] = lanes_.vec();
        lanes_.clear(vectors_[join.value]);
      }
    }
  }

  // More lanes come to a block.
  void enter(BlockId id, const Gp& lanes) {
    if (id == REJECT) return;
    if (ways_[id].isValid()) {
      cc.or_(ways_[id], lanes);
    } else {
      ways_[id] = cc.newUInt32();
      cc.mov(ways_[id], lanes);
    }
  }

  void leave(Edge edge, BlockId to, const Gp& lanes) {
    enter(to, lanes);
    const Block& target = graph_.blocks[to];
    for (size_t i = 0; i < target.before.size(); i++) {
      if (target.before[i].from != edge.from || target.before[i].is_no != edge.is_no) continue;
      for (const Join& join : target.joins) {
        Vec& into = vectors_[join.value];
        if (into.isValid()) {
          lanes_.merge(into, get(join.from[i]), lanes);
        } else {
          into = lanes_.vec();
          lanes_.copy(into, get(join.from[i]));
        }
      }
    }
  }

  void write_block(BlockId id) {
    const Block& block = graph_.blocks[id];
    Gp lanes = ways_[id];
    Label skip;
    bool skips = is_skippable(id);
    if (skips) {
      skip = cc.newLabel();
      cc.test(lanes, lanes);
      cc.jz(skip);
    }
    if (block.bytes != 0 && !frames_.is_long) {
      cc.and_(lanes,
              lanes_.compare(TestKind::at_least, frames_.captured, lanes_.constant_memory(block.bytes)));
    }
    for (ValueId value : block.values) write_value(value, id, lanes);
    if (block.tests) {
      Gp found = graph_.is_constant(block.test.b)
                     ? lanes_.compare(block.test.kind, get(block.test.a),
                                      lanes_.constant_memory(graph_.values[block.test.b].k))
                     : lanes_.compare(block.test.kind, get(block.test.a), get(block.test.b));
      if (block.no != REJECT) {
        Gp no = cc.newUInt32();
        cc.andn(no, found, lanes);
        leave({id, true}, block.no, no);
      }
      cc.and_(found, lanes);
      if (block.yes != REJECT) leave({id, false}, block.yes, found);
    } else {
      leave({id, false}, block.yes, lanes);
    }
    if (skips) cc.bind(skip);
  }

  void write_value(ValueId id, BlockId block, const Gp& lanes) {
    const Value& value = graph_.values[id];
    switch (value.kind) {
      case ValueKind::length:
        vectors_[id] = frames_.length;
        return;
      case ValueKind::field:
        vectors_[id] = source_.field(value, block, lanes);
        return;
      case ValueKind::indirect:
        vectors_[id] = write_indirect(value, lanes);
        return;
      case ValueKind::in_set:
        vectors_[id] = look_up(get(value.a), get(value.b), graph_.sets[value.k]);
        return;
      case ValueKind::divide:
      case ValueKind::modulo:
        vectors_[id] = divide(value);
        return;
      default:
        vectors_[id] = lanes_.vec();
        if (graph_.is_constant(value.b)) {
          lanes_.calculate(value.kind, vectors_[id], get(value.a),
                           lanes_.constant_memory(graph_.values[value.b].k));
        } else {
          lanes_.calculate(value.kind, vectors_[id], get(value.a), get(value.b));
        }
        return;
    }
  }

  Vec divide(const Value& value) {
    Vec a = get(value.a);
    Vec b = get(value.b);
    Vec result = lanes_.divide(a, b);
    if (value.kind == ValueKind::modulo) {
      lanes_.calculate(ValueKind::multiply, result, result, b);
      lanes_.calculate(ValueKind::subtract, result, a, result);
    }
    return result;
  }

  // Lanes whose frame ends before the load are rejected; the others read.
  Vec write_indirect(const Value& value, const Gp& lanes) {
    Vec base = get(value.a);
    uint32_t bytes = value.k + value.size;
    cc.and_(lanes, lanes_.compare(TestKind::at_least, frames_.captured, lanes_.constant_memory(bytes)));
    Vec room = lanes_.vec();
    lanes_.calculate(ValueKind::subtract, room, frames_.captured, lanes_.constant_memory(bytes));
    cc.and_(lanes, lanes_.compare(TestKind::at_least, room, base));
    return source_.indirect(value, base, lanes);
  }

  // SymbolSet::contains(). Every index is inside its table, whatever a lane holds.
  Vec look_up(const Vec& first, const Vec& last, const SymbolSet& set) {
    Vec mixed = lanes_.vec();
    Vec rest = lanes_.vec();
    Vec index = lanes_.vec();
    auto multiply = [&](const Vec& into, const Vec& from, uint32_t k) {
      lanes_.calculate(ValueKind::multiply, into, from, lanes_.constant_memory(k));
    };
    auto fold = [&] {
      lanes_.shift_right(rest, mixed, SymbolSet::FOLD_BITS);
      lanes_.calculate(ValueKind::bit_xor, mixed, mixed, rest);
    };
    multiply(mixed, first, set.mix_first());
    fold();
    lanes_.calculate(ValueKind::add, mixed, mixed, last);
    multiply(mixed, mixed, SymbolSet::MIX_LAST);
    fold();
    multiply(mixed, mixed, SymbolSet::MIX_ALL);
    lanes_.shift_right(index, mixed, set.bucket_shift());
    Vec seed = lanes_.look_up(set.seeds(), index, 2, 0);
    lanes_.calculate(ValueKind::bit_xor, mixed, mixed, seed);
    multiply(mixed, mixed, SymbolSet::MIX_SLOT);
    lanes_.shift_right(index, mixed, set.slot_shift());
    Gp found = lanes_.compare(TestKind::equal, lanes_.look_up(set.keys(), index, 3, 0), first);
    cc.and_(found, lanes_.compare(TestKind::equal, lanes_.look_up(set.keys(), index, 3, 4), last));
    return lanes_.ones(found);
  }

  const Graph& graph_;
  Lanes& lanes_;
  Source& source_;
  asmjit::x86::Compiler& cc;
  Frames frames_{};
  std::vector<Vec> vectors_;  // of the values
  std::vector<Gp> ways_;      // the lanes that come to each block
};

}  // namespace carom
