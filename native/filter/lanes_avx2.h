// Eight lanes of 32 bits: how AVX2 does what the engine `simd` asks for. Masks are vectors here, all bits of
// a lane set or none.
#pragma once

#include "filter/assembly.h"
#include "filter/frame_layout.h"
#include "filter/graph.h"

namespace carom {

class LanesAvx2 {
 public:
  using Vec = asmjit::x86::Ymm;
  using Mask = asmjit::x86::Ymm;
  using Gp = asmjit::x86::Gp;
  using Mem = asmjit::x86::Mem;
  static constexpr uint32_t COUNT = 8;
  static constexpr Assembly::Vectors VECTORS = Assembly::Vectors::avx2;

  struct Pointers {
    Vec low;
    Vec high;
  };

  LanesAvx2(asmjit::x86::Compiler& compiler, const FrameLayout& layout) : cc(compiler), layout_(layout) {}

  void prepare() {
    uint8_t swap[32];
    for (uint32_t i = 0; i < sizeof swap; i++) swap[i] = static_cast<uint8_t>((i & 15) ^ 3);
    swap_ = fixed(swap, sizeof swap);
    uint64_t steps[4];
    for (uint32_t i = 0; i < 4; i++) steps[i] = uint64_t{i} * layout_.stride;
    pointer_steps_ = fixed(steps, sizeof steps);
    uint32_t narrow_steps[8];
    for (uint32_t i = 0; i < 8; i++) narrow_steps[i] = i * layout_.stride;
    number_steps_ = fixed(narrow_steps, sizeof narrow_steps);
    uint32_t bits[8];
    for (uint32_t i = 0; i < 8; i++) bits[i] = 1u << i;
    bits_ = fixed(bits, sizeof bits);
  }

  Vec vec() { return cc.newYmm(); }

  Vec fixed(const void* bytes, uint32_t size) {
    Vec into = vec();
    cc.vmovdqu(into, cc.newConst(asmjit::ConstPoolScope::kLocal, bytes, size));
    return into;
  }

  Mem constant_memory(uint32_t k) {
    uint32_t all[8];
    for (uint32_t& one : all) one = k;
    return cc.newConst(asmjit::ConstPoolScope::kLocal, all, sizeof all);
  }

  Vec constant(uint32_t k) {
    Vec into = vec();
    cc.vpbroadcastd(into, cc.newUInt32Const(asmjit::ConstPoolScope::kLocal, k));
    return into;
  }

  void clear(const Vec& into) { cc.vpxor(into, into, into); }

  Mask mask(const Gp& lanes) {
    Mask made = vec();
    cc.vmovd(made.xmm(), lanes.r32());
    cc.vpbroadcastd(made, made.xmm());
    cc.vpand(made, made, bits_);
    cc.vpcmpeqd(made, made, bits_);
    return made;
  }

  Vec load_numbers(const Gp& record, uint32_t at) {
    Vec into = vec();
    clear(into);
    cc.vpgatherdd(into, asmjit::x86::ptr(record, number_steps_, 0, static_cast<int32_t>(at)), all_lanes());
    return into;
  }

  Pointers load_pointers(const Gp& record) {
    Pointers into{vec(), vec()};
    int32_t at = static_cast<int32_t>(layout_.data_at);
    for (auto [half, first] : {std::pair{into.low, 0}, std::pair{into.high, 4}}) {
      clear(half);
      int32_t from = at + first * static_cast<int32_t>(layout_.stride);
      cc.vpgatherqq(half, asmjit::x86::ptr(record, pointer_steps_, 0, from), all_lanes());
    }
    return into;
  }

  Vec gather(const Pointers& frames, int32_t at, const Gp& lanes) {
    Mask low_mask = mask(lanes);
    Mask high_mask = vec();
    cc.vextracti128(high_mask.xmm(), low_mask, 1);
    Vec low = vec();
    Vec high = vec();
    clear(low);
    clear(high);
    cc.vpgatherqd(low.xmm(), absolute(frames.low, at), low_mask.xmm());
    cc.vpgatherqd(high.xmm(), absolute(frames.high, at), high_mask.xmm());
    cc.vinserti128(low, low, high.xmm(), 1);
    return low;
  }

  Vec gather(const Pointers& frames, const Vec& offsets, int32_t at, const Gp& lanes) {
    Pointers moved{vec(), vec()};
    Vec upper = vec();
    cc.vpmovzxdq(moved.low, offsets.xmm());
    cc.vextracti128(upper.xmm(), offsets, 1);
    cc.vpmovzxdq(moved.high, upper.xmm());
    cc.vpaddq(moved.low, moved.low, frames.low);
    cc.vpaddq(moved.high, moved.high, frames.high);
    return gather(moved, at, lanes);
  }

