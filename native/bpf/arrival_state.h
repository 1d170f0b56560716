// SPDX-License-Identifier: GPL-2.0 OR MIT
/* What stamps arrivals and what reads them share. Plain C. */
#ifndef CAROM_BPF_ARRIVAL_STATE_H
#define CAROM_BPF_ARRIVAL_STATE_H

#include <linux/types.h>

#define ARRIVAL_ENDS 1000                  /* errors kept of the first ticks, and of the last */
#define ARRIVAL_GAPS 27648                 /* Histogram::SIZE */
#define ARRIVAL_GAP_HIGHEST 60000000000ull /* Histogram::HIGHEST */

#define ARRIVAL_TICKS 1 /* ticks are stamped, by the planned time in them */
#define ARRIVAL_TRAIL 2 /* any frame, by what the sender says of it */

/* Set before the program is loaded. */
struct arrival_constants {
  __be16 port; /* of ticks */
  __u8 on;     /* 0, or one of those above */
};

/* Ticks come from one sender, and so on one core at a time. */
struct arrival_state {
  __u64 from;     /* ticks with an earlier timestamp are none of those measured */
  __u64 count;    /* ticks */
  __u64 error_ns; /* of the last one */
  __u64 first_ns; /* when the first one came, CLOCK_MONOTONIC, and the last one */
  __u64 last_ns;
  __u64 gap_min; /* errors of gaps; to be set to the highest value before the first */
  __u64 gap_max;
  __u64 gap_sum;
  __u32 at; /* where the next of the last errors goes */
  __u32 pad;
  __u64 trail_next; /* the entry that is expected next */
};

#endif
