// Eight lanes, with AVX2. Masks are vectors here, all bits of a lane set or none.
#pragma once

#include "filter/lanes.h"

namespace carom {

class LanesAvx2 : public Lanes<LanesAvx2, asmjit::x86::Ymm, asmjit::x86::Ymm, 8> {
 public:
  static constexpr Assembly::Vectors VECTORS = Assembly::Vectors::avx2;
  static constexpr uint32_t MOVE = asmjit::x86::Inst::kIdVmovdqu;
  static constexpr uint32_t AND = asmjit::x86::Inst::kIdVpand;
  static constexpr uint32_t OR = asmjit::x86::Inst::kIdVpor;
  static constexpr uint32_t XOR = asmjit::x86::Inst::kIdVpxor;

  using Lanes::Lanes;

  void prepare() {
    Lanes::prepare();
    uint32_t bits[COUNT];
    for (uint32_t i = 0; i < COUNT; i++) bits[i] = 1u << i;
    bits_ = fixed(bits, sizeof bits);
  }

  Vec vec() { return cc.newYmm(); }
  static asmjit::x86::Xmm half(const Vec& of) { return of.xmm(); }

  Mem constant_memory(uint32_t k) {
    uint32_t all[COUNT];
    for (uint32_t& one : all) one = k;
    return cc.newConst(asmjit::ConstPoolScope::kLocal, all, sizeof all);
  }

  Mask mask(const Gp& lanes) {
    Mask made = vec();
    cc.vmovd(made.xmm(), lanes.r32());
    cc.vpbroadcastd(made, made.xmm());
    cc.vpand(made, made, bits_);
    cc.vpcmpeqd(made, made, bits_);
    return made;
  }

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

  // 1 in the lanes, 0 elsewhere.
  Vec ones(const Gp& lanes) {
    Vec into = mask(lanes);
    cc.vpsrld(into, into, 31);
    return into;
  }

  void merge(const Vec& into, const Vec& from, const Gp& lanes) {
    cc.vpblendvb(into, into, from, mask(lanes));
  }

 private:
  friend Lanes;
  static constexpr double MIDDLE = 2147483648.0;  // 2^31

  // A gather uses its mask up.
  Mask all_lanes() {
    Mask all = vec();
    cc.vpcmpeqd(all, all, all);
    return all;
  }

  Mask upper_mask(const Mask& of) {
    Mask upper = vec();
    split(upper, of, 1);
    return upper;
  }

  template <class Into>
  void gather_where(uint32_t instruction, const Into& into, const Mem& from, const Mask& where) {
    cc.emit(instruction, into, from, where.cloneAs(into));
  }

  void split(const Vec& into, const Vec& from, uint32_t half) { cc.vextracti128(into.xmm(), from, half); }
  void join(const Vec& low, const Vec& high) { cc.vinserti128(low, low, high.xmm(), 1); }

  // Half of the lanes as doubles. The conversions know signed numbers only: both ways go by way of 2^31.
  Vec widen(const Vec& from, uint32_t half) {
    Vec part = vec();
    Vec into = vec();
    cc.vpxor(part, from, constant_memory(0x80000000));
    split(part, part, half);
    cc.vcvtdq2pd(into, part.xmm());
    cc.vaddpd(into, into, middle());
    return into;
  }
  void narrow(const Vec& into, const Vec& from) {
    cc.vroundpd(from, from, 3);  // towards zero
    cc.vsubpd(from, from, middle());
    cc.vcvttpd2dq(into.xmm(), from);
  }
  Vec from_narrow(const Vec& all) {
    cc.vpxor(all, all, constant_memory(0x80000000));
    return all;
  }

  Mem middle() {
    const double all[COUNT / 2] = {MIDDLE, MIDDLE, MIDDLE, MIDDLE};
    return cc.newConst(asmjit::ConstPoolScope::kLocal, all, sizeof all);
  }

  Vec bits_;
};

}  // namespace carom
