// Sixteen lanes, with AVX-512 F and BW. A mask is a register of its own kind.
#pragma once

#include "filter/lanes.h"

namespace carom {

class LanesAvx512 : public Lanes<LanesAvx512, asmjit::x86::Zmm, asmjit::x86::KReg, 16> {
 public:
  static constexpr Assembly::Vectors VECTORS = Assembly::Vectors::avx512;
  static constexpr uint32_t MOVE = asmjit::x86::Inst::kIdVmovdqu32;
  static constexpr uint32_t AND = asmjit::x86::Inst::kIdVpandd;
  static constexpr uint32_t OR = asmjit::x86::Inst::kIdVpord;
  static constexpr uint32_t XOR = asmjit::x86::Inst::kIdVpxord;

  using Lanes::Lanes;

  Vec vec() { return cc.newZmm(); }
  static asmjit::x86::Ymm half(const Vec& of) { return of.ymm(); }

  Mem constant_memory(uint32_t k) { return cc.newUInt32Const(asmjit::ConstPoolScope::kLocal, k)._1to16(); }

  Mask mask(const Gp& lanes) {
    Mask made = cc.newKw();
    cc.kmovw(made, lanes.r32());
    return made;
  }

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

 private:
  friend Lanes;

  // A gather uses its mask up.
  Mask all_lanes() {
    Mask all = cc.newKw();
    cc.kxnorw(all, all, all);
    return all;
  }

  Mask upper_mask(const Mask& of) {
    Mask upper = cc.newKw();
    cc.kshiftrw(upper, of, COUNT / 2);
    return upper;
  }

  template <class Into>
  void gather_where(uint32_t instruction, const Into& into, const Mem& from, const Mask& where) {
    cc.k(where).emit(instruction, into, from);
  }

  void split(const Vec& into, const Vec& from, uint32_t half) { cc.vextracti64x4(into.ymm(), from, half); }
  void join(const Vec& low, const Vec& high) { cc.vinserti64x4(low, low, high.ymm(), 1); }

  // Half of the lanes as doubles.
  Vec widen(const Vec& from, uint32_t half) {
    Vec part = vec();
    Vec into = vec();
    split(part, from, half);
    cc.vcvtudq2pd(into, part.ymm());
    return into;
  }
  void narrow(const Vec& into, const Vec& from) { cc.vcvttpd2udq(into.ymm(), from); }
  const Vec& from_narrow(const Vec& all) { return all; }
};

}  // namespace carom
