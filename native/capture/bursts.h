// The busiest 1 ms, 100 µs and 10 µs of a capture, exactly: of all windows of that length, wherever they
// begin.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>

#include "capture/top_table.h"

namespace carom {

struct Burst {
  uint64_t frames = 0;
  uint64_t bytes = 0;
  uint64_t from_ns = 0;  // its first frame
  uint64_t to_ns = 0;    // its last one
};

class Bursts {
 public:
  static constexpr std::array<uint64_t, 3> WIDTHS_NS = {1'000'000, 100'000, 10'000};

  // Frames may be up to 1 ms out of order, as in a capture of several interfaces. Where the clock goes back
  // by more, windows begin anew.
  void add(uint64_t time_ns, uint32_t bytes);
  void finish();

  const std::array<Burst, WIDTHS_NS.size()>& busiest() const noexcept { return busiest_; }

 private:
  // All frames of one time: with whole ns there are at most as many as a window has ns.
  struct Moment {
    uint64_t time_ns;
    FrameCount count;
  };
  struct Window {
    size_t first = 0;  // index of its first moment
    uint64_t frames = 0;
    uint64_t bytes = 0;
  };

  void settle(uint64_t before_ns);
  void advance(size_t index, const Moment& moment);

  std::map<uint64_t, FrameCount> unsettled_;  // by time; something may still come before them
  std::deque<Moment> moments_;                // that have been the end of each window
  uint64_t latest_ns_ = 0;
  std::array<Window, WIDTHS_NS.size()> windows_;
  std::array<Burst, WIDTHS_NS.size()> busiest_;
};

}  // namespace carom
