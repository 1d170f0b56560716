#include "capture/bursts.h"

#include <algorithm>

namespace carom {

void Bursts::add(uint64_t time_ns, uint32_t bytes) {
  constexpr uint64_t LONGEST_NS = WIDTHS_NS[0];
  if (!moments_.empty() && time_ns + LONGEST_NS < moments_.back().time_ns) {
    finish();
    moments_.clear();
    settled_ = 0;
    windows_ = {};
  }
  insert({time_ns, 1, bytes});
  // What comes from now on is later than this, or the clock has gone back.
  uint64_t latest_ns = moments_.back().time_ns;
  if (latest_ns > LONGEST_NS) settle(latest_ns - LONGEST_NS);
}

void Bursts::finish() {
  if (!moments_.empty()) settle(moments_.back().time_ns + 1);
}

// Mostly at the end; what is out of order is moved to its place among what is not settled.
void Bursts::insert(const Moment& moment) {
  size_t at = moments_.size();
  while (at > settled_ && moments_[at - 1].time_ns > moment.time_ns) at--;
  if (at > settled_ && moments_[at - 1].time_ns == moment.time_ns) {
    moments_[at - 1].frames += moment.frames;
    moments_[at - 1].bytes += moment.bytes;
    return;
  }
  moments_.insert(moments_.begin() + static_cast<ptrdiff_t>(at), moment);
}

// Each moment earlier than this becomes the end of windows; what no window needs any more goes.
void Bursts::settle(uint64_t before_ns) {
  while (settled_ < moments_.size() && moments_[settled_].time_ns < before_ns) {
    Moment moment = moments_[settled_++];
    for (size_t i = 0; i < windows_.size(); i++) advance(i, moment);
  }
  // The first window is the longest: it begins the earliest.
  size_t unused = windows_[0].first;
  moments_.erase(moments_.begin(), moments_.begin() + static_cast<ptrdiff_t>(unused));
  settled_ -= unused;
  for (Window& window : windows_) window.first -= unused;
}

// The window that ends with this moment: what came less than its length before.
void Bursts::advance(size_t index, const Moment& moment) {
  Window& window = windows_[index];
  window.frames += moment.frames;
  window.bytes += moment.bytes;
  while (moments_[window.first].time_ns + WIDTHS_NS[index] <= moment.time_ns) {
    window.frames -= moments_[window.first].frames;
    window.bytes -= moments_[window.first].bytes;
    window.first++;
  }
  Burst& most = busiest_[index];
  if (window.frames > most.frames) {
    most = {window.frames, window.bytes, moments_[window.first].time_ns, moment.time_ns};
  }
}

}  // namespace carom
