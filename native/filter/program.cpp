#include "filter/program.h"

#include <sys/types.h>
// Needs the types above.
#include <pcap/bpf.h>

#include "core/error.h"

namespace carom {
namespace {

[[noreturn]] void refuse(size_t at, const char* why) {
  throw Error(ErrorCode::usage, "verify a filter program", "instruction " + std::to_string(at) + " " + why,
              "only programs that jump forward, stay inside and end in a return are run");
}

bool is_known(uint16_t code) {
  switch (code) {
    case BPF_RET | BPF_K:
    case BPF_RET | BPF_A:
    case BPF_LD | BPF_W | BPF_ABS:
    case BPF_LD | BPF_H | BPF_ABS:
    case BPF_LD | BPF_B | BPF_ABS:
    case BPF_LD | BPF_W | BPF_IND:
    case BPF_LD | BPF_H | BPF_IND:
    case BPF_LD | BPF_B | BPF_IND:
    case BPF_LD | BPF_W | BPF_LEN:
    case BPF_LDX | BPF_W | BPF_LEN:
    case BPF_LDX | BPF_MSH | BPF_B:
    case BPF_LD | BPF_IMM:
    case BPF_LDX | BPF_IMM:
    case BPF_LD | BPF_MEM:
    case BPF_LDX | BPF_MEM:
    case BPF_ST:
    case BPF_STX:
    case BPF_JMP | BPF_JA:
    case BPF_ALU | BPF_NEG:
    case BPF_MISC | BPF_TAX:
    case BPF_MISC | BPF_TXA:
    case CODE_IN_SET:
      return true;
    default:
      break;
  }
  // What is left is regular: an operation, and K or X as its second operand.
  uint16_t operation = BPF_OP(code);
  if ((code & ~(BPF_SRC(0xff) | 0xf0)) == BPF_JMP) return operation >= BPF_JEQ && operation <= BPF_JSET;
  if ((code & ~(BPF_SRC(0xff) | 0xf0)) == BPF_ALU) return operation <= BPF_XOR && operation != BPF_NEG;
  return false;
}

bool uses_scratch(uint16_t code) {
  return code == (BPF_LD | BPF_MEM) || code == (BPF_LDX | BPF_MEM) || code == BPF_ST || code == BPF_STX;
}

// The last instruction's own check is that it returns, so a jump only has to stay inside.
void check(std::span<const Instruction> all, size_t at, size_t set_count) {
  const Instruction& one = all[at];
  size_t left = all.size() - at - 1;
  if (!is_known(one.code)) refuse(at, "is not one of classic BPF");
  if (uses_scratch(one.code) && one.k >= SCRATCH_WORDS) refuse(at, "uses scratch memory that is not there");
  if (one.code == (BPF_ALU | BPF_DIV | BPF_K) || one.code == (BPF_ALU | BPF_MOD | BPF_K)) {
    if (one.k == 0) refuse(at, "divides by zero");
  }
  if (one.code == CODE_IN_SET && ((one.k >> 16) >= SCRATCH_WORDS || (one.k & 0xffff) >= set_count)) {
    refuse(at, "uses a set that is not there");
  }
  if (one.code == (BPF_JMP | BPF_JA)) {
    if (static_cast<int32_t>(one.k) < 0) refuse(at, "jumps backwards");
    if (one.k >= left) refuse(at, "jumps out of the program");
  } else if (BPF_CLASS(one.code) == BPF_JMP) {
    if (one.yes >= left || one.no >= left) refuse(at, "jumps out of the program");
  } else if (BPF_CLASS(one.code) != BPF_RET && left == 0) {
    refuse(at, "is the last one and no return");
  }
}

}  // namespace

Program::Program(std::vector<Instruction> instructions, std::vector<SymbolSet> sets)
    : instructions_(std::move(instructions)), sets_(std::move(sets)) {
  if (instructions_.empty() || instructions_.size() > INSTRUCTIONS_MAX) {
    throw Error(ErrorCode::usage, "verify a filter program",
                "it has " + std::to_string(instructions_.size()) + " instructions",
                "1 to " + std::to_string(INSTRUCTIONS_MAX) + " are allowed");
  }
  for (size_t i = 0; i < instructions_.size(); i++) check(instructions_, i, sets_.size());
}

Program Program::from_bpf(const bpf_insn* instructions, uint32_t count) {
  std::vector<Instruction> wide;
  wide.reserve(count);
  for (uint32_t i = 0; i < count; i++) {
    const bpf_insn& one = instructions[i];
    wide.push_back({one.code, one.jt, one.jf, one.k});
  }
  return Program(std::move(wide));
}

std::string Program::listing() const {
  std::string text;
  for (size_t i = 0; i < instructions_.size(); i++) {
    const Instruction& one = instructions_[i];
    char line[96];
    if (one.code == CODE_IN_SET) {
      snprintf(line, sizeof line, "(%03zu) in       M[%u]:A in set %u", i, one.k >> 16, one.k & 0xffff);
      text += line;
    } else {
      const bpf_insn narrow{one.code, static_cast<u_char>(one.yes), static_cast<u_char>(one.no), one.k};
      std::string image = bpf_image(&narrow, static_cast<int>(i));
      if (BPF_CLASS(one.code) == BPF_JMP && one.code != (BPF_JMP | BPF_JA)) {
        // bpf_image() knows jumps of eight bits only.
        image.resize(image.find(" jt "));
        snprintf(line, sizeof line, " jt %zu\tjf %zu", i + 1 + one.yes, i + 1 + one.no);
        image += line;
      }
      text += image;
    }
    text += '\n';
  }
  return text;
}

}  // namespace carom
