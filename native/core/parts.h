// The round trips of a run, part by part: how much a figure changes from part to part says how well it is
// known (docs/compare.md). A part is a stretch of time, or a number of ticks. Memory is taken at start.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/histogram.h"

namespace carom {

struct PartsConfig {
  bool planned = false;  // round trips from the planned time; otherwise from the actual one
  uint64_t ns = 0;       // of each part
  uint64_t count = 0;    // values of each, where ns is 0. Both 0: nothing is kept
};

class HistogramParts {
 public:
  static constexpr uint32_t PARTS = 64;  // the last one takes what comes after it, too

  explicit HistogramParts(const PartsConfig& config)
      : config_(config), on_(config.ns != 0 || config.count != 0), left_(limit()) {
    if (!on_) return;
    counts_.resize(size_t{PARTS} * Histogram::SIZE);
    followed_.resize(Histogram::SIZE);
  }

  bool on() const noexcept { return on_; }
  bool planned() const noexcept { return config_.planned; }

  // A value that belongs to a time. Times may come a little out of order: such a value is of the part that is
  // open.
  void record(uint64_t value, uint64_t at_ns) noexcept {
    if (!on_) return;
    if (at_ns >= end_ns_ || left_ == 0) [[unlikely]]
      advance(at_ns);
    left_--;
    ++at(part_, Histogram::index_of(value < Histogram::HIGHEST ? value : Histogram::HIGHEST));
  }

  // Whether the part that is open has ended by now, with so many values in all.
  bool is_over(uint64_t at_ns, uint64_t count) const noexcept {
    return on_ &&
           (at_ns >= end_ns_ || (config_.count != 0 && count >= (part_ + 1) * config_.count && !last()));
  }

  // For values that somebody else counts, in the place of record(): what came since the last time is of the
  // part that is open, and then the next one begins if it is time.
  void follow(std::span<const uint64_t> counts, uint64_t at_ns) noexcept {
    if (!on_) return;
    if (end_ns_ == 0) advance(at_ns);
    for (uint32_t i = 0; i < Histogram::SIZE; i++) {
      uint64_t now = __atomic_load_n(&counts[i], __ATOMIC_RELAXED);
      at(part_, i) += static_cast<uint32_t>(now - followed_[i]);
      total_ += now - followed_[i];
      followed_[i] = now;
    }
    if (is_over(at_ns, total_)) advance(at_ns);
  }

  // Once the loop has ended.
  uint32_t used() const noexcept { return on_ && end_ns_ != 0 ? part_ + 1 : 0; }
  std::span<const uint32_t> counts(uint32_t part) const noexcept {
    return {counts_.data() + size_t{part} * Histogram::SIZE, Histogram::SIZE};
  }

 private:
  bool last() const noexcept { return part_ + 1 == PARTS; }
  uint64_t limit() const noexcept { return config_.count == 0 ? UINT64_MAX : config_.count; }
  uint32_t& at(uint32_t part, uint32_t index) noexcept {
    return counts_[size_t{part} * Histogram::SIZE + index];
  }

  [[gnu::noinline]] void advance(uint64_t at_ns) noexcept {
    if (end_ns_ == 0) {
      end_ns_ = config_.ns == 0 ? UINT64_MAX : at_ns + config_.ns;
      return;
    }
    left_ = limit();
    if (config_.ns == 0) {
      part_++;
    } else {
      for (; at_ns >= end_ns_ && part_ + 1 < PARTS; part_++) end_ns_ += config_.ns;
    }
    if (last()) {
      end_ns_ = UINT64_MAX;
      left_ = UINT64_MAX;
    }
  }

  PartsConfig config_;
  bool on_;
  uint32_t part_ = 0;
  uint64_t end_ns_ = 0;  // of the open part; 0 before the first value
  uint64_t left_;        // values until it ends
  std::vector<uint32_t> counts_;
  std::vector<uint64_t> followed_;  // as they were the last time
  uint64_t total_ = 0;              // of these
};

}  // namespace carom
