#include "filter/lower.h"

#include <sys/types.h>
// Needs the types above.
#include <pcap/bpf.h>

#include <algorithm>
#include <optional>

#include "filter/simplify.h"

namespace carom {
namespace {

uint16_t size_code(uint8_t size) { return size == 4 ? BPF_W : size == 2 ? BPF_H : BPF_B; }

uint16_t operation_of(ValueKind kind) {
  switch (kind) {
    case ValueKind::add:
      return BPF_ADD;
    case ValueKind::subtract:
      return BPF_SUB;
    case ValueKind::multiply:
      return BPF_MUL;
    case ValueKind::divide:
      return BPF_DIV;
    case ValueKind::modulo:
      return BPF_MOD;
    case ValueKind::bit_and:
      return BPF_AND;
    case ValueKind::bit_or:
      return BPF_OR;
    case ValueKind::bit_xor:
      return BPF_XOR;
    case ValueKind::shift_left:
      return BPF_LSH;
    default:
      return BPF_RSH;
  }
}

uint16_t operation_of(TestKind kind) {
  switch (kind) {
    case TestKind::equal:
      return BPF_JEQ;
    case TestKind::above:
      return BPF_JGT;
    case TestKind::at_least:
      return BPF_JGE;
    default:
      return BPF_JSET;
  }
}

// Values are computed again where they are needed, from the frame: classic BPF has two registers. What A and
// X hold already is not loaded again.
class Lowering {
 public:
  Lowering(const Graph& graph, size_t longest)
      : graph_(graph), longest_(longest), ends_(graph.blocks.size()) {}

  // Nothing where a value depends on the way, or the program does not become shorter.
  std::optional<std::vector<Instruction>> lower() {
    if (graph_.first < FIRST_BLOCK) {
      return std::vector<Instruction>{{BPF_RET | BPF_K, 0, 0, graph_.first == ACCEPT ? UINT32_MAX : 0}};
    }
    std::vector<uint32_t> starts(graph_.blocks.size());
    for (BlockId id = graph_.first; id < graph_.blocks.size(); id++) {
      if (!graph_.blocks[id].reached) continue;
      starts[id] = here();
      write(id);
      if (failed_ || code_.size() + 2 > longest_) return std::nullopt;
    }
    starts[ACCEPT] = here();
    put(BPF_RET | BPF_K, UINT32_MAX);
    starts[REJECT] = here();
    put(BPF_RET | BPF_K, 0);
    for (const Way& way : ways_) {
      Instruction& one = code_[way.at];
      if (one.code == (BPF_JMP | BPF_JA)) {
        one.k = starts[way.yes] - way.at - 1;
      } else {
        one.yes = starts[way.yes] - way.at - 1;
        one.no = starts[way.no] - way.at - 1;
      }
    }
    return std::move(code_);
  }

 private:
  struct Registers {
    ValueId a = NO_VALUE;
    ValueId x = NO_VALUE;
  };

  struct Way {
    uint32_t at;
    BlockId yes;
    BlockId no;
  };

  uint32_t here() const { return static_cast<uint32_t>(code_.size()); }
  void put(uint32_t code, uint32_t k) { code_.push_back({static_cast<uint16_t>(code), 0, 0, k}); }
  const Value& value(ValueId id) const { return graph_.values[id]; }

  void write(BlockId id) {
    const Block& block = graph_.blocks[id];
    now_ = at_begin_of(block);
    const Registers before = now_;
    const uint32_t start = here();
    reads_to_ = 0;
    write_values(block);
    if (reads_to_ < block.bytes) {
      // The value that was read so far is not used: a load of the last byte rejects what is shorter, too.
      code_.resize(start);
      now_ = {NO_VALUE, before.x};
      put(BPF_LD | BPF_B | BPF_ABS, block.bytes - 1);
      write_values(block);
    }
    if (block.tests) {
      const bool is_constant = graph_.is_constant(block.test.b);
      uint32_t code = BPF_JMP | operation_of(block.test.kind) | (is_constant ? BPF_K : BPF_X);
      put(code, is_constant ? value(block.test.b).k : 0);
      ways_.push_back({here() - 1, block.yes, block.no});
    } else if (block.yes != next_reached(id)) {
      put(BPF_JMP | BPF_JA, 0);
      ways_.push_back({here() - 1, block.yes, block.yes});
    }
    ends_[id] = now_;
  }

  BlockId next_reached(BlockId id) const {
    do id++;
    while (id < graph_.blocks.size() && !graph_.blocks[id].reached);
    return id < graph_.blocks.size() ? id : ACCEPT;
  }

  // What the registers hold on all ways into a block.
  Registers at_begin_of(const Block& block) const {
    if (block.before.empty()) return {};
    Registers common = ends_[block.before[0].from];
    for (const Edge& edge : block.before) {
      if (ends_[edge.from].a != common.a) common.a = NO_VALUE;
      if (ends_[edge.from].x != common.x) common.x = NO_VALUE;
    }
    return common;
  }

