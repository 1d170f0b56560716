// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The next planned tick as a whole frame, at its time. */
#ifndef CAROM_BPF_SEND_TICK_H
#define CAROM_BPF_SEND_TICK_H

#include "send_time.h"

// Ethernet's trailer: what is behind the datagram, up to the size of the frame.
static __always_inline void clear(void* from, void* end) {
  __u64* words = from;
  for (int i = 0; i < TRAILER_WORDS; i++, words++) {
    if ((void*)(words + 1) > end) break;
    *(volatile __u64*)words = 0;  // not made into a call of memset, which eBPF has not
  }
  __u8* bytes = (void*)words;
  for (int i = 0; i < 7; i++) {
    if ((void*)(bytes + i + 1) > end) break;
    *(volatile __u8*)(bytes + i) = 0;
  }
}

// The whole frame, each byte: pages come back as their last owner left them.
static __always_inline int write_tick(struct xdp_md* context, const struct tick* tick, __u32 frame,
                                      const int header_length) {
  const __u32 which = frame & 0xffff;
  const __u64 size = frame >> 16;
  const struct generate_headers* made = bpf_map_lookup_elem(&headers, &which);
  if (!made) return -1;
  // What comes in is longer: the kernel takes over the length only of a frame that the program has changed.
  __u64 length = (__u64)context->data_end - context->data;
  asm volatile("" : "+r"(length));  // the verifier takes the difference of pointers in 64 bits only
  if (bpf_xdp_adjust_tail(context, (int)(size - length)) != 0) return -1;
  void* data = (void*)(long)context->data;
  if (data + header_length + MARKET_DATA_SIZE > (void*)(long)context->data_end) return -1;
  __u64* to = data;
#pragma unroll
  for (int i = 0; i < header_length / 8; i++) to[i] = made->words[i];
  // The rest is 2 bytes, the checksum, or 6.
  if (header_length % 8 == 6) *(__u32*)(to + header_length / 8) = made->words[header_length / 8];
  const __u64 words[TICK_WORDS] = {tick->symbol, tick->price | (__u64)tick->quantity << 32, tick->timestamp};
  __u64 sum = made->sum;
  __u64* payload = data + header_length;
#pragma unroll
  for (int i = 0; i < TICK_WORDS; i++) {
    payload[i] = words[i];
    sum += (words[i] & 0xffffffff) + (words[i] >> 32);
  }
  __u16 checksum = ~fold(sum);
  *(__u16*)(data + header_length - 2) = checksum == 0 ? 0xffff : checksum;  // the last of the headers
  if (constants.padded) clear(data + header_length + MARKET_DATA_SIZE, (void*)(long)context->data_end);
  return 0;
}

static __always_inline int write_frame(struct xdp_md* context, const struct tick* tick, __u32 frame) {
  switch (constants.header_length) {
    case 42:
      return write_tick(context, tick, frame, 42);
    case 46:
      return write_tick(context, tick, frame, 46);
    case 62:
      return write_tick(context, tick, frame, 62);
    case 66:
      return write_tick(context, tick, frame, 66);
  }
  return -1;
}

// Those that are late are used up, so that the ticks behind them are the same. Returns the number of the
// next.
static __always_inline __u64 skip_late(__u64 number, __u64 now_ns) {
  for (int i = 0; i < SKIPS && number != *(volatile __u64*)&shared.plan.ready; i++, number++) {
    __u32 place = number & constants.mask;
    struct ledger_entry* entry = bpf_map_lookup_elem(&entries, &place);
    if (!entry) break;
    __u64 planned_ns = entry->planned_ns + shared.sender.paused_ns;
    if (now_ns <= planned_ns + constants.late_ns ||
        planned_ns - shared.sender.paused_ns >= shared.plan.end_ns)
      break;
    struct ledger_status status = {LEDGER_WITHHELD, is_measured(planned_ns), 0, 0};
    if (status.measured && shared.sender.measured + shared.sender.skipped >= constants.count) break;
    entry->planned_ns = planned_ns;
    entry->sent_ns = now_ns;
    entry->stamp_ns = shared.sender.starved_ns << 1;
    entry->tick.timestamp = ++shared.sender.last_timestamp;
    *(volatile __u32*)&entry->word = *(__u32*)&status;
    shared.sender.next = number + 1;
    shared.sender.passed++;
    shared.sender.skipped += status.measured;
  }
  return number;
}

