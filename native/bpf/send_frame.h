// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The next frame as it is in the ring, at its time: what is in it is nothing to this program. */
#ifndef CAROM_BPF_SEND_FRAME_H
#define CAROM_BPF_SEND_FRAME_H

#include "send_time.h"

/* The value's size is set before the programs are loaded: the head, and room for the longest frame. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);  // set then, too
  __uint(key_size, sizeof(__u32));
  __uint(value_size, sizeof(struct generate_frame));
} frames SEC(".maps");

// Each byte of it: pages come back as their last owner left them.
static __always_inline int copy_frame(struct xdp_md* context, const struct generate_frame* frame) {
  __u64 size = frame->size;
  if (size < ETH_HLEN || size > constants.longest) return -1;
  // What comes in is longer: the kernel takes over the length only of a frame that the program has changed.
  __u64 length = (__u64)context->data_end - context->data;
  asm volatile("" : "+r"(length));  // the verifier takes the difference of pointers in 64 bits only
  if (bpf_xdp_adjust_tail(context, (int)(size - length)) != 0) return -1;
  return bpf_xdp_store_bytes(context, 0, (void*)frame->bytes, size);
}

// Only where the schedule slips does it turn out here that a frame is beyond the end of the run.
static __always_inline int is_beyond(const struct generate_frame* frame, __u64 planned_ns) {
  if (frame->ticks == 0) return 0;  // what was begun is brought to its end
  if (planned_ns - shared.sender.paused_ns >= shared.plan.end_ns) return 1;
  if (shared.sender.measured == 0 || !is_measured(planned_ns)) return 0;
  return frame->ticks_before - shared.sender.measured_from >= constants.count;
}

static __always_inline void note_measured(const struct generate_frame* frame, __u64 now_ns) {
  shared.sender.doorbells += shared.sender.pending == 0;
  if (shared.sender.first_ns == 0) shared.sender.first_ns = now_ns;
  if (shared.sender.measured == 0) shared.sender.measured_from = frame->ticks_before;
  shared.sender.measured += frame->ticks;
}

// `now` is brought up to date where the clock is read again.
static __always_inline int send_next_frame(struct xdp_md* context, __u64* now) {
  __u64 number = shared.sender.next;
  if (number == *(volatile __u64*)&shared.plan.ready) {
    __u64 lacks_ns = *(volatile __u64*)&shared.plan.lacks_ns;
    if (lacks_ns < shared.sender.last_ns) lacks_ns = shared.sender.last_ns;
    if (*now > lacks_ns) shared.sender.starved_ns += *now - lacks_ns;
    return XDP_DROP;
  }
  __u32 place = number & constants.frame_mask;
  struct generate_frame* frame = bpf_map_lookup_elem(&frames, &place);
  if (!frame) return XDP_ABORTED;
  // By how much the schedule has moved since this was planned.
  __u64 moved_ns = shared.sender.slid_ns + shared.sender.paused_ns - frame->moved_ns;
  __u64 planned_ns = frame->planned_ns + moved_ns;
  if (constants.flat_out && planned_ns < *now) planned_ns = *now;  // only the start is planned
  int due = is_time(planned_ns, now);
  __u64 now_ns = *now;
  if (!due) return XDP_DROP;
  __u64 late_ns = now_ns - planned_ns;
  int slips = constants.late == GENERATE_SLIP && late_ns > constants.late_ns;
  if (is_beyond(frame, slips ? now_ns : planned_ns)) {
    frame->sent_ns = 0;
    *(volatile __u64*)&shared.sender.next = number + 1;
    return XDP_DROP;
  }
  if (copy_frame(context, frame) != 0) {
    shared.sender.failed++;
    return XDP_ABORTED;
  }
  __u8 measured = is_measured(planned_ns);
  __u64 slipped = slips && measured;
  if (slips) {
    planned_ns = slip(planned_ns, now_ns, measured);
    measured = is_measured(planned_ns);
  }
  frame->planned_ns = planned_ns;
  frame->sent_ns = now_ns;
  frame->starved_ns = shared.sender.starved_ns << 1 | slipped;
  frame->measured = measured;
  if (measured) note_measured(frame, now_ns);
  *(volatile __u64*)&shared.sender.next = number + 1;
  shared.sender.pending++;
  shared.sender.sent_ns = now_ns;
  return bpf_redirect(constants.interface, 0);
}

#endif
