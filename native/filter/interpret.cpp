#include "filter/interpret.h"

#include <sys/types.h>
// Needs the types above.
#include <pcap/bpf.h>

namespace carom {
namespace {

// `size` bytes, big-endian. A load beyond the frame rejects it: false. The sum has 64 bits, it can't wrap.
bool load(const FilterFrame& frame, uint64_t at, uint32_t size, uint32_t& value) noexcept {
  if (at + size > frame.captured) return false;
  value = 0;
  for (uint32_t i = 0; i < size; i++) value = value << 8 | frame.data[at + i];
  return true;
}

// Division by zero rejects the frame: false.
bool calculate(uint16_t operation, uint32_t& a, uint32_t b) noexcept {
  switch (operation) {
    case BPF_ADD:
      a += b;
      break;
    case BPF_SUB:
      a -= b;
      break;
    case BPF_MUL:
      a *= b;
      break;
    case BPF_DIV:
      if (b == 0) return false;
      a /= b;
      break;
    case BPF_MOD:
      if (b == 0) return false;
      a %= b;
      break;
    case BPF_AND:
      a &= b;
      break;
    case BPF_OR:
      a |= b;
      break;
    case BPF_XOR:
      a ^= b;
      break;
    case BPF_LSH:
      a = b < 32 ? a << b : 0;
      break;
    case BPF_RSH:
      a = b < 32 ? a >> b : 0;
      break;
    case BPF_NEG:
      a = 0 - a;
      break;
  }
  return true;
}

bool test(uint16_t operation, uint32_t a, uint32_t b) noexcept {
  if (operation == BPF_JEQ) return a == b;
  if (operation == BPF_JGT) return a > b;
  if (operation == BPF_JGE) return a >= b;
  return (a & b) != 0;  // BPF_JSET
}

uint32_t size_of(uint16_t code) noexcept {
  return BPF_SIZE(code) == BPF_W ? 4 : BPF_SIZE(code) == BPF_H ? 2 : 1;
}

}  // namespace

bool interpret(const Program& program, const FilterFrame& frame) noexcept {
  uint32_t a = 0;
  uint32_t x = 0;
  uint32_t scratch[SCRATCH_WORDS] = {};
  for (const Instruction* at = program.instructions().data();; at++) {
    const uint32_t k = at->k;
    const uint32_t b = BPF_SRC(at->code) == BPF_X ? x : k;
    switch (BPF_CLASS(at->code)) {
      case BPF_RET:
        return (BPF_RVAL(at->code) == BPF_A ? a : k) != 0;
      case BPF_LD:
      case BPF_LDX: {
        uint32_t value = 0;
        uint16_t mode = BPF_MODE(at->code);
        if (mode == BPF_IMM) value = k;
        if (mode == BPF_MEM) value = scratch[k];
        if (mode == BPF_LEN) value = frame.length;
        if (mode == BPF_ABS && !load(frame, k, size_of(at->code), value)) return false;
        if (mode == BPF_IND && !load(frame, uint64_t{x} + k, size_of(at->code), value)) return false;
        if (mode == BPF_MSH && !load(frame, k, 1, value)) return false;
        if (mode == BPF_MSH) value = (value & 0xf) << 2;
        (BPF_CLASS(at->code) == BPF_LD ? a : x) = value;
        break;
      }
      case BPF_ST:
        scratch[k] = a;
        break;
      case BPF_STX:
        scratch[k] = x;
        break;
      case BPF_ALU:
        if (!calculate(BPF_OP(at->code), a, b)) return false;
        break;
      case BPF_JMP:
        if (BPF_OP(at->code) == BPF_JA) {
          at += k;
        } else {
          at += test(BPF_OP(at->code), a, b) ? at->yes : at->no;
        }
        break;
      case BPF_MISC:
        if (at->code == CODE_IN_SET) {
          a = program.sets()[k & 0xffff].contains(scratch[k >> 16], a);
        } else {
          (BPF_MISCOP(at->code) == BPF_TAX ? x : a) = BPF_MISCOP(at->code) == BPF_TAX ? a : x;
        }
        break;
    }
  }
}

}  // namespace carom
