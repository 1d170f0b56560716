// SPDX-License-Identifier: GPL-2.0 OR MIT
/* When a sending program sends: the clock, stalls and pauses, and a schedule that slips. */
#ifndef CAROM_BPF_SEND_TIME_H
#define CAROM_BPF_SEND_TIME_H

#include "generate_maps.h"

static __always_inline void note_stall(__u64 now_ns) {
  struct generate_interval* interval = &shared.sender.log[shared.sender.stalls & (GENERATE_STALLS - 1)];
  interval->start_ns = shared.sender.last_ns;
  interval->end_ns = now_ns;
  *(volatile __u64*)&shared.sender.stalls += 1;
}

// Whether the tick may go now; with little to wait it is waited for.
static __always_inline int is_time(__u64 planned_ns, __u64* now_ns) {
  if (*now_ns >= planned_ns) return 1;
  if (shared.sender.pending != 0) return 0;  // what was made before is not to wait for the flush
  for (int i = 0; i < SPINS; i++) {
    *now_ns = bpf_ktime_get_ns();
    if (*now_ns >= planned_ns) return 1;
  }
  return 0;
}

static __always_inline __u8 is_measured(__u64 planned_ns) {
  return planned_ns - shared.sender.paused_ns >= shared.plan.warmup_end_ns;
}

// The rest of the schedule moves so that the tick is on time. Returns when it is planned now.
static __always_inline __u64 slip(__u64 planned_ns, __u64 now_ns, __u8 measured) {
  shared.sender.slid_ns += now_ns - planned_ns;
  if (measured) {
    shared.sender.slips++;
    shared.sender.slipped_ns += now_ns - planned_ns;
  }
  return now_ns;
}

// The process did not run for long: nothing is caught up.
static __always_inline void note_pause(__u64 passed_ns) {
  shared.sender.pauses++;
  shared.sender.paused_ns += passed_ns;
  shared.sender.allowed_ns += passed_ns;
  if (shared.sender.measured != 0) shared.sender.moved_ns += passed_ns;
}

// What the batch before this one may rightly have taken is no stall: it may have been answered on this core.
static __always_inline void look_at_clock(__u64 now_ns, int begins) {
  __u64 allowed_ns = constants.stall_ns;
  if (begins) {
    allowed_ns += shared.sender.pending * GENERATE_WORK_NS;
    shared.sender.pending = 0;
  }
  __u64 passed_ns = now_ns - shared.sender.last_ns;
  if (shared.sender.last_ns == 0 || passed_ns <= allowed_ns) return;
  note_stall(now_ns);
  if (passed_ns > GENERATE_PAUSE_NS) note_pause(passed_ns);
}

#endif
