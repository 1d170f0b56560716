// SPDX-License-Identifier: GPL-2.0 OR MIT
// The floor of an answer from the driver: a datagram for the ticks' port goes back with its MAC addresses
// swapped. No checks, no decision, no order.
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

enum { PORT = 8080 };

SEC("xdp")
int swap(struct xdp_md* context) {
  struct ethhdr* ethernet = (void*)(long)context->data;
  struct iphdr* ip = (void*)(ethernet + 1);
  struct udphdr* udp = (void*)(ip + 1);
  if ((void*)(udp + 1) > (void*)(long)context->data_end) return XDP_PASS;
  if (ethernet->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != IPPROTO_UDP) return XDP_PASS;
  if (udp->dest != bpf_htons(PORT)) return XDP_PASS;
  __u8 address[ETH_ALEN];
  __builtin_memcpy(address, ethernet->h_dest, ETH_ALEN);
  __builtin_memcpy(ethernet->h_dest, ethernet->h_source, ETH_ALEN);
  __builtin_memcpy(ethernet->h_source, address, ETH_ALEN);
  return XDP_TX;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
