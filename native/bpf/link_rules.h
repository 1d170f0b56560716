// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Which frames are for an interface: plain C, shared by the eBPF programs and who loads them. */
#ifndef CAROM_BPF_LINK_RULES_H
#define CAROM_BPF_LINK_RULES_H

#include <linux/types.h>

#define LINK_GROUPS 16 /* GROUPS_MAX in io/packet_io.h */

struct link_rules {
  __u32 has_address4;
  __u32 has_address6;
  __u32 groups4; /* how many */
  __u32 groups6;
  __u64 address6[2]; /* network order, like everything below */
  __u64 mac;         /* 6 bytes in memory order, in the low ones */
  __u64 group6[LINK_GROUPS][2];
  __u32 group4[LINK_GROUPS];
  __u32 address4;
  __be16 local_port;
  __be16 vlan; /* tag of every frame, 0xffff for untagged */
};

#endif
