#include "filter/simd.h"

#include "filter/lanes_avx2.h"
#include "filter/lanes_avx512.h"
#include "filter/lockstep.h"

namespace carom {
namespace {

constexpr uint32_t GATHERED = 4;  // bytes that a gather reads for each lane

// Fields by gathers. Each reads four bytes, so it is placed where all of them are in the frame.
template <class Lanes>
class Gathers {
 public:
  using Vec = typename Lanes::Vec;
  using Gp = asmjit::x86::Gp;

  Gathers(const Graph& graph, Lanes& lanes) : graph_(graph), lanes_(lanes) {}

  void begin(typename Lanes::Pointers frames) {
    frames_ = frames;
    windows_.clear();
  }

  bool is_slow(const Value& value) const {
    return value.kind == ValueKind::field || value.kind == ValueKind::indirect;
  }

  Vec field(const Value& value, BlockId block, const Gp& lanes) {
    uint32_t end = value.k + value.size;
    uint32_t at = window_of(value, graph_.blocks[block].known);
    Vec bytes = read(at, block, lanes);
    return cut(bytes, value.size, 8 * (at + GATHERED - end));
  }

  Vec indirect(const Value& value, const Vec& base, const Gp& lanes) {
    uint32_t bytes = value.k + value.size;
    if (bytes >= GATHERED) {
      Vec read = lanes_.gather(frames_, base, static_cast<int32_t>(bytes - GATHERED), lanes);
      lanes_.swap_bytes(read);
      return cut(read, value.size, 0);
    }
    // So near the beginning, four bytes that end with the load may begin before the frame: they are read from
    // its beginning then, and what is wanted lies higher.
    Vec nothing = lanes_.vec();
    Vec wanted = lanes_.vec();
    Vec from = lanes_.vec();
    lanes_.clear(nothing);
    lanes_.calculate(ValueKind::subtract, wanted, base, lanes_.constant_memory(GATHERED - bytes));
    lanes_.signed_max(from, wanted, nothing);
    Vec read = lanes_.gather(frames_, from, 0, lanes);
    lanes_.swap_bytes(read);
    lanes_.calculate(ValueKind::subtract, wanted, from, wanted);
    lanes_.calculate(ValueKind::multiply, wanted, wanted, lanes_.constant_memory(8));
    lanes_.calculate(ValueKind::shift_right, read, read, wanted);
    return cut(read, value.size, 0);
  }

 private:
  struct Window {
    uint32_t at;
    BlockId block;
    Vec bytes;
  };

  // Fields of one header lie in the same words, counted from the end of the Ethernet header (14 bytes), so
  // that one gather serves several.
  static uint32_t window_of(const Value& value, uint32_t known) {
    uint32_t end = value.k + value.size;
    uint32_t word = value.k >= 2 ? ((value.k - 2) & ~3u) + 2 : 0;
    if (word + GATHERED >= end && word + GATHERED <= known) return word;
    return end >= GATHERED ? end - GATHERED : 0;
  }

  // Four bytes in the order of a number. What was read for a block that all ways to this one pass is used
  // again.
  Vec read(uint32_t at, BlockId block, const Gp& lanes) {
    for (const Window& window : windows_) {
      if (window.at == at && passes(block, window.block)) return window.bytes;
    }
    Vec bytes = lanes_.gather(frames_, static_cast<int32_t>(at), lanes);
    lanes_.swap_bytes(bytes);
    windows_.push_back({at, block, bytes});
    return bytes;
  }

  bool passes(BlockId block, BlockId wanted) const {
    while (block != wanted && graph_.blocks[block].before.size() == 1)
      block = graph_.blocks[block].before[0].from;
    return block == wanted;
  }

  Vec cut(const Vec& bytes, uint32_t size, uint32_t bits) {
    if (size == GATHERED) return bytes;
    Vec into = lanes_.vec();
    if (bits + 8 * size == 32) {
      lanes_.shift_right(into, bytes, bits);
      return into;
    }
    uint32_t all = (1u << 8 * size) - 1;
    if (bits != 0) lanes_.shift_right(into, bytes, bits);
    lanes_.calculate(ValueKind::bit_and, into, bits != 0 ? into : bytes, lanes_.constant_memory(all));
    return into;
  }

  const Graph& graph_;
  Lanes& lanes_;
  typename Lanes::Pointers frames_{};
  std::vector<Window> windows_;
};

template <class Lanes>
MachineCode make(const Graph& graph, const FrameLayout& layout, bool listed, std::string& listing) {
  using Gp = asmjit::x86::Gp;
  Assembly assembly(Lanes::VECTORS, listed);
  asmjit::x86::Compiler& cc = assembly.cc;
  Lanes lanes(cc, layout);
  Gathers<Lanes> gathers(graph, lanes);
  Lockstep<Lanes, Gathers<Lanes>> lockstep(graph, lanes, gathers, cc);
  lanes.prepare();
  Gp any = cc.newUInt64();
  cc.xor_(any.r32(), any.r32());
  asmjit::Label loop = cc.newLabel();
  cc.bind(loop);
  gathers.begin(lanes.load_pointers(assembly.frames));
  auto captured = lanes.load_numbers(assembly.frames, layout.captured_at);
  auto length =
      graph.uses(ValueKind::length) ? lanes.load_numbers(assembly.frames, layout.length_at) : captured;
  Gp all = lanes.compare(TestKind::at_least, captured, lanes.constant_memory(GATHERED));
  Gp tiny = cc.newUInt32();
  cc.mov(tiny, all);
  cc.xor_(tiny, (1u << Lanes::COUNT) - 1);
  cc.or_(any.r32(), tiny);
  auto ends = lockstep.run({captured, length, false}, all);
  if (Lanes::COUNT == 16) {
    cc.mov(asmjit::x86::word_ptr(assembly.verdicts), ends.accepted.r16());
    cc.mov(asmjit::x86::word_ptr(assembly.punts), tiny.r16());
  } else {
    cc.mov(asmjit::x86::byte_ptr(assembly.verdicts), ends.accepted.r8());
    cc.mov(asmjit::x86::byte_ptr(assembly.punts), tiny.r8());
  }
  cc.add(assembly.verdicts, Lanes::COUNT / 8);
  cc.add(assembly.punts, Lanes::COUNT / 8);
  cc.add(assembly.frames, layout.stride * Lanes::COUNT);
  cc.sub(assembly.count, Lanes::COUNT);
  cc.jnz(loop);
  cc.ret(any);
  return assembly.finish(listing);
}

}  // namespace

MachineCode make_simd(const Graph& graph, const FrameLayout& layout, uint32_t lanes, bool listed,
                      std::string& listing) {
  static_assert(LanesAvx2::COUNT == LANES_AVX2 && LanesAvx512::COUNT == LANES_AVX512);
  return lanes == LANES_AVX512 ? make<LanesAvx512>(graph, layout, listed, listing)
                               : make<LanesAvx2>(graph, layout, listed, listing);
}

}  // namespace carom
