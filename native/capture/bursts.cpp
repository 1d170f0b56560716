#include "capture/bursts.h"

#include <algorithm>

namespace carom {

void Bursts::add(uint64_t time_ns, uint32_t bytes) {
  constexpr uint64_t LONGEST_NS = WIDTHS_NS[0];
  if (time_ns + LONGEST_NS < latest_ns_) {
    finish();
    moments_.clear();
    windows_ = {};
    latest_ns_ = 0;
  }
  latest_ns_ = std::max(latest_ns_, time_ns);
  FrameCount& moment = unsettled_.try_emplace(unsettled_.end(), time_ns)->second;  // mostly at the end
  moment.frames++;
  moment.bytes += bytes;
  // What comes from now on is later than this, or the clock has gone back.
  if (latest_ns_ > LONGEST_NS) settle(latest_ns_ - LONGEST_NS);
}

void Bursts::finish() { settle(latest_ns_ + 1); }

// Each moment earlier than this becomes the end of windows; what no window needs any more goes.
void Bursts::settle(uint64_t before_ns) {
  for (auto next = unsettled_.begin(); next != unsettled_.end() && next->first < before_ns;) {
    moments_.push_back({next->first, next->second});
    next = unsettled_.erase(next);
    for (size_t i = 0; i < windows_.size(); i++) advance(i, moments_.back());
  }
  // The first window is the longest: it begins the earliest.
  size_t unused = windows_[0].first;
  moments_.erase(moments_.begin(), moments_.begin() + static_cast<ptrdiff_t>(unused));
  for (Window& window : windows_) window.first -= unused;
}

// The window that ends with this moment: what came less than its length before.
void Bursts::advance(size_t index, const Moment& moment) {
  Window& window = windows_[index];
  window.frames += moment.count.frames;
  window.bytes += moment.count.bytes;
  while (moments_[window.first].time_ns + WIDTHS_NS[index] <= moment.time_ns) {
    window.frames -= moments_[window.first].count.frames;
    window.bytes -= moments_[window.first].count.bytes;
    window.first++;
  }
  Burst& most = busiest_[index];
  if (window.frames > most.frames) {
    most = {window.frames, window.bytes, moments_[window.first].time_ns, moment.time_ns};
  }
}

}  // namespace carom