  // Loads at places that are not known before can reject: they are made in the block that they are in.
  void write_values(const Block& block) {
    read_.clear();
    if (block.tests) write_operands(block.test.a, block.test.b);
    if (std::none_of(block.values.begin(), block.values.end(), [&](ValueId one) { return is_left(one); })) {
      return;
    }
    for (ValueId one : block.values) {
      if (is_left(one)) to_a(one);
    }
    if (block.tests) write_operands(block.test.a, block.test.b);
  }

  bool is_left(ValueId id) const {
    return value(id).kind == ValueKind::indirect && std::find(read_.begin(), read_.end(), id) == read_.end();
  }

  // A constant stays what it is: the instruction has room for one.
  void write_operands(ValueId a, ValueId b) {
    if (graph_.is_constant(b)) return to_a(a);
    if (now_.x == b && leaves_x(a)) return to_a(a);
    to_a(b);
    uint32_t word = keep();
    to_a(a);
    put(BPF_LDX | BPF_MEM, word);
    now_.x = b;
    kept_--;
  }

  bool leaves_x(ValueId id) const {
    ValueKind kind = value(id).kind;
    return now_.a == id || kind == ValueKind::field || kind == ValueKind::constant ||
           kind == ValueKind::length;
  }

  // A into the scratch memory.
  uint32_t keep() {
    if (kept_ == SCRATCH_WORDS) failed_ = true;
    uint32_t word = kept_ % SCRATCH_WORDS;
    kept_++;
    put(BPF_ST, word);
    return word;
  }

  void to_a(ValueId id) {
    if (now_.a == id || failed_ || code_.size() > longest_) return;
    const Value& one = value(id);
    switch (one.kind) {
      case ValueKind::constant:
        put(BPF_LD | BPF_IMM, one.k);
        break;
      case ValueKind::length:
        put(BPF_LD | BPF_W | BPF_LEN, 0);
        break;
      case ValueKind::field:
        put(BPF_LD | size_code(one.size) | BPF_ABS, one.k);
        reads_to_ = std::max(reads_to_, one.k + one.size);
        break;
      case ValueKind::indirect:
        to_x(one.a);
        put(BPF_LD | size_code(one.size) | BPF_IND, one.k);
        read_.push_back(id);
        break;
      case ValueKind::in_set: {
        to_a(one.a);
        uint32_t word = keep();
        to_a(one.b);
        put(CODE_IN_SET, word << 16 | one.k);
        kept_--;
        break;
      }
      case ValueKind::join:
        failed_ = true;
        break;
      default:
        write_operands(one.a, one.b);
        if (graph_.is_constant(one.b)) {
          put(BPF_ALU | operation_of(one.kind) | BPF_K, value(one.b).k);
        } else {
          put(BPF_ALU | operation_of(one.kind) | BPF_X, 0);
        }
    }
    now_.a = id;
  }

  void to_x(ValueId id) {
    if (now_.x == id) return;
    const Value& one = value(id);
    if (std::optional<uint32_t> header = header_length_at(one)) {
      put(BPF_LDX | BPF_MSH | BPF_B, *header);
      reads_to_ = std::max(reads_to_, *header + 1);
    } else if (one.kind == ValueKind::constant) {
      put(BPF_LDX | BPF_IMM, one.k);
    } else {
      to_a(id);
      put(BPF_MISC | BPF_TAX, 0);
    }
    now_.x = id;
  }

  // Where the byte is whose low four bits, times four, are the value: an instruction of its own.
  std::optional<uint32_t> header_length_at(const Value& one) const {
    if (one.kind != ValueKind::shift_left || !graph_.is_constant(one.b) || value(one.b).k != 2) {
      return std::nullopt;
    }
    const Value& words = value(one.a);
    if (words.kind != ValueKind::bit_and || !graph_.is_constant(words.b) || value(words.b).k != 0xf) {
      return std::nullopt;
    }
    const Value& byte = value(words.a);
    if (byte.kind != ValueKind::field || byte.size != 1) return std::nullopt;
    return byte.k;
  }

  const Graph& graph_;
  const size_t longest_;
  std::vector<Instruction> code_;
  std::vector<Way> ways_;
  std::vector<Registers> ends_;  // of each block
  Registers now_;
  std::vector<ValueId> read_;  // loads at places not known before, in this block
  uint32_t reads_to_ = 0;      // bytes of the frame, in this block
  uint32_t kept_ = 0;
  bool failed_ = false;
};

}  // namespace

Program lower(Program program) {
  const Graph graph = simplify(program, Scope::whole, Checks::late);
  std::optional<std::vector<Instruction>> shorter = Lowering(graph, program.instructions().size()).lower();
  if (!shorter) return program;
  return Program(std::move(*shorter), {program.sets().begin(), program.sets().end()});
}

}  // namespace carom
