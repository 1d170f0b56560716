#include "filter/ebpf.h"

#include <linux/bpf.h>
#include <linux/filter.h>

#include <bit>
#include <cstring>

namespace carom {
namespace {

static_assert(sizeof(EbpfInstruction) == sizeof(bpf_insn));

// Where classic BPF's registers and the frame are kept. R1 to R5 are for what an instruction needs meanwhile.
constexpr uint8_t A = BPF_REG_0;
constexpr uint8_t CONTEXT = BPF_REG_6;
constexpr uint8_t DATA = BPF_REG_7;
constexpr uint8_t END = BPF_REG_8;
constexpr uint8_t X = BPF_REG_9;
constexpr uint8_t STACK = BPF_REG_10;

constexpr uint32_t SEEN_BYTES = 65520;  // of a frame: the verifier follows offsets of 16 bits

enum class End : uint8_t { accept, reject };

int16_t scratch_at(uint32_t word) { return static_cast<int16_t>(-4 * static_cast<int>(word + 1)); }

uint32_t size_of(uint16_t code) { return BPF_SIZE(code) == BPF_W ? 4 : BPF_SIZE(code) == BPF_H ? 2 : 1; }

bool uses_scratch(const Instruction& one) {
  uint16_t kind = BPF_CLASS(one.code);
  bool is_load = (kind == BPF_LD || kind == BPF_LDX) && BPF_MODE(one.code) == BPF_MEM;
  return is_load || kind == BPF_ST || kind == BPF_STX || one.code == CODE_IN_SET;
}

bool is_beyond(const Instruction& one) {
  uint16_t kind = BPF_CLASS(one.code);
  if (kind != BPF_LD && kind != BPF_LDX) return false;
  bool is_absolute = BPF_MODE(one.code) == BPF_ABS || BPF_MODE(one.code) == BPF_MSH;
  return is_absolute && uint64_t{one.k} + size_of(one.code) > SEEN_BYTES;
}

// Where the tables of a set begin in the map's value: its seeds, then its keys.
struct TablePlace {
  size_t seeds;
  size_t keys;
};

size_t seed_bytes(const SymbolSet& set) {
  return (size_t{1} << (32 - set.bucket_shift())) * sizeof(uint32_t);
}
size_t key_bytes(const SymbolSet& set) {
  return (size_t{1} << (32 - set.slot_shift())) * sizeof(SymbolWords);
}

std::vector<TablePlace> places_of(std::span<const SymbolSet> sets, size_t& bytes) {
  std::vector<TablePlace> places;
  bytes = 0;
  for (const SymbolSet& set : sets) {
    places.push_back({bytes, bytes + seed_bytes(set)});
    bytes += seed_bytes(set) + key_bytes(set);
  }
  return places;
}

class Translator {
 public:
  Translator(const Program& program, int tables) : program_(program), tables_(tables) {
    size_t bytes = 0;
    places_ = places_of(program.sets(), bytes);
  }

  std::optional<std::vector<EbpfInstruction>> translate(const EbpfEnds& ends) {
    std::span<const Instruction> from = program_.instructions();
    std::vector<bool> reached(from.size());  // the kernel takes no instruction that no way leads to
    reached[0] = true;
    begin();
    for (uint32_t at = 0; at < from.size(); at++) {
      starts_.push_back(static_cast<uint32_t>(code_.size()));
      if (!reached[at]) continue;
      const Instruction& one = from[at];
      if (BPF_CLASS(one.code) == BPF_JMP) {
        bool always = BPF_OP(one.code) == BPF_JA;
        reached[at + 1 + (always ? one.k : one.yes)] = true;
        if (!always) reached[at + 1 + one.no] = true;
        jump_of(at, one);
      } else if (BPF_CLASS(one.code) == BPF_RET) {
        return_of(one);
      } else if (is_beyond(one)) {
        go(End::reject);
      } else {
        reached[at + 1] = true;
        plain(one);
      }
    }
    uint32_t accept = finish(End::accept, ends.accept);
    uint32_t reject = finish(End::reject, ends.reject);
    for (const Jump& jump : jumps_) {
      uint32_t to = jump.is_end ? (jump.end == End::accept ? accept : reject) : starts_[jump.to];
      int64_t distance = int64_t{to} - jump.at - 1;
      if (distance > INT16_MAX) return std::nullopt;
      code_[jump.at].offset = static_cast<int16_t>(distance);
    }
    return std::move(code_);
  }

