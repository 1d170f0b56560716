// When each tick is planned: an arrival process anchored at the start, with a look ahead.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>

#include "generate/arrival.h"

namespace carom {

class Schedule {
 public:
  static constexpr uint32_t LOOK_AHEAD = 8;  // ticks, a power of two

  explicit Schedule(const ScheduleConfig& config) : constant_(config.arrival.rate_millihertz) {
    bool plain = config.arrival.kind == ArrivalConfig::Kind::constant && config.scale_thousandths == 1000 &&
                 config.ceiling_millihertz == 0;
    if (!plain) process_ = make_arrival(config);
  }

  // Before the first of the others.
  void start(uint64_t start_ns) noexcept {
    start_ns_ = start_ns;
    for (uint64_t& planned_ns : ahead_) planned_ns = start_ns_ + next_ns();
  }

  // Of the next tick, or of one behind it, less than LOOK_AHEAD.
  uint64_t planned_ns(uint32_t behind = 0) const noexcept { return ahead_[(at_ + behind) % LOOK_AHEAD]; }

  void advance() noexcept {
    ahead_[at_ % LOOK_AHEAD] = start_ns_ + next_ns();
    at_++;
  }

  // All ticks still to come are planned so much later; modulo 2^64, so earlier, too.
  void move(uint64_t by_ns) noexcept {
    start_ns_ += by_ns;
    for (uint64_t& planned_ns : ahead_) planned_ns += by_ns;
  }

  // How many of the ticks still to come are planned before a time, up to a limit; the schedule is used up by
  // it. `ended` is asked now and then, for chance has no formula: the ticks of an hour are drawn in a minute.
  template <class Ended>
  uint64_t count_before(uint64_t until_ns, uint64_t limit, Ended ended) noexcept {
    uint64_t count = 0;
    if (process_ == nullptr) {
      for (uint64_t planned_ns : ahead_) count += planned_ns < until_ns;
      count += constant_.count_before(until_ns - std::min(until_ns, start_ns_));
      return std::min(limit, count);
    }
    while (count < limit && planned_ns() < until_ns) {
      count++;
      advance();
      if (count % 65'536 == 0 && ended()) break;
    }
    return count;
  }

 private:
  // The constant rate is not called through a table: it is what the loop is measured with.
  uint64_t next_ns() noexcept { return process_ == nullptr ? constant_.next_ns() : process_->next_ns(); }

  ConstantArrival constant_;
  std::unique_ptr<Arrival> process_;  // null: the constant rate
  std::array<uint64_t, LOOK_AHEAD> ahead_{};
  uint32_t at_ = 0;
  uint64_t start_ns_ = 0;
};

}  // namespace carom
