/* What the receiver's eBPF program and the program that reads it share. Plain C. */
#ifndef CAROM_BENCH_RECEIVER_H
#define CAROM_BENCH_RECEIVER_H

#include <linux/types.h>

struct receiver_counts {
  __u64 ticks;
  __u64 newer;  /* of them, with a timestamp above all before */
  __u64 newest; /* timestamp */
  __u64 others;
};

#endif
