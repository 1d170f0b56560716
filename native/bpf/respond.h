// SPDX-License-Identifier: GPL-2.0 OR MIT
/* What the eBPF responder and the program that controls it share: settings, counters, samples. Plain C. */
#ifndef CAROM_BPF_RESPOND_H
#define CAROM_BPF_RESPOND_H

#include <linux/types.h>

#include "../order/answer_limit.h"
#include "../strategy/strategies.h"
#include "link_rules.h"

#define RESPOND_SAMPLE_HEAD 96 /* bytes of a frame: all headers and one tick */

/* Set before the program is loaded; the verifier leaves out what they make impossible. */
struct respond_constants {
  __u32 strategy;     /* enum strategy_id */
  __u32 has_symbols;  /* 1: only those in the map of symbols are traded */
  __u32 symbol_limit; /* of each queue, for a strategy that keeps state */
};

struct respond_settings {
  __u64 epoch_offset_ns; /* CLOCK_REALTIME - CLOCK_MONOTONIC */
  struct strategy_settings strategy;
  struct answer_limit limit;
  struct link_rules link;
  __u32 sample_every;  /* packets between two that are looked at closely, on each CPU */
  __u32 traffic_class; /* of what is sent: DSCP and ECN, in the lowest bits */
  __be16 response_port;
  __u8 ttl;
  __u8 enabled; /* 0: what is for the port is counted and dropped */
};

/* The program's memory that both sides see. A change is written to the next slot and then put in force at
 * once, so that every packet sees all of it or nothing: a packet would have to take as long as 63 changes to
 * see its own settings change. */
#define RESPOND_SLOTS 64

struct respond_shared {
  struct respond_settings settings[RESPOND_SLOTS];
  __u32 in_force; /* the number of a slot */
};

/* Down to OVER_LIMIT: single ticks that were decided here, right to the last bit. */
enum respond_counter {
  RESPOND_ORDERS,
  RESPOND_QUIET,
  RESPOND_LIMITED,
  RESPOND_OVER_LIMIT,
  RESPOND_DISABLED,  /* for the port, while the responder was disabled */
  RESPOND_PASSED_ON, /* not for the port: they went on to the kernel */
  RESPOND_UNSERVED,  /* for the port, and to be handed up, on a queue without a thread */
  RESPOND_UNSAMPLED, /* samples for which the ring had no room */
  RESPOND_COUNTERS,
};

/* What each CPU keeps for itself. */
struct respond_own {
  __u64 counters[RESPOND_COUNTERS];
  __u64 until_sample; /* packets until the next one is looked at closely */
};

/* The state of a symbol belongs to one queue: no two CPUs ever meet in it. */
struct respond_symbol {
  __u64 symbol;
  __u32 queue;
  __u32 pad;
};

/* One packet that was looked at closely. */
struct respond_sample {
  __u64 time_ns;  /* of its coming, since the epoch */
  __u32 spent_ns; /* until its order was made */
  __u32 length;
  __u32 queue;
  __u32 head_length;
  __u8 answered;
  __u8 limited;
  __u8 disabled; /* thrown away undecided: there is no tick */
  __u8 pad[5];
  struct tick tick;
  struct decision decision;
  __u32 pad2;
  __u8 head[RESPOND_SAMPLE_HEAD];
};

#endif
