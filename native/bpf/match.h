// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Which frames hold a UDP datagram, and for which port, whatever else is wrong with them. */
#ifndef CAROM_BPF_MATCH_H
#define CAROM_BPF_MATCH_H

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

struct vlan_header {
  __be16 tag;
  __be16 ethertype;
};

/* The UDP header, or null. */
static __always_inline struct udphdr* find_udp(void* data, void* end) {
  struct ethhdr* ethernet = data;
  if ((void*)(ethernet + 1) > end) return 0;
  __be16 ethertype = ethernet->h_proto;
  void* ip = ethernet + 1;
  if (ethertype == bpf_htons(ETH_P_8021Q)) {
    struct vlan_header* vlan = ip;
    if ((void*)(vlan + 1) > end) return 0;
    ethertype = vlan->ethertype;
    ip = vlan + 1;
  }
  struct udphdr* udp;
  if (ethertype == bpf_htons(ETH_P_IP)) {
    struct iphdr* ip4 = ip;
    if ((void*)(ip4 + 1) > end || ip4->protocol != IPPROTO_UDP) return 0;
    if ((ip4->frag_off & bpf_htons(0x1fff)) != 0) return 0; /* a later fragment has no ports */
    udp = ip + (ip4->ihl & 15) * 4;
  } else if (ethertype == bpf_htons(ETH_P_IPV6)) {
    struct ipv6hdr* ip6 = ip;
    if ((void*)(ip6 + 1) > end || ip6->nexthdr != IPPROTO_UDP) return 0;
    udp = (void*)(ip6 + 1);
  } else {
    return 0;
  }
  if ((void*)(udp + 1) > end) return 0;
  return udp;
}

static __always_inline int is_for_port(void* data, void* end, __be16 port) {
  struct udphdr* udp = find_udp(data, end);
  return udp && udp->dest == port;
}

#endif
