// SPDX-License-Identifier: GPL-2.0 OR MIT
// A flood of ticks from one core, and what comes back. `flood` is run again and again by the kernel with live
// frames (BPF_PROG_TEST_RUN) and sends each out of an interface; `count` is in the driver of that interface,
// and counts and drops what comes back.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "flood.h"

enum { ORDER_PORT = 9999, TICK_PORT = 8080 };

// Set before the programs are loaded.
const volatile __u32 interface = 0;  // where the frames go out
const volatile __u64 gap_ns = 0;     // a time without orders that is noted; 0: none is

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct flood_state);
} state SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, FLOOD_FRAMES);
  __type(key, __u32);
  __type(value, __u64[FLOOD_FRAME_SPACE / 8]);
} frames SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, FLOOD_KINDS);
  __type(key, __u32);
  __type(value, __u64);
} counters SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, FLOOD_GAPS_MAX);
  __type(key, __u32);
  __type(value, struct flood_gap);
} gaps SEC(".maps");

SEC("xdp")
int flood(struct xdp_md* context) {
  __u32 zero = 0;
  struct flood_state* s = bpf_map_lookup_elem(&state, &zero);
  if (!s || s->stopped) return XDP_DROP;
  if (s->first == 0) {
    s->first = bpf_ktime_get_ns();
    s->next = s->first << 10;
  }
  if (s->interval != 0) {
    if (bpf_ktime_get_ns() << 10 < s->next) return XDP_DROP;
    s->next += s->interval;
  }
  __u32 which = s->sent & (FLOOD_FRAMES - 1);
  const __u64* from = bpf_map_lookup_elem(&frames, &which);
  if (!from) return XDP_ABORTED;
  // The frame that comes in is longer, and is cut to size: the kernel uses pages again as their last owner
  // left them, and takes over the length only of a frame that the program has changed. For the same reason
  // every byte is written every time.
  if (bpf_xdp_adjust_tail(context, FLOOD_FRAME_SIZE - (int)(context->data_end - context->data)) != 0)
    return XDP_ABORTED;
  void* data = (void*)(long)context->data;
  if (data + FLOOD_FRAME_SIZE > (void*)(long)context->data_end) return XDP_ABORTED;
  __u64* to = data;
#pragma unroll
  for (int i = 0; i < FLOOD_FRAME_SIZE / 8; i++) to[i] = from[i];
  *(__u16*)(to + FLOOD_FRAME_SIZE / 8) = from[FLOOD_FRAME_SIZE / 8];
  s->sent++;
  return bpf_redirect(interface, 0);
}

static __always_inline __u32 kind_of(struct xdp_md* context) {
  struct ethhdr* ethernet = (void*)(long)context->data;
  struct iphdr* ip = (void*)(ethernet + 1);
  struct udphdr* udp = (void*)(ip + 1);
  if ((void*)(udp + 1) > (void*)(long)context->data_end) return FLOOD_OTHER;
  if (ethernet->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != IPPROTO_UDP) return FLOOD_OTHER;
  __u32 length = context->data_end - context->data;
  if (length == FLOOD_ORDER_SIZE && udp->dest == bpf_htons(ORDER_PORT)) return FLOOD_ORDER;
  if (length == FLOOD_FRAME_SIZE && udp->dest == bpf_htons(TICK_PORT)) return FLOOD_ECHO;
  return FLOOD_OTHER;
}

static __always_inline void note_gap(void) {
  __u32 zero = 0;
  struct flood_state* s = bpf_map_lookup_elem(&state, &zero);
  if (!s) return;
  __u64 now = bpf_ktime_get_ns();
  if (s->last_order != 0 && now - s->last_order > gap_ns) {
    __u32 which = s->gaps;
    struct flood_gap* gap = bpf_map_lookup_elem(&gaps, &which);
    if (gap) {
      gap->from = s->last_order;
      gap->to = now;
    }
    s->gaps++;
  }
  s->last_order = now;
}

SEC("xdp")
int count(struct xdp_md* context) {
  __u32 kind = kind_of(context);
  __u64* counter = bpf_map_lookup_elem(&counters, &kind);
  if (counter) (*counter)++;
  if (gap_ns != 0 && kind == FLOOD_ORDER) note_gap();
  return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