// Ticks that wait for their answer.
static __always_inline __u64 in_flight(void) {
  __u64 settled = *(volatile __u64*)&shared.judge.answered + *(volatile __u64*)&shared.plan.settled;
  return shared.sender.due - settled;
}

// `now` is brought up to date where the clock is read again.
static __always_inline int send_next(struct xdp_md* context, __u64* now) {
  __u64 now_ns = *now;
  __u64 number = shared.sender.next;
  if (constants.late == GENERATE_SKIP) number = skip_late(number, now_ns);
  if (number == *(volatile __u64*)&shared.plan.ready) {
    shared.sender.starved_ns += now_ns - shared.sender.last_ns;
    return XDP_DROP;
  }
  __u32 place = number & constants.mask;
  struct ledger_entry* entry = bpf_map_lookup_elem(&entries, &place);
  if (!entry) return XDP_ABORTED;
  __u8 order = 0;
  if (constants.receives) {
    struct ledger_due* must = bpf_map_lookup_elem(&dues, &place);
    if (!must) return XDP_ABORTED;
    order = must->decision.order;
  }
  if (constants.flat_out) {
    entry->planned_ns = now_ns;
  } else if (constants.closed) {
    if (in_flight() >= constants.window) return XDP_DROP;
    if (shared.sender.full) {  // planned for the moment in which one was answered
      shared.sender.full = 0;
      __u64 answered_ns = *(volatile __u64*)&shared.judge.answered_ns;
      if (answered_ns > shared.sender.allowed_ns) shared.sender.allowed_ns = answered_ns;
    }
    entry->planned_ns = shared.sender.allowed_ns;
  }
  // By the schedule as it was planned, and by the clock.
  __u64 scheduled_ns = entry->planned_ns + shared.sender.slid_ns;
  __u64 planned_ns = constants.closed ? entry->planned_ns : scheduled_ns + shared.sender.paused_ns;
  if (planned_ns - shared.sender.paused_ns >= shared.plan.end_ns) {
    shared.sender.over = 1;
    return XDP_DROP;
  }
  int due = is_time(planned_ns, &now_ns);
  *now = now_ns;
  if (!due) return XDP_DROP;
  struct ledger_status status = {};
  status.measured = is_measured(planned_ns);
  if (status.measured && shared.sender.measured + shared.sender.skipped >= constants.count) return XDP_DROP;
  __u64 slipped = 0;
  if (constants.late == GENERATE_SLIP && now_ns - planned_ns > constants.late_ns) {
    slipped = status.measured;
    planned_ns = slip(planned_ns, now_ns, status.measured);
    status.measured = is_measured(planned_ns);
  }
  entry->planned_ns = planned_ns;
  status.state = order ? LEDGER_WAITING : LEDGER_QUIET;
  __u64 timestamp = planned_ns + shared.plan.epoch_offset_ns;
  if (timestamp <= shared.sender.last_timestamp) timestamp = shared.sender.last_timestamp + 1;
  entry->tick.timestamp = timestamp;
  struct tick tick = entry->tick;
  if (write_frame(context, &tick, entry->next) != 0) {
    shared.sender.failed++;
    return XDP_ABORTED;
  }
  shared.sender.last_timestamp = timestamp;
  entry->sent_ns = now_ns;
  entry->stamp_ns = shared.sender.starved_ns << 1 | slipped;
  *(volatile __u32*)&entry->word = *(__u32*)&status;
  shared.sender.doorbells += status.measured && shared.sender.pending == 0;
  shared.sender.next = number + 1;
  shared.sender.pending++;
  if (status.measured && shared.sender.measured == 0) shared.sender.first_ns = now_ns;
  shared.sender.sent_ns = now_ns;
  shared.sender.due += order;
  shared.sender.measured += status.measured;
  shared.sender.quiet += status.measured && !order;
  if (constants.closed && !constants.flat_out) {
    shared.sender.allowed_ns = order ? now_ns : now_ns + constants.quiet_ns;
    shared.sender.full = in_flight() >= constants.window;
  }
  return bpf_redirect(constants.interface, 0);
}

#endif