 private:
  // To an instruction of the program, or to an end.
  struct Jump {
    uint32_t at;
    bool is_end;
    End end;
    uint32_t to;
  };

  void put(uint32_t code, uint8_t target, uint8_t source, int32_t offset = 0, uint32_t immediate = 0) {
    code_.push_back({static_cast<uint8_t>(code), static_cast<uint8_t>(target | source << 4),
                     static_cast<int16_t>(offset), static_cast<int32_t>(immediate)});
  }
  void calculate(uint32_t operation, uint8_t target, uint32_t k) {
    put(BPF_ALU | BPF_K | operation, target, 0, 0, k);
  }
  void calculate_with(uint32_t operation, uint8_t target, uint8_t source) {
    put(BPF_ALU | BPF_X | operation, target, source);
  }
  void move_pointer(uint8_t target, uint8_t source) { put(BPF_ALU64 | BPF_MOV | BPF_X, target, source); }
  void add_to_pointer(uint8_t target, uint32_t k) { put(BPF_ALU64 | BPF_ADD | BPF_K, target, 0, 0, k); }
  void read(uint32_t size, uint8_t target, uint8_t from, int32_t offset) {
    put(BPF_LDX | BPF_MEM | size, target, from, offset);
  }

  // The jump that was put last goes to an end.
  void to(End end) { jumps_.push_back({static_cast<uint32_t>(code_.size()) - 1, true, end, 0}); }
  void to(uint32_t instruction) {
    jumps_.push_back({static_cast<uint32_t>(code_.size()) - 1, false, End::accept, instruction});
  }
  void go(End end) {
    put(BPF_JMP | BPF_JA, 0, 0);
    to(end);
  }

  void begin() {
    move_pointer(CONTEXT, BPF_REG_1);
    read(BPF_W, DATA, CONTEXT, offsetof(xdp_md, data));
    read(BPF_W, END, CONTEXT, offsetof(xdp_md, data_end));
    calculate(BPF_MOV, A, 0);
    calculate(BPF_MOV, X, 0);
    bool has_scratch = false;
    for (const Instruction& one : program_.instructions()) has_scratch |= uses_scratch(one);
    for (uint32_t word = 1; has_scratch && word < SCRATCH_WORDS; word += 2) {
      put(BPF_ST | BPF_MEM | BPF_DW, STACK, 0, scratch_at(word));
    }
  }

  uint32_t finish(End end, std::span<const EbpfInstruction> code) {
    uint32_t at = static_cast<uint32_t>(code_.size());
    for (const Jump& jump : jumps_) {
      if (!jump.is_end || jump.end != end) continue;
      code_.insert(code_.end(), code.begin(), code.end());
      break;
    }
    return at;
  }

  void return_of(const Instruction& one) {
    if (BPF_RVAL(one.code) != BPF_A) return go(one.k != 0 ? End::accept : End::reject);
    put(BPF_JMP32 | BPF_JEQ | BPF_K, A, 0);
    to(End::reject);
    go(End::accept);
  }

  void jump_of(uint32_t at, const Instruction& one) {
    bool always = BPF_OP(one.code) == BPF_JA;
    uint32_t yes = at + 1 + (always ? one.k : one.yes);
    uint32_t no = at + 1 + (always ? one.k : one.no);
    if (yes != no) {
      // Both have the same numbers for what they compare, and for where the second operand is.
      put(BPF_JMP32 | BPF_OP(one.code) | BPF_SRC(one.code), A, BPF_SRC(one.code) == BPF_X ? X : 0, 0,
          BPF_SRC(one.code) == BPF_X ? 0 : one.k);
      to(yes);
    }
    if (no == at + 1) return;
    put(BPF_JMP | BPF_JA, 0, 0);
    to(no);
  }

