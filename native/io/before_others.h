// A thread that for a moment runs before all others of its core.
#pragma once

#include <sched.h>

namespace carom {

// While it lives, this thread runs before all others of its core (sched(7), SCHED_FIFO), where that is
// allowed.
class BeforeOthers {
 public:
  explicit BeforeOthers(bool wanted) {
    sched_getparam(0, &before_);
    policy_ = sched_getscheduler(0);
    const sched_param first{.sched_priority = 1};
    is_first_ =
        wanted && policy_ >= 0 && sched_setscheduler(0, SCHED_FIFO | SCHED_RESET_ON_FORK, &first) == 0;
  }
  ~BeforeOthers() {
    if (is_first_) sched_setscheduler(0, policy_, &before_);
  }
  BeforeOthers(const BeforeOthers&) = delete;
  BeforeOthers& operator=(const BeforeOthers&) = delete;

 private:
  sched_param before_{};
  int policy_ = -1;
  bool is_first_ = false;
};

}  // namespace carom
