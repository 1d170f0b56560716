#include "filter/head.h"

#include <algorithm>
#include <array>

#include "filter/lanes_avx512.h"
#include "filter/lockstep.h"

namespace carom {
namespace {

using namespace asmjit;

constexpr uint32_t LANES = LanesAvx512::COUNT;
constexpr uint32_t SLOT_BYTES = 4;
constexpr uint32_t ROUND_SLOTS = 4;  // words of a frame that one round brings
constexpr uint32_t SLOTS_MAX = 16;
constexpr uint32_t QUARTERS = 4;  // of a register: a frame's words of a round fill one

// Where a field comes to lie in the slots: `bits` from the lower end of a slot.
struct Spot {
  uint32_t slot;
  uint32_t bits;
};

struct Field {
  uint32_t at;
  uint32_t size;
  Spot spot;
};

// The fields of a graph packed into slots, the large ones first: no slot is shared by fields that do not fit.
class Slots {
 public:
  explicit Slots(const Graph& graph) {
    for (const Block& block : graph.blocks) {
      if (!block.reached) continue;
      for (ValueId id : block.values) {
        const Value& value = graph.values[id];
        if (value.kind == ValueKind::field && find(value.k, value.size) == nullptr) {
          fields_.push_back({value.k, value.size, {}});
        }
      }
    }
    std::stable_sort(fields_.begin(), fields_.end(),
                     [](const Field& a, const Field& b) { return a.size > b.size; });
    uint32_t bytes = 0;
    for (Field& field : fields_) {
      field.spot = {bytes / SLOT_BYTES, bytes % SLOT_BYTES * 8};
      bytes += field.size;
    }
    count_ = (bytes + SLOT_BYTES - 1) / SLOT_BYTES;
  }

  uint32_t count() const { return count_; }
  uint32_t rounds() const { return (count_ + ROUND_SLOTS - 1) / ROUND_SLOTS; }

  const Field* find(uint32_t at, uint32_t size) const {
    for (const Field& field : fields_) {
      if (field.at == at && field.size == size) return &field;
    }
    return nullptr;
  }

  // Which byte of a frame goes where, in each quarter of a register: the last byte of a field lowest.
  std::array<uint8_t, 64> order(uint32_t round) const {
    std::array<uint8_t, 64> bytes{};
    for (const Field& field : fields_) {
      if (field.spot.slot / ROUND_SLOTS != round) continue;
      for (uint32_t i = 0; i < field.size; i++) {
        uint32_t to = field.spot.slot % ROUND_SLOTS * SLOT_BYTES + field.spot.bits / 8 + i;
        for (uint32_t quarter = 0; quarter < QUARTERS; quarter++) {
          bytes[quarter * 16 + to] = static_cast<uint8_t>(field.at + field.size - 1 - i);
        }
      }
    }
    return bytes;
  }

 private:
  std::vector<Field> fields_;
  uint32_t count_ = 0;
};

// Fields from the slots: a shift and a mask.
class Spots {
 public:
  Spots(const Slots& slots, LanesAvx512& lanes) : slots_(slots), lanes_(lanes) {}

  void begin(std::vector<x86::Zmm> words) { words_ = std::move(words); }

  bool is_slow(const Value&) const { return false; }

  x86::Zmm field(const Value& value, BlockId, const x86::Gp&) {
    const Spot& spot = slots_.find(value.k, value.size)->spot;
    if (value.size == SLOT_BYTES) return words_[spot.slot];
    x86::Zmm into = lanes_.vec();
    uint32_t size = value.size * 8;
    if (spot.bits != 0) lanes_.shift_right(into, words_[spot.slot], spot.bits);
    if (spot.bits + size < 32) {
      lanes_.calculate(ValueKind::bit_and, into, spot.bits != 0 ? into : words_[spot.slot],
                       lanes_.constant_memory((1u << size) - 1));
    }
    return into;
  }

  x86::Zmm indirect(const Value&, const x86::Zmm&, const x86::Gp&) { __builtin_unreachable(); }

 private:
  const Slots& slots_;
  LanesAvx512& lanes_;
  std::vector<x86::Zmm> words_;
};

class Head {
 public:
  Head(const Graph& graph, const FrameLayout& layout, bool listed)
      : layout_(layout),
        uses_length_(graph.uses(ValueKind::length)),
        slots_(graph),
        asm_(Assembly::Vectors::avx512, listed),
        cc(asm_.cc),
        lanes_(cc, layout_),
        spots_(slots_, lanes_),
        lockstep_(graph, lanes_, spots_, cc) {}

  MachineCode make(std::string& listing) {
    lanes_.prepare();
    for (uint32_t round = 0; round < slots_.rounds(); round++) {
      std::array<uint8_t, 64> order = slots_.order(round);
      orders_.push_back(lanes_.fixed(order.data(), sizeof order));
    }
    for (uint32_t quarter = 1; quarter < QUARTERS; quarter++) {
      x86::Gp bytes = cc.newUInt64();
      quarters_[quarter] = cc.newKq();
      cc.mov(bytes, 0xffffull << 16 * quarter);
      cc.kmovq(quarters_[quarter], bytes);
    }
    any_ = cc.newUInt64();
    cc.xor_(any_.r32(), any_.r32());
    Label loop = cc.newLabel();
    Label some_short = cc.newLabel();
    Label next = cc.newLabel();
    cc.bind(loop);
    x86::Zmm captured = lanes_.load_numbers(asm_.frames, layout_.captured_at);
    x86::KReg short_ones = cc.newKw();
    cc.vpcmpud(short_ones, captured, lanes_.constant_memory(HEAD_BYTES), 1);
    cc.kortestw(short_ones, short_ones);
    cc.jnz(some_short);
    decide(captured, true);
    cc.bind(next);
    cc.add(asm_.verdicts, LANES / 8);
    cc.add(asm_.punts, LANES / 8);
    cc.add(asm_.frames, layout_.stride * LANES);
    cc.sub(asm_.count, LANES);
    cc.jnz(loop);
    cc.ret(any_);
    cc.bind(some_short);
    decide(captured, false);
    cc.jmp(next);
    return asm_.finish(listing);
  }

