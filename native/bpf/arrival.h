// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Stamps of arriving ticks, in whatever XDP program is at the receiving end: how far each is off its
 * schedule, and the gap before it off the planned one. A program that includes this has it as a constant, off
 * unless it is set before the program is loaded: the verifier then leaves all of it out. */
#ifndef CAROM_BPF_ARRIVAL_H
#define CAROM_BPF_ARRIVAL_H

#include "../wire.gen.h"
#include "arrival_state.h"
#include "match.h"
#include "trail_state.h"

const volatile struct arrival_constants arrival_constants SEC(".rodata.arrival") = {};

/* One entry each while stamping is off. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct arrival_state);
} arrival SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} arrival_gaps SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} arrival_ends SEC(".maps");

/* The first entry is the number of those that were written, as in struct arrival_trail. */
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct trail_entry);
} arrival_trail SEC(".maps");

/* As Histogram::index_of() in core/histogram.h. */
static __always_inline __u32 arrival_gap_index(__u64 value) {
  __u64 rest = (value | 2047) >> 11; /* the bits above the lowest bucket: the number of them is the bucket */
  __u32 bucket = 0;
#pragma unroll
  for (int step = 16; step > 0; step /= 2) {
    if (rest >> (step - 1) != 0) {
      bucket += step;
      rest >>= step;
    }
  }
  return ((bucket + 1) << 10) + (__u32)(value >> bucket) - 1024;
}

static __always_inline void arrival_note(struct arrival_state* state, __u64 now_ns, __u64 timestamp) {
  __u64 error_ns =
      now_ns - timestamp; /* modulo 2^64, and up to a constant: the clocks begin at different times */
  if (state->count == 0) {
    state->first_ns = now_ns;
  } else {
    __s64 off_ns = error_ns - state->error_ns;
    __u64 gap_ns = off_ns < 0 ? -off_ns : off_ns;
    __u32 index = arrival_gap_index(gap_ns < ARRIVAL_GAP_HIGHEST ? gap_ns : ARRIVAL_GAP_HIGHEST);
    __u64* counter = bpf_map_lookup_elem(&arrival_gaps, &index);
    if (counter) (*counter)++;
    state->gap_sum += gap_ns;
    if (gap_ns > state->gap_max) state->gap_max = gap_ns;
    if (gap_ns < state->gap_min) state->gap_min = gap_ns;
  }
  state->error_ns = error_ns;
  state->last_ns = now_ns;
  __u32 at = ARRIVAL_ENDS + state->at;
  __u64* end = bpf_map_lookup_elem(&arrival_ends, &at);
  if (end) *end = error_ns;
  state->at = state->at + 1 == ARRIVAL_ENDS ? 0 : state->at + 1;
  if (state->count < ARRIVAL_ENDS) {
    __u32 number = state->count;
    end = bpf_map_lookup_elem(&arrival_ends, &number);
    if (end) *end = error_ns;
  }
  state->count++;
}

#define TRAIL_SEARCH 64 /* entries: as many as are sent at once, and may all be lost */

/* Looks for a frame on the trail, from an entry on. */
static __always_inline int follow_trail(struct arrival_state* state, __u64 now_ns, __u64 key, __u64 from,
                                        __u64 head) {
  for (int i = 0; i < TRAIL_SEARCH; i++) {
    __u64 number = from + i;
    if (number >= head) return 0;
    __u32 index = 1 + (__u32)(number % TRAIL_ENTRIES);
    struct trail_entry* entry = bpf_map_lookup_elem(&arrival_trail, &index);
    if (!entry) return 0;
    if (entry->key != key) continue;
    state->trail_next = number + 1;
    arrival_note(state, now_ns, entry->planned_ns);
    return 1;
  }
  return 0;
}

/* What was lost on the way is passed over: first the next ones are looked at, then the newest. */
static __always_inline void stamp_frame(struct xdp_md* context, __u64 now_ns) {
  __u64 key = trail_key((void*)(long)context->data, (void*)(long)context->data_end);
  __u32 zero = 0;
  struct arrival_state* state = bpf_map_lookup_elem(&arrival, &zero);
  struct trail_entry* first = bpf_map_lookup_elem(&arrival_trail, &zero);
  if (!state || !first) return;
  __u64 head = *(volatile __u64*)&first->key;
  __u64 next = state->trail_next;
  if (head - next <= TRAIL_ENTRIES && follow_trail(state, now_ns, key, next, head)) return;
  if (head - next > TRAIL_SEARCH) follow_trail(state, now_ns, key, head - TRAIL_SEARCH, head);
}

/* Called first: what the program does afterwards is not the wire's. */
static __always_inline void stamp_arrival(struct xdp_md* context) {
  if (!arrival_constants.on) return;
  __u64 now_ns = bpf_ktime_get_ns();
  if (arrival_constants.on == ARRIVAL_TRAIL) {
    stamp_frame(context, now_ns);
    return;
  }
  void* end = (void*)(long)context->data_end;
  struct udphdr* udp = find_udp((void*)(long)context->data, end);
  if (!udp || udp->dest != arrival_constants.port) return;
  struct market_data* tick = (void*)(udp + 1);
  if ((void*)tick + MARKET_DATA_SIZE > end) return;
  __u32 zero = 0;
  struct arrival_state* state = bpf_map_lookup_elem(&arrival, &zero);
  if (!state) return;
  __u64 timestamp = tick->timestamp;
  if (timestamp >= *(volatile __u64*)&state->from) arrival_note(state, now_ns, timestamp);
}

#endif
