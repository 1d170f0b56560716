// SPDX-License-Identifier: GPL-2.0 OR MIT
/* What the eBPF programs that read datagrams have in common: sums, addresses, digits. */
#ifndef CAROM_BPF_PACKET_H
#define CAROM_BPF_PACKET_H

#include "link_rules.h"
#include "match.h"

// 16 bits of a one's complement sum (RFC 1071), in memory order.
static __always_inline __u16 fold(__u64 sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

static __always_inline __u64 sum_words(const void* from, int words) {
  const __u32* at = from;
  __u64 sum = 0;
#pragma unroll
  for (int i = 0; i < words; i++) sum += at[i];
  return sum;
}

static __always_inline __u64 load_mac(const __u8* mac) {
  return *(const __u32*)mac | (__u64) * (const __u16*)(mac + 4) << 32;
}

static __always_inline void store_mac(__u8* mac, __u64 value) {
  *(__u32*)mac = value;
  *(__u16*)(mac + 4) = value >> 32;
}

// The same digits as write_hex in order/native_order.h.
static __always_inline __u64 hex_digits(__u32 value) {
  __u64 x = value;
  x = ((x << 16) | x) & 0x0000ffff0000ffffull;
  x = ((x << 8) | x) & 0x00ff00ff00ff00ffull;
  x = ((x << 4) | x) & 0x0f0f0f0f0f0f0f0full;
  __u64 letters = ((x + 0x0606060606060606ull) >> 4) & 0x0101010101010101ull;
  return __builtin_bswap64(x + 0x3030303030303030ull + letters * ('a' - '0' - 10));
}

// To the interface's own address only a frame to its own MAC address may come, to a group's one to either.
static __always_inline int right_address4(const struct iphdr* ip, __u64 to_mac,
                                          const struct link_rules* rules) {
  if (!rules->has_address4) return 0;
  const __u32 to = ip->daddr;
  if (to == rules->address4) return to_mac == rules->mac;
  // 01:00:5e and the group's low 23 bits (RFC 1112, 6.4), in memory order.
  if (to_mac != rules->mac && to_mac != (0x5e0001ull | (__u64)((to >> 8) & 0xffff7f) << 24)) return 0;
  for (__u32 i = 0; i < LINK_GROUPS; i++) {
    if (i >= rules->groups4) return 0;
    if (to == rules->group4[i]) return 1;
  }
  return 0;
}

static __always_inline int right_address6(const __u64* to, __u64 to_mac, const struct link_rules* rules) {
  if (!rules->has_address6) return 0;
  if (to[0] == rules->address6[0] && to[1] == rules->address6[1]) return to_mac == rules->mac;
  // 33:33 and the group's last four bytes (RFC 2464, 7).
  if (to_mac != rules->mac && to_mac != (0x3333 | to[1] >> 32 << 16)) return 0;
  for (__u32 i = 0; i < LINK_GROUPS; i++) {
    if (i >= rules->groups6) return 0;
    if (to[0] == rules->group6[i][0] && to[1] == rules->group6[i][1]) return 1;
  }
  return 0;
}

// The header of a datagram of that length is right in every field that can be wrong; anything else is user
// space's to name.
static __always_inline int right_ip(const void* at, int ipv6, __u16 udp_length, __u64 to_mac,
                                    const struct link_rules* rules) {
  if (ipv6) {
    const struct ipv6hdr* ip = at;
    const __u64* addresses = at + 8;
    if (ip->version != 6 || ip->nexthdr != IPPROTO_UDP || ip->hop_limit == 0) return 0;
    if (ip->payload_len != bpf_htons(udp_length)) return 0;
    if ((addresses[0] | addresses[1]) == 0 || ip->saddr.s6_addr[0] == 0xff) return 0;
    return right_address6(addresses + 2, to_mac, rules);
  }
  const struct iphdr* ip = at;
  if (*(const __u8*)at != 0x45 || ip->protocol != IPPROTO_UDP) return 0;
  if (ip->tot_len != bpf_htons(20 + udp_length)) return 0;
  if ((ip->frag_off & bpf_htons(0x3fff)) != 0 || ip->ttl == 0 || ip->saddr == 0) return 0;
  if (bpf_ntohl(ip->saddr) >= 0xe0000000) return 0;
  if (fold(sum_words(at, 5)) != 0xffff) return 0;
  return right_address4(ip, to_mac, rules);
}

static __always_inline __u64 pseudo_sum(const void* ip, int ipv6, __u16 udp_length) {
  __u64 addresses = ipv6 ? sum_words(ip + 8, 8) : sum_words(ip + 12, 2);
  return addresses + bpf_htons(udp_length) + bpf_htons(IPPROTO_UDP);
}

#endif
