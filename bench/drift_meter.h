/* What the drift meter's eBPF program and the program that reads it share. Plain C. */
#ifndef CAROM_BENCH_DRIFT_METER_H
#define CAROM_BENCH_DRIFT_METER_H

#include <linux/types.h>

#define METER_WINDOWS 256

struct meter_state {
  __u64 period_ns;    /* between two ticks; set before the first one */
  __u64 window_ticks; /* ticks of a window; the same */
  __u64 ticks;
  __u64 first_ns;                   /* when the first tick came */
  __s64 earliest_ns[METER_WINDOWS]; /* of each window, against the first tick and so many periods */
};

#endif
