// When each frame of a capture is planned, in ns from the first one: exact, and absolute, so that no error
// adds up.
#pragma once

#include <algorithm>
#include <cstdint>

namespace carom {

struct TimelineConfig {
  enum class Kind : uint8_t { captured, gap, rate, fast };
  Kind kind = Kind::captured;
  uint64_t speed_millionths = 1'000'000;  // captured: so many times as fast
  uint64_t gap_ns = 0;                    // gap: between any two frames
  uint64_t rate_millihertz = 0;           // rate: frames in 1000 s
  bool keeps_bursts = false;              // captured and rate: gaps within a burst stay as they are
  uint64_t burst_gap_ns = 100'000;        // a burst's frames are less apart than this
  uint64_t max_gap_ns = UINT64_MAX;       // captured: a longer one is cut to it, or refused
  bool cuts_gaps = false;
  int64_t loop_gap_ns = -1;  // between two passes; -1: the mean gap of the pass before
};

class Timeline {
 public:
  explicit Timeline(const TimelineConfig& config) : config_(config) {}

  // Of the next frame; `time_ns` never falls within a pass. False: the gap before it is too long.
  bool place(uint64_t time_ns, uint64_t& offset_ns) noexcept {
    if (in_pass_ == 0) {
      first_ns_ = last_ns_ = time_ns;
      cut_ns_ = 0;
    }
    uint64_t gap_ns = time_ns - last_ns_;
    if (gap_ns > config_.max_gap_ns && config_.kind == TimelineConfig::Kind::captured) {
      if (!config_.cuts_gaps) return false;
      cut_ns_ += gap_ns - config_.max_gap_ns;
      gap_ns = config_.max_gap_ns;
      cuts_++;
    }
    last_ns_ = time_ns;
    last_offset_ns_ = offset_ns = base_ns_ + position(time_ns - first_ns_ - cut_ns_, gap_ns);
    in_pass_++;
    in_all_++;
    return true;
  }

  // The next frame is the first one of another pass. False: nothing says what lies between.
  bool next_pass() noexcept {
    bool by_number = config_.kind != TimelineConfig::Kind::captured;
    if (config_.loop_gap_ns >= 0) {
      base_ns_ = last_offset_ns_ + static_cast<uint64_t>(config_.loop_gap_ns);
      in_all_ = 0;
    } else if (!by_number) {
      if (in_pass_ < 2) return false;
      uint64_t gaps = in_pass_ - 1;
      base_ns_ = last_offset_ns_ + (last_offset_ns_ - base_ns_ + gaps / 2) / gaps;
    }
    in_pass_ = 0;
    return true;
  }

  uint64_t last_offset_ns() const noexcept { return last_offset_ns_; }
  uint64_t cuts() const noexcept { return cuts_; }        // gaps cut to the longest allowed
  uint64_t crowded() const noexcept { return crowded_; }  // bursts that the ones before them pushed back

 private:
  uint64_t position(uint64_t elapsed_ns, uint64_t gap_ns) noexcept {
    if (config_.kind == TimelineConfig::Kind::fast) return 0;
    if (config_.kind == TimelineConfig::Kind::gap) return in_all_ * config_.gap_ns;
    if (!config_.keeps_bursts) return target(elapsed_ns);
    if (in_pass_ == 0 || gap_ns >= config_.burst_gap_ns) begin_burst(elapsed_ns);
    return burst_offset_ns_ + (elapsed_ns - burst_elapsed_ns_);
  }

  // A burst begins when its first frame would at that speed or rate, but never before the last one of the
  // burst before.
  void begin_burst(uint64_t elapsed_ns) noexcept {
    uint64_t offset_ns = target(elapsed_ns);
    // By rate the counting goes on over the passes, and the last burst of the one before may not be over.
    uint64_t earliest_ns = last_offset_ns_ - std::min(last_offset_ns_, base_ns_);
    if (offset_ns < earliest_ns) {
      offset_ns = earliest_ns;
      crowded_++;
    }
    burst_offset_ns_ = offset_ns;
    burst_elapsed_ns_ = elapsed_ns;
  }

  uint64_t target(uint64_t elapsed_ns) const noexcept {
    constexpr unsigned __int128 LATEST = static_cast<unsigned __int128>(1) << 62;
    bool by_rate = config_.kind == TimelineConfig::Kind::rate;
    unsigned __int128 value = by_rate ? in_all_ : elapsed_ns;
    value *= by_rate ? 1'000'000'000'000 : 1'000'000;
    return static_cast<uint64_t>(
        std::min(value / (by_rate ? config_.rate_millihertz : config_.speed_millionths), LATEST));
  }

  TimelineConfig config_;
  uint64_t base_ns_ = 0;   // where this pass begins; of a gap or a rate, where the counting does
  uint64_t first_ns_ = 0;  // in the capture, of this pass
  uint64_t last_ns_ = 0;
  uint64_t cut_ns_ = 0;
  uint64_t last_offset_ns_ = 0;
  uint64_t in_pass_ = 0;  // frames
  uint64_t in_all_ = 0;   // frames since base_ns_
  uint64_t burst_offset_ns_ = 0;
  uint64_t burst_elapsed_ns_ = 0;
  uint64_t cuts_ = 0;
  uint64_t crowded_ = 0;
};

}  // namespace carom
