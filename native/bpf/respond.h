/* What the eBPF responder and the program that controls it share: settings and counters. Plain C. */
#ifndef CAROM_BPF_RESPOND_H
#define CAROM_BPF_RESPOND_H

#include <linux/types.h>

#define RESPOND_SYMBOLS_MAX 10240

/* Two of these lie in a map, with the number of the one in force: a change is written to the other one and
 * then put in force at once, so that every packet sees all of it or nothing. */
struct respond_settings {
  __u64 epoch_offset_ns; /* CLOCK_REALTIME - CLOCK_MONOTONIC */
  __u32 threshold;       /* cents */
  __u32 quantity;
  __s32 price_offset; /* cents */
  __u32 side;
  __u32 has_symbols; /* 1: only those in the map of symbols are traded */
  __u32 has_address4;
  __u32 has_address6;
  __u32 has_group4;
  __u32 has_group6;
  __u32 address4; /* network order, like everything below */
  __u32 group4;
  __u32 pad;
  __u64 address6[2];
  __u64 group6[2];
  __u64 mac;       /* 6 bytes in memory order, in the low ones */
  __u64 group_mac; /* the same */
  __be16 local_port;
  __be16 response_port;
  __be16 vlan; /* tag of every frame, 0xffff for untagged */
  __u8 ttl;
  __u8 enabled; /* 0: what is for the port is counted and dropped */
};

enum respond_counter {
  RESPOND_TICKS, /* single ticks that were decided here, right to the last bit */
  RESPOND_ORDERS,
  RESPOND_QUIET,
  RESPOND_DISABLED, /* for the port, while the responder was disabled */
  RESPOND_COUNTERS,
};

#endif
