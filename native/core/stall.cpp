#include "core/stall.h"

#include <algorithm>

namespace carom {
namespace {

bool longer(const Interval& a, const Interval& b) { return a.end_ns - a.start_ns > b.end_ns - b.start_ns; }

}  // namespace

void LargestIntervals::insert(Interval interval) noexcept {
  if (heap_.size() == limit_) {
    std::pop_heap(heap_.begin(), heap_.end(), longer);
    heap_.back() = interval;
  } else {
    heap_.push_back(interval);
  }
  std::push_heap(heap_.begin(), heap_.end(), longer);
  smallest_ns_ = heap_.front().end_ns - heap_.front().start_ns;
}

}  // namespace carom
