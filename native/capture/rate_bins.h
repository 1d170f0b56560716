// Frames and bytes over time in a fixed number of bins: when time runs out of them, two become one.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "capture/top_table.h"

namespace carom {

class RateBins {
 public:
  static constexpr uint32_t COUNT = 4096;

  // ns after the first frame. What was before it, by a clock that went back, counts as with it.
  void add(uint64_t offset_ns, uint32_t bytes) noexcept {
    while (offset_ns >> shift_ >= COUNT) halve();
    FrameCount& bin = bins_[offset_ns >> shift_];
    bin.frames++;
    bin.bytes += bytes;
  }

  uint64_t width_ns() const noexcept { return uint64_t{1} << shift_; }
  const std::array<FrameCount, COUNT>& bins() const noexcept { return bins_; }

 private:
  void halve() noexcept {
    for (uint32_t i = 0; i < COUNT / 2; i++) {
      const FrameCount& a = bins_[2 * i];
      const FrameCount& b = bins_[2 * i + 1];
      bins_[i] = {a.frames + b.frames, a.bytes + b.bytes};
    }
    std::fill(bins_.begin() + COUNT / 2, bins_.end(), FrameCount{});
    shift_++;
  }

  uint32_t shift_ = 0;
  std::array<FrameCount, COUNT> bins_{};
};

}  // namespace carom
