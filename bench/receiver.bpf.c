// SPDX-License-Identifier: GPL-2.0 OR MIT
// What arrives at an interface: ticks by their form, how many of them are newer than every one before, and
// the rest. Everything is dropped.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "receiver.h"

enum { TICK_PORT = 8080, FRAME_SIZE = 66, TIMESTAMP = 58 };

struct receiver_counts counts = {};

SEC("xdp")
int receive(struct xdp_md* context) {
  void* data = (void*)(long)context->data;
  void* end = (void*)(long)context->data_end;
  struct ethhdr* ethernet = data;
  struct iphdr* ip = (void*)(ethernet + 1);
  struct udphdr* udp = (void*)(ip + 1);
  if (data + FRAME_SIZE > end || ethernet->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != IPPROTO_UDP ||
      udp->dest != bpf_htons(TICK_PORT)) {
    counts.others++;
    return XDP_DROP;
  }
  __u64 timestamp = *(__u64*)(data + TIMESTAMP);
  counts.ticks++;
  if (timestamp > counts.newest) {
    counts.newest = timestamp;
    counts.newer++;
  }
  return XDP_DROP;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