 private:
  void decide(const x86::Zmm& captured, bool is_long) {
    std::vector<x86::Zmm> words;
    for (uint32_t round = 0; round < slots_.rounds(); round++) read_round(round, is_long, words);
    spots_.begin(std::move(words));
    x86::Zmm length = uses_length_ ? lanes_.load_numbers(asm_.frames, layout_.length_at) : captured;
    x86::Gp all = cc.newUInt32();
    cc.mov(all, (1u << LANES) - 1);
    auto ends = lockstep_.run({captured, length, is_long}, all);
    cc.mov(x86::word_ptr(asm_.verdicts), ends.accepted.r16());
    cc.mov(x86::word_ptr(asm_.punts), ends.punted.r16());
    cc.or_(any_.r32(), ends.punted);
  }

  // Brings four words of each frame. Register i gets frames i, 4 + i, 8 + i and 12 + i, one in each quarter,
  // so that turning 4 x 4 words within the quarters leaves the frames in order.
  void read_round(uint32_t round, bool is_long, std::vector<x86::Zmm>& words) {
    x86::Zmm rows[QUARTERS];
    for (uint32_t i = 0; i < QUARTERS; i++) {
      rows[i] = lanes_.vec();
      for (uint32_t quarter = 0; quarter < QUARTERS; quarter++) {
        read_frame(rows[i], quarter * QUARTERS + i, quarter, orders_[round], is_long);
      }
    }
    x86::Zmm pairs[4];
    for (x86::Zmm& pair : pairs) pair = lanes_.vec();
    cc.vpunpckldq(pairs[0], rows[0], rows[1]);
    cc.vpunpckldq(pairs[1], rows[2], rows[3]);
    cc.vpunpckhdq(pairs[2], rows[0], rows[1]);
    cc.vpunpckhdq(pairs[3], rows[2], rows[3]);
    for (uint32_t i = 0; i < ROUND_SLOTS && words.size() < slots_.count(); i++) {
      x86::Zmm word = lanes_.vec();
      const x86::Zmm& first = pairs[i / 2 * 2];
      const x86::Zmm& second = pairs[i / 2 * 2 + 1];
      if (i % 2 == 0) {
        cc.vpunpcklqdq(word, first, second);
      } else {
        cc.vpunpckhqdq(word, first, second);
      }
      words.push_back(word);
    }
  }

  void read_frame(const x86::Zmm& row, uint32_t frame, uint32_t quarter, const x86::Zmm& order,
                  bool is_long) {
    int32_t record = static_cast<int32_t>(frame * layout_.stride);
    x86::Gp data = cc.newUIntPtr();
    cc.mov(data, x86::qword_ptr(asm_.frames, record + static_cast<int32_t>(layout_.data_at)));
    if (is_long) {
      permute(row, quarter, order, x86::zmmword_ptr(data));
      return;
    }
    // Bytes behind the end of the frame are masked out, and so never touched.
    x86::Gp bytes = cc.newUInt64();
    x86::Gp head = cc.newUInt64();
    cc.mov(bytes.r32(), x86::dword_ptr(asm_.frames, record + static_cast<int32_t>(layout_.captured_at)));
    cc.mov(head.r32(), HEAD_BYTES);
    cc.cmp(bytes.r32(), head.r32());
    cc.cmova(bytes.r32(), head.r32());
    cc.mov(head, -1);
    cc.bzhi(head, head, bytes);
    x86::KReg there = cc.newKq();
    cc.kmovq(there, head);
    x86::Zmm all = lanes_.vec();
    cc.k(there).z().vmovdqu8(all, x86::zmmword_ptr(data));
    permute(row, quarter, order, all);
  }

  template <class From>
  void permute(const x86::Zmm& row, uint32_t quarter, const x86::Zmm& order, const From& from) {
    if (quarter == 0) {
      cc.vpermb(row, order, from);
    } else {
      cc.k(quarters_[quarter]).vpermb(row, order, from);
    }
  }

  const FrameLayout& layout_;
  bool uses_length_;
  Slots slots_;
  Assembly asm_;
  x86::Compiler& cc;
  LanesAvx512 lanes_;
  Spots spots_;
  Lockstep<LanesAvx512, Spots> lockstep_;
  std::vector<x86::Zmm> orders_;
  x86::KReg quarters_[QUARTERS];
  x86::Gp any_;
};

}  // namespace

bool fits_head(const Graph& graph) {
  if (graph.first < FIRST_BLOCK) return graph.first != PUNT;
  return Slots(graph).count() <= SLOTS_MAX;
}

MachineCode make_head(const Graph& graph, const FrameLayout& layout, bool listed, std::string& listing) {
  return Head(graph, layout, listed).make(listing);
}

}  // namespace carom
