// What a receiving end is to expect, in the order of sending: a ring in memory that an eBPF program reads
// (bpf/arrival.h). It ties any frame to its planned time, whatever is in it.
#pragma once

#include <cstdint>

#include "bpf/trail_state.h"

namespace carom {

class Trail {
 public:
  // Memory for one trail, all zero; it stays as long as this.
  explicit Trail(arrival_trail* memory) noexcept : memory_(memory) {}

  // Before the frame is handed to the wire.
  void add(const uint8_t* frame, uint32_t length, uint64_t planned_ns) noexcept {
    uint64_t head = memory_->head;
    trail_entry& entry = memory_->entries[head % TRAIL_ENTRIES];
    entry.key = trail_key(frame, frame + length);
    entry.planned_ns = planned_ns;
    __atomic_store_n(&memory_->head, head + 1, __ATOMIC_RELEASE);
  }

 private:
  arrival_trail* memory_;
};

}  // namespace carom