  Vec look_up(const void* table, const Vec& indices, uint32_t shift, int32_t at) {
    Gp base = cc.newUIntPtr();
    cc.mov(base, reinterpret_cast<uint64_t>(table));
    Vec into = vec();
    clear(into);
    cc.vpgatherdd(into, asmjit::x86::ptr(base, indices, shift, at), all_lanes());
    return into;
  }

  void swap_bytes(const Vec& into) { cc.vpshufb(into, into, swap_); }

  // AVX2 compares signed numbers only: the larger of two unsigned ones tells as much.
  template <class B>
  Gp compare(TestKind kind, const Vec& a, const B& b) {
    Vec found = vec();
    bool is_inverted = false;
    switch (kind) {
      case TestKind::equal:
        cc.vpcmpeqd(found, a, b);
        break;
      case TestKind::above:
        copy(found, a);
        cc.vpminud(found, found, b);
        cc.vpcmpeqd(found, found, a);
        is_inverted = true;
        break;
      case TestKind::at_least:
        cc.vpmaxud(found, a, b);
        cc.vpcmpeqd(found, found, a);
        break;
      case TestKind::bits: {
        Vec nothing = vec();
        clear(nothing);
        cc.vpand(found, a, b);
        cc.vpcmpeqd(found, found, nothing);
        is_inverted = true;
        break;
      }
    }
    Gp lanes = cc.newUInt32();
    cc.vmovmskps(lanes, found);
    if (is_inverted) cc.xor_(lanes, 0xff);
    return lanes;
  }

  Vec ones(const Gp& lanes) {
    Vec into = mask(lanes);
    cc.vpsrld(into, into, 31);
    return into;
  }

  void merge(const Vec& into, const Vec& from, const Gp& lanes) {
    cc.vpblendvb(into, into, from, mask(lanes));
  }
  void copy(const Vec& into, const Vec& from) { cc.vmovdqa(into, from); }

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
        cc.vpand(into, a, b);
        break;
      case ValueKind::bit_or:
        cc.vpor(into, a, b);
        break;
      case ValueKind::bit_xor:
        cc.vpxor(into, a, b);
        break;
      case ValueKind::shift_left:
        cc.vpsllvd(into, a, b);
        break;
      default:
        cc.vpsrlvd(into, a, b);
        break;
    }
  }

  void shift_right(const Vec& into, const Vec& from, uint32_t bits) { cc.vpsrld(into, from, bits); }
  void signed_max(const Vec& into, const Vec& a, const Vec& b) { cc.vpmaxsd(into, a, b); }

  // As LanesAvx512::divide(). The conversions know signed numbers only: both ways go by way of 2^31.
  Vec divide(const Vec& a, const Vec& b) {
    Vec middle = fixed_double(2147483648.0);
    Vec halves[2];
    for (uint32_t i = 0; i < 2; i++) {
      Vec dividend = widen(a, i, middle);
      cc.vdivpd(dividend, dividend, widen(b, i, middle));
      cc.vroundpd(dividend, dividend, 3);  // towards zero
      cc.vsubpd(dividend, dividend, middle);
      halves[i] = vec();
      cc.vcvttpd2dq(halves[i].xmm(), dividend);
    }
    cc.vinserti128(halves[0], halves[0], halves[1].xmm(), 1);
    cc.vpxor(halves[0], halves[0], constant_memory(0x80000000));
    return halves[0];
  }

 private:
  Mask all_lanes() {
    Mask all = vec();
    cc.vpcmpeqd(all, all, all);
    return all;
  }

  static Mem absolute(const Vec& pointers, int32_t at) {
    return asmjit::x86::ptr(static_cast<uint64_t>(at), pointers);
  }

  Vec fixed_double(double value) {
    Vec into = vec();
    cc.vbroadcastsd(into, cc.newDoubleConst(asmjit::ConstPoolScope::kLocal, value));
    return into;
  }

  Vec widen(const Vec& from, uint32_t half, const Vec& middle) {
    Vec part = vec();
    Vec into = vec();
    cc.vpxor(part, from, constant_memory(0x80000000));
    cc.vextracti128(part.xmm(), part, half);
    cc.vcvtdq2pd(into, part.xmm());
    cc.vaddpd(into, into, middle);
    return into;
  }

  asmjit::x86::Compiler& cc;
  const FrameLayout& layout_;
  Vec swap_;
  Vec pointer_steps_;
  Vec number_steps_;
  Vec bits_;
};

}  // namespace carom
