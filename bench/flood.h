/* What the flood's eBPF programs and the program that runs them share. Plain C. */
#ifndef CAROM_BENCH_FLOOD_H
#define CAROM_BENCH_FLOOD_H

#include <linux/types.h>

#define FLOOD_FRAMES 1024 /* in the table, a power of two */
#define FLOOD_FRAME_SIZE 66
#define FLOOD_FRAME_SPACE 72 /* the same in whole words */
#define FLOOD_ORDER_SIZE 83
#define FLOOD_GAPS_MAX 4096

struct flood_state {
  __u64 stopped;    /* 1: nothing more is sent */
  __u64 sent;       /* frames handed to the interface */
  __u64 first;      /* when the first was, in ns on the monotonic clock */
  __u64 interval;   /* between two frames, in ns / 1024; 0: as fast as it goes */
  __u64 next;       /* when the next one is due, on the same clock in the same unit */
  __u64 last_order; /* when the last order came, in ns on the same clock */
  __u64 gaps;       /* how often none came for longer than wanted */
};

/* No order came between these two, which came, in ns on the monotonic clock. */
struct flood_gap {
  __u64 from;
  __u64 to;
};

enum flood_kind {
  FLOOD_ORDER, /* an order for a tick */
  FLOOD_ECHO,  /* a tick that was sent back */
  FLOOD_OTHER,
  FLOOD_KINDS,
};

#endif
