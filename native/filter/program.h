// A filter as classic BPF, verified: every engine takes it from here, so no engine meets a program that jumps
// out of itself, loops, or falls off its end.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "filter/symbol_set.h"

struct bpf_insn;

namespace carom {

// As struct bpf_insn, with jumps wide enough to join programs.
struct Instruction {
  uint16_t code;
  uint32_t yes;  // instructions to skip
  uint32_t no;
  uint32_t k;
};

// carom's own instruction, from the space that classic BPF leaves to BPF_MISC: A = 1 if the eight bytes that
// the scratch words k >> 16 (first) and A (last) hold are in the set k & 0xffff, else 0.
constexpr uint16_t CODE_IN_SET = 0x07 | 0x40;

constexpr uint32_t SCRATCH_WORDS = 16;
constexpr uint32_t INSTRUCTIONS_MAX = 262'144;

class Program {
 public:
  // Throws Error (usage) naming the instruction that is not allowed.
  explicit Program(std::vector<Instruction> instructions, std::vector<SymbolSet> sets = {});
  static Program from_bpf(const bpf_insn* instructions, uint32_t count);

  std::span<const Instruction> instructions() const noexcept { return instructions_; }
  std::span<const SymbolSet> sets() const noexcept { return sets_; }

  // As `tcpdump -d` writes it, a line an instruction.
  std::string listing() const;

 private:
  std::vector<Instruction> instructions_;
  std::vector<SymbolSet> sets_;
};

}  // namespace carom