  void plain(const Instruction& one) {
    switch (BPF_CLASS(one.code)) {
      case BPF_LD:
      case BPF_LDX:
        return load(one, BPF_CLASS(one.code) == BPF_LD ? A : X);
      case BPF_ST:
        return put(BPF_STX | BPF_MEM | BPF_W, STACK, A, scratch_at(one.k));
      case BPF_STX:
        return put(BPF_STX | BPF_MEM | BPF_W, STACK, X, scratch_at(one.k));
      case BPF_ALU:
        return arithmetic(one);
      default:
        break;
    }
    if (one.code == CODE_IN_SET) return look_up(one.k >> 16, one.k & 0xffff);
    bool to_x = BPF_MISCOP(one.code) == BPF_TAX;
    calculate_with(BPF_MOV, to_x ? X : A, to_x ? A : X);
  }

  void load(const Instruction& one, uint8_t target) {
    switch (BPF_MODE(one.code)) {
      case BPF_IMM:
        return calculate(BPF_MOV, target, one.k);
      case BPF_MEM:
        return read(BPF_W, target, STACK, scratch_at(one.k));
      case BPF_LEN:
        move_pointer(target, END);
        return put(BPF_ALU64 | BPF_SUB | BPF_X, target, DATA);
      case BPF_IND:
        return load_indirect(one);
      default:
        break;
    }
    const uint32_t size = size_of(one.code);
    move_pointer(BPF_REG_1, DATA);
    add_to_pointer(BPF_REG_1, one.k + size);
    put(BPF_JMP | BPF_JGT | BPF_X, BPF_REG_1, END);
    to(End::reject);
    read(BPF_SIZE(one.code), target, BPF_REG_1, -static_cast<int32_t>(size));
    if (BPF_MODE(one.code) == BPF_MSH) {
      calculate(BPF_AND, X, 0xf);
      return calculate(BPF_LSH, X, 2);
    }
    to_big_endian(target, size);
  }

  // The sum of X and K is never beyond 64 bits; the verifier wants to see that it is not beyond 16.
  void load_indirect(const Instruction& one) {
    const uint32_t size = size_of(one.code);
    calculate_with(BPF_MOV, BPF_REG_2, X);
    calculate(BPF_MOV, BPF_REG_3, one.k);
    put(BPF_ALU64 | BPF_ADD | BPF_X, BPF_REG_2, BPF_REG_3);
    put(BPF_JMP | BPF_JGT | BPF_K, BPF_REG_2, 0, 0, SEEN_BYTES - size);
    to(End::reject);
    move_pointer(BPF_REG_1, DATA);
    put(BPF_ALU64 | BPF_ADD | BPF_X, BPF_REG_1, BPF_REG_2);
    add_to_pointer(BPF_REG_1, size);
    put(BPF_JMP | BPF_JGT | BPF_X, BPF_REG_1, END);
    to(End::reject);
    read(BPF_SIZE(one.code), A, BPF_REG_1, -static_cast<int32_t>(size));
    to_big_endian(A, size);
  }

  void to_big_endian(uint8_t target, uint32_t size) {
    if (size > 1) put(BPF_ALU | BPF_END | BPF_TO_BE, target, 0, 0, size * 8);
  }

  // Where eBPF differs from classic BPF: a shift by more than 31, and a division by zero.
  void arithmetic(const Instruction& one) {
    const uint32_t operation = BPF_OP(one.code);
    const bool is_shift = operation == BPF_LSH || operation == BPF_RSH;
    if (operation == BPF_NEG) return calculate(BPF_NEG, A, 0);
    if (BPF_SRC(one.code) == BPF_K) {
      return is_shift && one.k > 31 ? calculate(BPF_MOV, A, 0) : calculate(operation, A, one.k);
    }
    if (operation == BPF_DIV || operation == BPF_MOD) {
      put(BPF_JMP32 | BPF_JEQ | BPF_K, X, 0);
      to(End::reject);
    }
    if (!is_shift) return calculate_with(operation, A, X);
    put(BPF_JMP32 | BPF_JGT | BPF_K, X, 0, 2, 31);
    calculate_with(operation, A, X);
    put(BPF_JMP | BPF_JA, 0, 0, 1);
    calculate(BPF_MOV, A, 0);
  }

