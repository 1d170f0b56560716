// SPDX-License-Identifier: GPL-2.0 OR MIT
// How a schedule of a constant rate drifts against CLOCK_MONOTONIC, as it arrives: the n-th tick is due n
// periods after the first, and of each window of ticks the earliest arrival is kept, so that stops of the
// machine do not count. Nothing of the sender's clock has a part in it, nor what is in the tick. Everything
// is dropped.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "drift_meter.h"

enum { TICK_PORT = 8080, FRAME_SIZE = 66 };

struct meter_state state = {};

SEC("xdp")
int meter(struct xdp_md* context) {
  __u64 now_ns = bpf_ktime_get_ns();
  void* data = (void*)(long)context->data;
  void* end = (void*)(long)context->data_end;
  struct ethhdr* ethernet = data;
  struct iphdr* ip = (void*)(ethernet + 1);
  struct udphdr* udp = (void*)(ip + 1);
  if (data + FRAME_SIZE > end || ethernet->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != IPPROTO_UDP ||
      udp->dest != bpf_htons(TICK_PORT) || state.window_ticks == 0)
    return XDP_DROP;
  __u64 number = state.ticks++;
  if (number == 0) state.first_ns = now_ns;
  __s64 late_ns = now_ns - state.first_ns - number * state.period_ns;
  __u64 window = number / state.window_ticks;
  if (window >= METER_WINDOWS) return XDP_DROP;
  if (number == window * state.window_ticks || late_ns < state.earliest_ns[window])
    state.earliest_ns[window] = late_ns;
  return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
