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

  explicit Schedule(const ScheduleConfig& config)
      : rate_millihertz_(config.arrival.rate_millihertz), constant_(rate_millihertz_) {
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

  // From now on so many ticks come where there were to be `of` by the configuration. What is due by then
  // stays; the tick that was to be next after it comes when the rates before and after have added up to a
  // whole one. If all that is looked ahead to is due, the change is at the last of it. Returns when it is.
  uint64_t change_pace(uint64_t now_ns, uint64_t to, uint64_t of) noexcept {
    uint32_t due = 0;
    while (due < LOOK_AHEAD && planned_ns(due) <= now_ns) due++;
    uint64_t from_ns = due == LOOK_AHEAD ? planned_ns(LOOK_AHEAD - 1) : now_ns;
    double slower = static_cast<double>(of) / static_cast<double>(to);
    double factor = slower / slower_;
    auto moved_ns = [&](uint64_t planned_ns) {
      return from_ns + whole_ns(static_cast<double>(planned_ns - from_ns) * factor);
    };
    if (process_ == nullptr) {
      uint64_t first_ns = moved_ns(due == LOOK_AHEAD ? start_ns_ + next_ns() : planned_ns(due));
      constant_ = ConstantArrival(std::max<uint64_t>(1, scaled(rate_millihertz_, to, of)));
      start_ns_ = first_ns;
      for (uint32_t i = due; i < LOOK_AHEAD; i++) ahead_[(at_ + i) % LOOK_AHEAD] = start_ns_ + next_ns();
    } else {
      for (uint32_t i = due; i < LOOK_AHEAD; i++) {
        uint64_t& planned_ns = ahead_[(at_ + i) % LOOK_AHEAD];
        planned_ns = moved_ns(planned_ns);
      }
      // What the process draws from here on is as far from what it drew last as it would be, times `slower`.
      start_ns_ = planned_ns(LOOK_AHEAD - 1);
      origin_ns_ = drawn_ns_;
    }
    slower_ = slower;
    return from_ns;
  }

  // How many of the ticks still to come are planned from one time on and before another one, up to a limit;
  // the schedule is used up by it. `ended` is asked now and then, for chance has no formula: the ticks of an
  // hour are drawn in a minute.
  template <class Ended>
  uint64_t count_between(uint64_t from_ns, uint64_t until_ns, uint64_t limit, Ended ended) noexcept {
    if (until_ns <= from_ns) return 0;
    if (process_ == nullptr) return std::min(limit, count_before(until_ns) - count_before(from_ns));
    uint64_t count = 0;
    for (uint64_t drawn = 1; count < limit && planned_ns() < until_ns; drawn++) {
      count += planned_ns() >= from_ns;
      advance();
      if (drawn % 65'536 == 0 && ended()) break;
    }
    return count;
  }

 private:
  uint64_t count_before(uint64_t until_ns) const noexcept {
    uint64_t count = constant_.count_before(until_ns - std::min(until_ns, start_ns_));
    for (uint64_t planned_ns : ahead_) count += planned_ns < until_ns;
    return count;
  }

  // The constant rate is not called through a table: it is what the loop is measured with.
  uint64_t next_ns() noexcept { return process_ == nullptr ? constant_.next_ns() : drawn(); }

  uint64_t drawn() noexcept {
    drawn_ns_ = process_->next_ns();
    if (slower_ == 1) [[likely]]
      return drawn_ns_ - origin_ns_;
    return whole_ns(static_cast<double>(drawn_ns_ - origin_ns_) * slower_);
  }

  static uint64_t whole_ns(double ns) noexcept {
    return ns < static_cast<double>(NEVER_NS) ? static_cast<uint64_t>(ns) : NEVER_NS;
  }

  static uint64_t scaled(uint64_t value, uint64_t to, uint64_t of) noexcept {
    return static_cast<uint64_t>((static_cast<unsigned __int128>(value) * to + of / 2) / of);
  }

  uint64_t rate_millihertz_;  // by the configuration
  ConstantArrival constant_;
  std::unique_ptr<Arrival> process_;  // null: the constant rate
  std::array<uint64_t, LOOK_AHEAD> ahead_{};
  uint32_t at_ = 0;
  uint64_t start_ns_ = 0;
  uint64_t drawn_ns_ = 0;   // what the process gave last
  uint64_t origin_ns_ = 0;  // and what it had given when the pace was changed last
  double slower_ = 1;       // its gaps, times this
};

}  // namespace carom
