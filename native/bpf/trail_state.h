// SPDX-License-Identifier: GPL-2.0 OR MIT
/* What goes out and what comes in, tied together by what is in it: shared by who sends and the eBPF program
 * at the receiving end. Plain C. */
#ifndef CAROM_BPF_TRAIL_STATE_H
#define CAROM_BPF_TRAIL_STATE_H

#include <linux/types.h>

#define TRAIL_ENTRIES 65536
#define TRAIL_WORDS 16 /* of 8 bytes: as much of a frame as its key is made of */

struct trail_entry {
  __u64 key;
  __u64 planned_ns;
};

/* `head` entries were ever written; the last TRAIL_ENTRIES of them are there. */
struct arrival_trail {
  __u64 head;
  __u64 pad;
  struct trail_entry entries[TRAIL_ENTRIES];
};

/* Of the frame's length and its first bytes, by whole words; what differs only behind them has one key. */
static inline __attribute__((always_inline)) __u64 trail_key(const void* data, const void* end) {
  __u64 key = (__u64)((const char*)end - (const char*)data) * 0x9e3779b97f4a7c15ull;
  const __u64* word = (const __u64*)data;
  for (int i = 0; i < TRAIL_WORDS; i++) {
    if ((const void*)(word + 1) > end) break;
    __u64 value;
    __builtin_memcpy(&value, word, 8);
    key = (key ^ value) * 0xff51afd7ed558ccdull;
    key ^= key >> 32;
    word++;
  }
  return key;
}

#endif
