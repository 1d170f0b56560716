// Sixteen lanes of 32 bits: how AVX-512 does what the engine `simd` asks for. Needs AVX512F and AVX512BW.
#pragma once

#include "filter/assembly.h"
#include "filter/frame_layout.h"
#include "filter/graph.h"

namespace carom {

class LanesAvx512 {
 public:
  using Vec = asmjit::x86::Zmm;
  using Mask = asmjit::x86::KReg;
  using Gp = asmjit::x86::Gp;
  using Mem = asmjit::x86::Mem;
  static constexpr uint32_t COUNT = 16;
  static constexpr Assembly::Vectors VECTORS = Assembly::Vectors::avx512;

  // Where sixteen frames are, in two halves.
  struct Pointers {
    Vec low;
    Vec high;
  };

  LanesAvx512(asmjit::x86::Compiler& compiler, const FrameLayout& layout) : cc(compiler), layout_(layout) {}

  // Before the loop: what stays in registers.
  void prepare() {
    uint8_t swap[64];
    for (uint32_t i = 0; i < sizeof swap; i++) swap[i] = static_cast<uint8_t>(i ^ 3);
    swap_ = fixed(swap, sizeof swap);
    uint64_t steps[8];
    for (uint32_t i = 0; i < 8; i++) steps[i] = uint64_t{i} * layout_.stride;
    pointer_steps_ = fixed(steps, sizeof steps);
    uint32_t narrow_steps[16];
    for (uint32_t i = 0; i < 16; i++) narrow_steps[i] = i * layout_.stride;
    number_steps_ = fixed(narrow_steps, sizeof narrow_steps);
  }

  Vec vec() { return cc.newZmm(); }

  Vec fixed(const void* bytes, uint32_t size) {
    Vec into = vec();
    cc.vmovdqu64(into, cc.newConst(asmjit::ConstPoolScope::kLocal, bytes, size));
    return into;
  }

  Mem constant_memory(uint32_t k) { return cc.newUInt32Const(asmjit::ConstPoolScope::kLocal, k)._1to16(); }

  Vec constant(uint32_t k) {
    Vec into = vec();
    Mem one = cc.newUInt32Const(asmjit::ConstPoolScope::kLocal, k);
    cc.vpbroadcastd(into, one);
    return into;
  }

  void clear(const Vec& into) { cc.vpxorq(into, into, into); }

  Mask mask(const Gp& lanes) {
    Mask made = cc.newKw();
    cc.kmovw(made, lanes.r32());
    return made;
  }

  // A 32-bit number of each record.
  Vec load_numbers(const Gp& record, uint32_t at) {
    Vec into = vec();
    clear(into);
    cc.k(all_lanes()).vpgatherdd(into, asmjit::x86::ptr(record, number_steps_, 0, static_cast<int32_t>(at)));
    return into;
  }

  Pointers load_pointers(const Gp& record) {
    Pointers into{vec(), vec()};
    int32_t at = static_cast<int32_t>(layout_.data_at);
    for (auto [half, first] : {std::pair{into.low, 0}, std::pair{into.high, 8}}) {
      clear(half);
      int32_t from = at + first * static_cast<int32_t>(layout_.stride);
      cc.k(all_lanes()).vpgatherqq(half, asmjit::x86::ptr(record, pointer_steps_, 0, from));
    }
    return into;
  }

  // Four bytes of each frame, the first one lowest; nothing is read for lanes that are not in the mask.
  Vec gather(const Pointers& frames, int32_t at, const Gp& lanes) {
    Mask low_mask = mask(lanes);
    Mask high_mask = cc.newKw();
    cc.kshiftrw(high_mask, low_mask, 8);
    Vec low = vec();
    Vec high = vec();
    clear(low);
    clear(high);
    cc.k(low_mask).vpgatherqd(low.ymm(), absolute(frames.low, at));
    cc.k(high_mask).vpgatherqd(high.ymm(), absolute(frames.high, at));
    cc.vinserti64x4(low, low, high.ymm(), 1);
    return low;
  }

