// Lanes of 32 bits in a vector register: what AVX2 and AVX-512 do alike for the engine `simd`. `Self` is one
// of LanesAvx2 and LanesAvx512, which say what differs: how a mask is kept, and what instructions are called.
#pragma once

#include "filter/assembly.h"
#include "filter/frame_layout.h"
#include "filter/graph.h"

namespace carom {

template <class Self, class Vector, class LaneMask, uint32_t LANES>
class Lanes {
 public:
  using Vec = Vector;
  using Mask = LaneMask;
  using Gp = asmjit::x86::Gp;
  using Mem = asmjit::x86::Mem;
  static constexpr uint32_t COUNT = LANES;

  // Where the frames are, in two halves.
  struct Pointers {
    Vec low;
    Vec high;
  };

  Lanes(asmjit::x86::Compiler& compiler, const FrameLayout& layout) : cc(compiler), layout_(layout) {}

  // Before the loop: what stays in registers.
  void prepare() {
    uint8_t swap[4 * LANES];
    for (uint32_t i = 0; i < sizeof swap; i++) swap[i] = static_cast<uint8_t>(i ^ 3);
    swap_ = fixed(swap, sizeof swap);
    uint64_t steps[LANES / 2];
    for (uint32_t i = 0; i < LANES / 2; i++) steps[i] = uint64_t{i} * layout_.stride;
    pointer_steps_ = fixed(steps, sizeof steps);
    uint32_t narrow_steps[LANES];
    for (uint32_t i = 0; i < LANES; i++) narrow_steps[i] = i * layout_.stride;
    number_steps_ = fixed(narrow_steps, sizeof narrow_steps);
  }

  Vec fixed(const void* bytes, uint32_t size) {
    Vec into = self().vec();
    cc.emit(Self::MOVE, into, cc.newConst(asmjit::ConstPoolScope::kLocal, bytes, size));
    return into;
  }

  Vec constant(uint32_t k) {
    Vec into = self().vec();
    cc.vpbroadcastd(into, cc.newUInt32Const(asmjit::ConstPoolScope::kLocal, k));
    return into;
  }

  void clear(const Vec& into) { cc.emit(Self::XOR, into, into, into); }
  void copy(const Vec& into, const Vec& from) { cc.emit(Self::MOVE, into, from); }

  // A 32-bit number of each record.
  Vec load_numbers(const Gp& record, uint32_t at) {
    return gather_all(asmjit::x86::Inst::kIdVpgatherdd,
                      asmjit::x86::ptr(record, number_steps_, 0, static_cast<int32_t>(at)));
  }

  Pointers load_pointers(const Gp& record) {
    int32_t at = static_cast<int32_t>(layout_.data_at);
    int32_t half = static_cast<int32_t>(layout_.stride * LANES / 2);
    auto from = [&](int32_t offset) { return asmjit::x86::ptr(record, pointer_steps_, 0, offset); };
    Vec low = gather_all(asmjit::x86::Inst::kIdVpgatherqq, from(at));
    return {low, gather_all(asmjit::x86::Inst::kIdVpgatherqq, from(at + half))};
  }

  // Four bytes of each frame, the first one lowest; nothing is read for lanes that are not in the mask.
  Vec gather(const Pointers& frames, int32_t at, const Gp& lanes) {
    Mask low_mask = self().mask(lanes);
    Mask high_mask = self().upper_mask(low_mask);
    Vec low = self().vec();
    Vec high = self().vec();
    clear(low);
    clear(high);
    self().gather_where(asmjit::x86::Inst::kIdVpgatherqd, Self::half(low), absolute(frames.low, at),
                        low_mask);
    self().gather_where(asmjit::x86::Inst::kIdVpgatherqd, Self::half(high), absolute(frames.high, at),
                        high_mask);
    self().join(low, high);
    return low;
  }

  // As gather(), at an offset of each lane's own.
  Vec gather(const Pointers& frames, const Vec& offsets, int32_t at, const Gp& lanes) {
    Pointers moved{self().vec(), self().vec()};
    Vec upper = self().vec();
    cc.vpmovzxdq(moved.low, Self::half(offsets));
    self().split(upper, offsets, 1);
    cc.vpmovzxdq(moved.high, Self::half(upper));
    cc.vpaddq(moved.low, moved.low, frames.low);
    cc.vpaddq(moved.high, moved.high, frames.high);
    return gather(moved, at, lanes);
  }

  // Numbers of a table, whose indices are all inside it.
  Vec look_up(const void* table, const Vec& indices, uint32_t shift, int32_t at) {
    Gp base = cc.newUIntPtr();
    cc.mov(base, reinterpret_cast<uint64_t>(table));
    return gather_all(asmjit::x86::Inst::kIdVpgatherdd, asmjit::x86::ptr(base, indices, shift, at));
  }

  template <class B>
  void calculate(ValueKind kind, const Vec& into, const Vec& a, const B& b) {
    switch (kind) {
      case ValueKind::add:
        cc.vpaddd(into, a, b);
        break;
      case ValueKind::subtract:
        cc.vpsubd(into, a, b);
        break;
      case ValueKind::multiply:
        cc.vpmulld(into, a, b);
        break;
      case ValueKind::bit_and:
        cc.emit(Self::AND, into, a, b);
        break;
      case ValueKind::bit_or:
        cc.emit(Self::OR, into, a, b);
        break;
      case ValueKind::bit_xor:
        cc.emit(Self::XOR, into, a, b);
        break;
      case ValueKind::shift_left:
        cc.vpsllvd(into, a, b);
        break;
      default:
        cc.vpsrlvd(into, a, b);
        break;
    }
  }

  // a / b, rounded down: exact, as a double holds more than twice the digits that two quotients need to
  // differ. Where b is 0 anything comes out.
  Vec divide(const Vec& a, const Vec& b) {
    Vec halves[2];
    for (uint32_t i = 0; i < 2; i++) {
      Vec dividend = self().widen(a, i);
      cc.vdivpd(dividend, dividend, self().widen(b, i));
      halves[i] = self().vec();
      self().narrow(halves[i], dividend);
    }
    self().join(halves[0], halves[1]);
    return self().from_narrow(halves[0]);
  }

  void swap_bytes(const Vec& into) { cc.vpshufb(into, into, swap_); }
  void shift_right(const Vec& into, const Vec& from, uint32_t bits) { cc.vpsrld(into, from, bits); }
  void signed_max(const Vec& into, const Vec& a, const Vec& b) { cc.vpmaxsd(into, a, b); }

 protected:
  asmjit::x86::Compiler& cc;

 private:
  Self& self() { return static_cast<Self&>(*this); }

  Vec gather_all(uint32_t instruction, const Mem& from) {
    Vec into = self().vec();
    clear(into);
    self().gather_where(instruction, into, from, self().all_lanes());
    return into;
  }

  static Mem absolute(const Vec& pointers, int32_t at) {
    return asmjit::x86::ptr(static_cast<uint64_t>(at), pointers);
  }

  const FrameLayout& layout_;
  Vec swap_;
  Vec pointer_steps_;
  Vec number_steps_;
};

}  // namespace carom
