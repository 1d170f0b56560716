/* Which interrupts a core handled of late: written by eBPF programs (bpf/interruptions.bpf.c) on that core,
 * read by the thread that they interrupted. Plain C. Times are ns of CLOCK_MONOTONIC. */
#ifndef CAROM_CORE_INTERRUPTION_LOG_H
#define CAROM_CORE_INTERRUPTION_LOG_H

#include <linux/types.h>

#define INTERRUPTION_LOG_SIZE 64 /* the latest ones; a power of two */

struct interruption {
  __u64 start_ns;
  __u64 end_ns;    /* of its handler; what the kernel does before and after it is not in it */
  __u64 is_device; /* 1: a device's, whose softirq, which is not in it either, may take any time */
};

struct interruption_log {
  __u64 count; /* interrupts so far; number n is in entries[n % INTERRUPTION_LOG_SIZE] */
  struct interruption entries[INTERRUPTION_LOG_SIZE];
};

#endif
