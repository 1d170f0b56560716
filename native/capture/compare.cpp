#include "capture/compare.h"

#include <algorithm>
#include <bit>

#include "core/error.h"
#include "filter/packet_filter.h"

namespace carom {

Comparison::Comparison(const CompareConfig& config, CompareResult& result)
    : result_(result), fingerprint_(config.ignored, config.tick_port, config.order_port) {}

void Comparison::add_a(uint64_t number, uint64_t time_ns, const CapturedFrame& ethernet) {
  if (known_.size() >= NONE - 1) {
    throw Error(ErrorCode::usage, "compare captures", "the first one has more than 4,294,967,294 frames",
                "give a --filter");
  }
  if (result_.a.frames++ == 0) result_.a.first_ns = time_ns;
  result_.a.last_ns = time_ns;
  known_.push_back({fingerprint_.of(ethernet.data, ethernet.captured), time_ns});
  if (numbers_.empty() && number == known_.size()) {
    numbered_ = number;
  } else {
    numbers_.push_back(number);
  }
}

// From the last to the first, so that each slot holds the first of those that are alike.
void Comparison::begin_b() {
  uint64_t count = known_.size();
  next_.assign(count, NONE);
  slots_.assign(std::bit_ceil(count + count / 2 + 1), NONE);
  for (uint32_t i = static_cast<uint32_t>(count); i-- > 0;) {
    uint32_t& slot = slots_[slot_of(known_[i].hash)];
    next_[i] = slot;
    slot = i;
  }
}

void Comparison::add_b(uint64_t number, uint64_t time_ns, const CapturedFrame& ethernet) {
  if (result_.b.frames++ == 0) result_.b.first_ns = time_ns;
  result_.b.last_ns = time_ns;
  uint32_t& slot = slots_[slot_of(fingerprint_.of(ethernet.data, ethernet.captured))];
  if (slot == NONE || next_[slot] == slot) {
    result_.added++;
    if (result_.first_added.size() < COMPARE_EXAMPLES) result_.first_added.push_back({number, time_ns});
    return;
  }
  uint32_t index = slot;
  // The last of those alike stays in its slot, marked: what is behind it is still found.
  if (next_[index] != NONE) slot = next_[index];
  next_[index] = index;
  match(index, time_ns);
}

void Comparison::match(uint32_t index, uint64_t time_ns) {
  result_.matched++;
  if (index < highest_) {
    result_.reordered++;
    return;
  }
  highest_ = index + uint64_t{1};
  uint64_t a_ns = known_[index].time_ns;
  int64_t offset_ns = static_cast<int64_t>(time_ns - a_ns);  // both are below 2^63
  if (result_.in_order == 0) {
    first_a_ns_ = a_ns;
    first_b_ns_ = time_ns;
  } else {
    int64_t error_ns = offset_ns - offset_ns_;
    result_.gap_error.record(static_cast<uint64_t>(error_ns < 0 ? -error_ns : error_ns));
    result_.longer += error_ns > 0;
    result_.shorter += error_ns < 0;
  }
  offset_ns_ = offset_ns;
  if (result_.in_order < COMPARE_OFFSETS) result_.first_offsets_ns.push_back(offset_ns);
  if (result_.last_offsets_ns.size() < COMPARE_OFFSETS) {
    result_.last_offsets_ns.push_back(offset_ns);
  } else {
    result_.last_offsets_ns[result_.in_order % COMPARE_OFFSETS] = offset_ns;
  }
  result_.in_order++;
  result_.span_a_ns = a_ns > first_a_ns_ ? a_ns - first_a_ns_ : 0;
  result_.span_b_ns = time_ns > first_b_ns_ ? time_ns - first_b_ns_ : 0;
}

void Comparison::finish() {
  for (uint32_t i = 0; i < known_.size(); i++) {
    if (next_[i] == i) continue;
    result_.missing++;
    if (result_.first_missing.size() == COMPARE_EXAMPLES) continue;
    result_.first_missing.push_back(
        {i < numbered_ ? i + uint64_t{1} : numbers_[i - numbered_], known_[i].time_ns});
  }
  // Of fewer than two thousand the halves: no frame is among the first and the last.
  size_t half = std::min<uint64_t>(COMPARE_OFFSETS, (result_.in_order + 1) / 2);
  std::vector<int64_t>& last = result_.last_offsets_ns;
  if (last.size() == COMPARE_OFFSETS) {
    std::rotate(last.begin(), last.begin() + static_cast<ptrdiff_t>(result_.in_order % COMPARE_OFFSETS),
                last.end());
  }
  last.erase(last.begin(), last.end() - static_cast<ptrdiff_t>(std::min(half, last.size())));
  if (result_.first_offsets_ns.size() > half) result_.first_offsets_ns.resize(half);
}

size_t Comparison::slot_of(uint64_t hash) const noexcept {
  size_t mask = slots_.size() - 1;
  size_t at = static_cast<size_t>(hash) & mask;
  while (slots_[at] != NONE && known_[slots_[at]].hash != hash) at = (at + 1) & mask;
  return at;
}

std::unique_ptr<CompareResult> compare_captures(const CompareConfig& config, InspectProgress& progress) {
  PacketFilter filter(config.filter);
  auto result = std::make_unique<CompareResult>();
  Comparison comparison(config, *result);
  auto read = [&](const std::string& path, ComparedSide& side, auto add) {
    side.file = read_capture(path, progress, [&](const CapturedFrame& frame, const CapturedFrame* ethernet) {
      // What can't be made Ethernet is compared as it is.
      const CapturedFrame& known = ethernet != nullptr ? *ethernet : frame;
      if (is_match(filter, ethernet)) {
        (comparison.*add)(frame.number, frame.time_ns, known);
      } else {
        side.filtered++;
      }
    });
  };
  read(config.path_a, result->a, &Comparison::add_a);
  comparison.begin_b();
  read(config.path_b, result->b, &Comparison::add_b);
  comparison.finish();
  return result;
}

}  // namespace carom