  // As gather(), at an offset of each lane's own.
  Vec gather(const Pointers& frames, const Vec& offsets, int32_t at, const Gp& lanes) {
    Pointers moved{vec(), vec()};
    Vec upper = vec();
    cc.vpmovzxdq(moved.low, offsets.ymm());
    cc.vextracti64x4(upper.ymm(), offsets, 1);
    cc.vpmovzxdq(moved.high, upper.ymm());
    cc.vpaddq(moved.low, moved.low, frames.low);
    cc.vpaddq(moved.high, moved.high, frames.high);
    return gather(moved, at, lanes);
  }

  // Numbers of a table, whose indices are all inside it.
  Vec look_up(const void* table, const Vec& indices, uint32_t shift, int32_t at) {
    Gp base = cc.newUIntPtr();
    cc.mov(base, reinterpret_cast<uint64_t>(table));
    Vec into = vec();
    clear(into);
    cc.k(all_lanes()).vpgatherdd(into, asmjit::x86::ptr(base, indices, shift, at));
    return into;
  }

  void swap_bytes(const Vec& into) { cc.vpshufb(into, into, swap_); }

  template <class B>
  Gp compare(TestKind kind, const Vec& a, const B& b) {
    Mask found = cc.newKw();
    if (kind == TestKind::bits) {
      cc.vptestmd(found, a, b);
    } else {
      cc.vpcmpud(found, a, b, kind == TestKind::equal ? 0 : kind == TestKind::above ? 6 : 5);
    }
    Gp lanes = cc.newUInt32();
    cc.kmovw(lanes, found);
    return lanes;
  }

  // 1 in the lanes, 0 elsewhere.
  Vec ones(const Gp& lanes) {
    Vec into = vec();
    cc.k(mask(lanes)).z().vpbroadcastd(into, cc.newUInt32Const(asmjit::ConstPoolScope::kLocal, 1));
    return into;
  }

  void merge(const Vec& into, const Vec& from, const Gp& lanes) { cc.k(mask(lanes)).vmovdqa32(into, from); }
  void copy(const Vec& into, const Vec& from) { cc.vmovdqa32(into, from); }

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
        cc.vpandd(into, a, b);
        break;
      case ValueKind::bit_or:
        cc.vpord(into, a, b);
        break;
      case ValueKind::bit_xor:
        cc.vpxord(into, a, b);
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

  // a / b, rounded down: exact, as a double holds more than twice the digits that two quotients need to
  // differ. Where b is 0 anything comes out.
  Vec divide(const Vec& a, const Vec& b) {
    Vec halves[2];
    for (uint32_t i = 0; i < 2; i++) {
      Vec dividend = widen(a, i);
      cc.vdivpd(dividend, dividend, widen(b, i));
      halves[i] = vec();
      cc.vcvttpd2udq(halves[i].ymm(), dividend);
    }
    cc.vinserti64x4(halves[0], halves[0], halves[1].ymm(), 1);
    return halves[0];
  }

 private:
  // A gather uses its mask up.
  Mask all_lanes() {
    Mask all = cc.newKw();
    cc.kxnorw(all, all, all);
    return all;
  }

  static Mem absolute(const Vec& pointers, int32_t at) {
    Mem memory = asmjit::x86::ptr(static_cast<uint64_t>(at), pointers);
    return memory;
  }

  Vec widen(const Vec& from, uint32_t half) {
    Vec part = vec();
    Vec into = vec();
    cc.vextracti64x4(part.ymm(), from, half);
    cc.vcvtudq2pd(into, part.ymm());
    return into;
  }

  asmjit::x86::Compiler& cc;
  const FrameLayout& layout_;
  Vec swap_;
  Vec pointer_steps_;
  Vec number_steps_;
};

}  // namespace carom