  // A pointer into the map's value.
  void table(uint8_t target, size_t at) {
    put(BPF_LD | BPF_IMM | BPF_DW, target, BPF_PSEUDO_MAP_VALUE, 0, static_cast<uint32_t>(tables_));
    put(0, 0, 0, 0, static_cast<uint32_t>(at));
  }

  // As SymbolSet::contains(). Shifts bound the indices, so that the verifier sees them inside.
  void look_up(uint32_t first, uint32_t index) {
    const SymbolSet& set = program_.sets()[index];
    constexpr uint8_t FIRST = BPF_REG_1, MIXED = BPF_REG_3, PLACE = BPF_REG_4, TABLE = BPF_REG_5;
    read(BPF_W, FIRST, STACK, scratch_at(first));
    auto fold = [&] {
      calculate_with(BPF_MOV, PLACE, MIXED);
      calculate(BPF_RSH, PLACE, SymbolSet::FOLD_BITS);
      calculate_with(BPF_XOR, MIXED, PLACE);
    };
    calculate_with(BPF_MOV, MIXED, FIRST);
    calculate(BPF_MUL, MIXED, set.mix_first());
    fold();
    calculate_with(BPF_ADD, MIXED, A);
    calculate(BPF_MUL, MIXED, SymbolSet::MIX_LAST);
    fold();
    calculate(BPF_MUL, MIXED, SymbolSet::MIX_ALL);
    calculate_with(BPF_MOV, PLACE, MIXED);
    calculate(BPF_RSH, PLACE, set.bucket_shift());
    put(BPF_ALU64 | BPF_LSH | BPF_K, PLACE, 0, 0, std::countr_zero(sizeof(uint32_t)));
    table(TABLE, places_[index].seeds);
    put(BPF_ALU64 | BPF_ADD | BPF_X, TABLE, PLACE);
    read(BPF_W, PLACE, TABLE, 0);
    calculate_with(BPF_XOR, PLACE, MIXED);
    calculate(BPF_MUL, PLACE, SymbolSet::MIX_SLOT);
    calculate(BPF_RSH, PLACE, set.slot_shift());
    put(BPF_ALU64 | BPF_LSH | BPF_K, PLACE, 0, 0, std::countr_zero(sizeof(SymbolWords)));
    table(TABLE, places_[index].keys);
    put(BPF_ALU64 | BPF_ADD | BPF_X, TABLE, PLACE);
    read(BPF_W, MIXED, TABLE, offsetof(SymbolWords, first));
    read(BPF_W, PLACE, TABLE, offsetof(SymbolWords, last));
    put(BPF_JMP32 | BPF_JNE | BPF_X, MIXED, FIRST, 3);
    put(BPF_JMP32 | BPF_JNE | BPF_X, PLACE, A, 2);
    calculate(BPF_MOV, A, 1);
    put(BPF_JMP | BPF_JA, 0, 0, 1);
    calculate(BPF_MOV, A, 0);
  }

  const Program& program_;
  const int tables_;
  std::vector<TablePlace> places_;
  std::vector<EbpfInstruction> code_;
  std::vector<uint32_t> starts_;  // of each of the program's instructions
  std::vector<Jump> jumps_;
};

}  // namespace

std::vector<EbpfInstruction> load_map(uint8_t target, int map) {
  return {{BPF_LD | BPF_IMM | BPF_DW, static_cast<uint8_t>(target | BPF_PSEUDO_MAP_FD << 4), 0, map}, {}};
}

std::vector<uint8_t> ebpf_tables(const Program& program) {
  size_t bytes = 0;
  std::vector<TablePlace> places = places_of(program.sets(), bytes);
  std::vector<uint8_t> tables(bytes);
  for (size_t i = 0; i < places.size(); i++) {
    const SymbolSet& set = program.sets()[i];
    memcpy(tables.data() + places[i].seeds, set.seeds(), seed_bytes(set));
    memcpy(tables.data() + places[i].keys, set.keys(), key_bytes(set));
  }
  return tables;
}

std::optional<std::vector<EbpfInstruction>> make_ebpf(const Program& program, int tables,
                                                      const EbpfEnds& ends) {
  return Translator(program, tables).translate(ends);
}

}  // namespace carom
