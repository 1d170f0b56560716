// The timestamps that tie orders to their ticks: near the planned time, each greater than the one before.
// Where several threads send, the remainder tells whose tick it is, so none of them is sent twice.
#pragma once

#include <cstdint>

namespace carom {

class Timestamps {
 public:
  // Of thread number `thread` of so many.
  Timestamps(uint32_t thread, uint32_t threads) noexcept : thread_(thread), threads_(threads) {}

  uint64_t next(uint64_t planned_ns) noexcept {
    uint64_t value = planned_ns > last_ ? planned_ns : last_ + 1;
    if (threads_ > 1) value += (thread_ + threads_ - value % threads_) % threads_;
    return last_ = value;
  }

 private:
  uint32_t thread_;
  uint32_t threads_;
  uint64_t last_ = 0;
};

}  // namespace carom
