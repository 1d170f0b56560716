// SPDX-License-Identifier: GPL-2.0 OR MIT
/* What the eBPF generator and the program that controls it share. Plain C. Times are ns of CLOCK_MONOTONIC.
 */
#ifndef CAROM_BPF_GENERATE_H
#define CAROM_BPF_GENERATE_H

#include "../generate/ledger_entry.h"
#include "link_rules.h"

#define GENERATE_HISTOGRAM_SIZE 27648   /* counts; the buckets of core/histogram.h */
#define GENERATE_STALLS 8192            /* of the log, a power of two; user space empties it */
#define GENERATE_PAUSE_NS 1000000000ull /* as PauseWatch::PAUSE_NS */
#define GENERATE_WORK_NS 3000           /* a frame, as TurnWatch::WORK_NS */
#define GENERATE_HEADER_SPACE 72        /* bytes; the longest headers have 66 */

enum generate_histogram {
  GENERATE_LATENCY_PLANNED,
  GENERATE_LATENCY_ACTUAL,
  GENERATE_WARMUP,
  GENERATE_HISTOGRAMS,
};

/* LatePolicy in generate/pacing.h. */
enum generate_late { GENERATE_CATCH_UP, GENERATE_SKIP, GENERATE_SLIP };

/* Set before the programs are loaded. */
struct generate_constants {
  __u64 stall_ns; /* a turn longer than this is a stall */
  __u64 timeout_ns;
  __u64 quiet_ns; /* closed loop: the pause after a tick that must not be answered */
  __u64 count;    /* measured ticks to send */
  __u64 late_ns;  /* a tick that is later than this is skipped, or the schedule slips */
  __u32 interface;
  __u32 network_namespace; /* inode */
  __u32 mask;              /* entries - 1 */
  __u32 header_length;     /* 42, 46, 62 or 66 */
  __u32 closed;
  __u32 flat_out; /* a closed loop that waits for nothing */
  __u32 late;     /* enum generate_late */
  __u32 window;
  __u32 receives;
  __u32 batch;      /* frames between two flushes to the driver */
  __u32 padded;     /* 1: frames may be longer than what is in them */
  __u32 longest;    /* frame, in bytes */
  __u32 frames;     /* 1: whole frames are sent, from a ring, and user space judges */
  __u32 frame_mask; /* of them: the ring's size - 1 */
};

/* Headers of a flow, complete but for the UDP checksum. */
struct generate_headers {
  __u64 words[GENERATE_HEADER_SPACE / 8];
  __u64 sum; /* of the pseudo header and the UDP header */
};

/* A frame that is sent as it is: a place of a ring. The first four are set, or brought up to date, when it is
 * sent. */
struct generate_frame {
  __u64 planned_ns;
  __u64 sent_ns;    /* 0: it was left out, as the run is over */
  __u64 starved_ns; /* times two, and one more if the schedule slipped */
  __u32 measured;
  __u32 ticks; /* that are counted with it */
  __u64 ticks_before;
  __u64 moved_ns; /* by how much the schedule had moved when it was planned */
  __u32 size;     /* in bytes */
  __u32 pad;
  __u8 bytes[];
};

#define GENERATE_FRAME_STRIDE(longest) ((sizeof(struct generate_frame) + (longest) + 63) / 64 * 64)

struct generate_interval {
  __u64 start_ns;
  __u64 end_ns;
};

/* Of a histogram, what its counts don't say exactly. */
struct generate_moments {
  __u64 sum;
  __u64 min; /* ones' complement, so that zero means none yet */
  __u64 max;
};

/* Each part has one writer. */
struct generate_shared {
  struct link_rules link; /* whose orders are taken; set before the programs are attached */
  struct {
    __u64 ready;   /* entries before this are complete */
    __u64 settled; /* ticks whose place in the window became free otherwise than by the judge */
    __u64 warmup_end_ns;
    __u64 end_ns; /* nothing planned at or after it is sent */
    __u64 epoch_offset_ns;
    __u64 running;  /* 0: nothing is sent */
    __u64 lacks_ns; /* whole frames: when the first that is not ready is due */
  } plan __attribute__((aligned(64)));
  struct {
    __u64 next;       /* entries before this were sent */
    __u64 due;        /* of them, those to be answered */
    __u64 measured;   /* of them, those after the warm-up */
    __u64 quiet;      /* of these, those not to be answered */
    __u64 alive;      /* 1: the program runs */
    __u64 at;         /* place in the batch; one before it at the start */
    __u64 pending;    /* frames since the last flush */
    __u64 first_ns;   /* when the first measured tick was sent */
    __u64 sent_ns;    /* when the last tick was */
    __u64 doorbells;  /* flushes with measured frames */
    __u64 passed;     /* entries that were skipped */
    __u64 skipped;    /* of them, measured ticks */
    __u64 slips;      /* of the schedule, by measured ticks */
    __u64 slipped_ns; /* by them */
    __u64 slid_ns;    /* by all: the schedule is that much later */
    __u64 pauses;
    __u64 paused_ns;  /* the schedule, and all its ends, are that much later, too */
    __u64 moved_ns;   /* of it, since the warm-up */
    __u64 allowed_ns; /* closed loop: when the next may go */
    __u64 last_timestamp;
    __u64 last_ns;
    __u64 starved_ns; /* time in which no tick was ready */
    __u64 full;       /* closed loop: the last tick filled the window */
    __u64 over;       /* 1: the next tick's time is after the end */
    __u64 stalls;
    __u64 failed;        /* frames that could not be made */
    __u64 measured_from; /* whole frames: ticks before the first measured ones */
    struct generate_interval log[GENERATE_STALLS];
  } sender __attribute__((aligned(64)));
  struct {
    __u64 next;        /* the entry whose answer probably comes next */
    __u64 received;    /* datagrams for the order port */
    __u64 answered_ns; /* when the last one was */
    __u64 answered;    /* settled here, warm-up included */
    __u64 warmup_answered;
    __u64 reordered;
    __u64 newest; /* timestamp of the newest tick that was answered here */
    __u64 queue;  /* plus 1: whose orders are settled here, as there is one writer; 0: the first one's */
    __u64 handed; /* datagrams for the order port by other queues, which are all handed up */
  } judge __attribute__((aligned(64)));
  struct generate_moments moments[GENERATE_HISTOGRAMS] __attribute__((aligned(64)));
  __u64 refused __attribute__((aligned(64))); /* frames that the driver did not take */
  __s64 redirect_error;                       /* the last one's, of those that were not even handed to it */
};

/* What each CPU keeps for itself, as in redirect.bpf.c. */
struct generate_own {
  __u64 passed_on;
  __u64 unserved;
};

#endif
