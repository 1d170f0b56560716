#include "filter/filter.h"

#include <algorithm>
#include <bit>

#include "core/error.h"
#include "filter/head.h"
#include "filter/interpret.h"
#include "filter/jit.h"
#include "filter/simd.h"
#include "filter/simplify.h"

namespace carom {
namespace {

constexpr uint32_t CHUNK = 256;  // frames: what the stack holds of records that another engine has to see
constexpr uint32_t WORDS = CHUNK / 64;

std::string nothing_needed() { return ""; }

std::string need(bool there, const char* what) {
  return there ? "" : std::string("this processor has no ") + what;
}

std::string probe_avx2() {
  return need(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi"), "AVX2");
}

std::string probe_avx512() {
  bool there = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return there ? probe_avx2() : need(false, "AVX-512 (F, BW, DQ, VL)");
}

std::string probe_head() {
  return __builtin_cpu_supports("avx512vbmi") ? probe_avx512() : need(false, "AVX-512 VBMI");
}

constexpr FilterEngine ENGINES[] = {
    {"interpret", "classic BPF, one instruction after the other: the reference", 0, false, nothing_needed},
    {"jit", "x86-64 code, one frame after the other", 0, false, nothing_needed},
    {"simd-avx2", "8 frames in lockstep, fields gathered", LANES_AVX2, false, probe_avx2},
    {"simd-avx512", "16 frames in lockstep, fields gathered", LANES_AVX512, false, probe_avx512},
    {"simd-head", "16 frames in lockstep, their first 64 bytes read at once", LANES_AVX512, true, probe_head},
};
constexpr std::string_view BEST_SIMD = "simd";
// Lanes run every block that one of them needs, so a long program is faster frame by frame: a thousand hosts
// by a factor of hundreds. Its code is made faster, too.
constexpr size_t LOCKSTEP_BLOCKS_MAX = 256;

const FilterEngine& engine_called(std::string_view name) {
  if (name == "auto" || name == BEST_SIMD) {
    const FilterEngine* best = &ENGINES[1];
    for (const FilterEngine& engine : ENGINES) {
      if (engine.lanes != 0 && engine.probe().empty()) best = &engine;
    }
    if (name == BEST_SIMD && best->lanes == 0) {
      throw Error(ErrorCode::environment, "filter engine simd", probe_avx2(), "use --engine jit");
    }
    return *best;
  }
  for (const FilterEngine& engine : ENGINES) {
    if (engine.name != name) continue;
    std::string reason = engine.probe();
    if (!reason.empty()) {
      throw Error(ErrorCode::environment, "filter engine " + std::string(name), reason, "use --engine auto");
    }
    return engine;
  }
  throw Error(ErrorCode::usage, "filter engine " + std::string(name), "there is no such engine",
              "carom filter --help lists them");
}

// Calls an action with the index of each bit that is set.
template <class Action>
void for_each_bit(const uint64_t* words, uint32_t count, Action action) noexcept {
  for (uint32_t word = 0; word * 64 < count; word++) {
    for (uint64_t left = words[word]; left != 0; left &= left - 1) {
      uint32_t index = word * 64 + static_cast<uint32_t>(std::countr_zero(left));
      if (index < count) action(index);
    }
  }
}

}  // namespace

std::span<const FilterEngine> filter_engines() { return ENGINES; }

Filter::Filter(Program program, const Options& options)
    : program_(std::make_unique<const Program>(std::move(program))),
      layout_(options.layout),
      engine_(&engine_called(options.engine)),
      whole_(simplify(*program_, Scope::whole)) {
  if (layout_.stride > STRIDE_MAX) {
    throw Error(ErrorCode::internal, "make a filter", "its records of frames are too large");
  }
  if (options.engine == "auto" && whole_.blocks.size() > LOCKSTEP_BLOCKS_MAX) engine_ = &ENGINES[1];
  make_code(options.listed);
}

Filter::~Filter() = default;

void Filter::make_code(bool listed) {
  if (engine_ == &ENGINES[0]) return;
  if (engine_->lanes == 0) {
    general_ = make_jit(whole_, layout_, listed, listing_);
    return;
  }
  general_ = make_simd(whole_, layout_, engine_->lanes, listed, listing_);
  if (!engine_->has_head) return;
  head_graph_ = simplify(*program_, Scope::head);
  if (!fits_head(head_graph_)) return;
  std::string listing;
  head_ = make_head(head_graph_, layout_, listed, listing);
  listing_ = listing + listing_;
}

void Filter::match(const void* frames, uint32_t count, uint64_t* verdicts) const noexcept {
  const uint8_t* at = static_cast<const uint8_t*>(frames);
  if (engine_ == &ENGINES[1]) {
    general_.function()(at, count, verdicts, nullptr);
    return;
  }
  for (uint32_t done = 0; done < count; done += CHUNK) {
    uint32_t some = std::min(CHUNK, count - done);
    match_chunk(at + size_t{done} * layout_.stride, some, verdicts + done / 64);
  }
}

void Filter::match_chunk(const uint8_t* frames, uint32_t count, uint64_t* verdicts) const noexcept {
  if (engine_->lanes == 0) {
    constexpr uint64_t ALL[WORDS] = {~0ull, ~0ull, ~0ull, ~0ull};
    std::fill_n(verdicts, (count + 63) / 64, 0);
    interpret_some(frames, ALL, count, verdicts);
    return;
  }
  if (head_.size() == 0) {
    match_general(frames, count, verdicts);
    return;
  }
  uint64_t punts[WORDS];
  if (run_lanes(head_.function(), frames, count, verdicts, punts) == 0) return;
  uint8_t records[CHUNK * STRIDE_MAX];
  uint16_t places[CHUNK];
  uint32_t some = 0;
  for_each_bit(punts, count, [&](uint32_t index) {
    memcpy(records + size_t{some} * layout_.stride, frames + size_t{index} * layout_.stride, layout_.stride);
    places[some++] = static_cast<uint16_t>(index);
  });
  if (some == 0) return;  // only lanes without a frame
  uint64_t found[WORDS];
  match_general(records, some, found);
  for_each_bit(found, some, [&](uint32_t i) { verdicts[places[i] / 64] |= 1ull << places[i] % 64; });
}

void Filter::match_general(const uint8_t* frames, uint32_t count, uint64_t* verdicts) const noexcept {
  uint64_t punts[WORDS];
  if (run_lanes(general_.function(), frames, count, verdicts, punts) == 0) return;
  interpret_some(frames, punts, count, verdicts);
}

void Filter::interpret_some(const uint8_t* frames, const uint64_t* which, uint32_t count,
                            uint64_t* verdicts) const noexcept {
  for_each_bit(which, count, [&](uint32_t index) {
    if (interpret(*program_, frame_at(frames, index, layout_))) verdicts[index / 64] |= 1ull << index % 64;
  });
}

// Made code takes whole groups of frames: the last one is filled up with frames of no bytes.
uint64_t Filter::run_lanes(FilterFunction function, const uint8_t* frames, uint32_t count, uint64_t* verdicts,
                           uint64_t* punts) const noexcept {
  const uint32_t lanes = engine_->lanes;
  const uint32_t whole = count / lanes * lanes;
  const uint32_t rest = count - whole;
  std::fill_n(verdicts, (count + 63) / 64, 0);
  std::fill_n(punts, (count + 63) / 64, 0);
  uint64_t any = whole != 0 ? function(frames, whole, verdicts, punts) : 0;
  if (rest == 0) return any;
  uint8_t records[LANES_AVX512 * STRIDE_MAX] = {};
  uint64_t accepted = 0;
  uint64_t punted = 0;
  memcpy(records, frames + size_t{whole} * layout_.stride, size_t{rest} * layout_.stride);
  function(records, lanes, &accepted, &punted);
  uint64_t real = (1ull << rest) - 1;
  verdicts[whole / 64] |= (accepted & real) << whole % 64;
  punts[whole / 64] |= (punted & real) << whole % 64;
  return any | (punted & real);
}

}  // namespace carom
