/* A limit on answers a second for each source, so that nobody makes a responder flood a third party. The
 * generic cell rate algorithm (ITU-T I.371): one time for each source, no timer. Plain C, for user space and
 * eBPF alike.
 *
 * Sources lie in sets of four places. A source whose time has passed has nothing to be remembered for, and
 * its place is free; when all four are busy, a fifth source is not answered: the limit holds whoever sends
 * what. */
#ifndef CAROM_ANSWER_LIMIT_H
#define CAROM_ANSWER_LIMIT_H

#include <linux/types.h>

#define ANSWER_LIMIT_SETS 1024
#define ANSWER_LIMIT_WAYS 4

struct answer_limit {
  __u64 interval_ns;  /* between two answers; 0: no limit */
  __u64 tolerance_ns; /* how much earlier than that an answer may come */
};

struct answer_limit_set {
  struct {
    __u64 source[2];
    __u64 due_ns; /* when the next answer would be due at an even pace */
  } ways[ANSWER_LIMIT_WAYS];
};

/* An IPv4 address is a source of its own kind. */
struct answer_source {
  __u64 words[2];
};

static inline __u32 answer_limit_set_of(const struct answer_source* source) {
  __u64 mixed = (source->words[0] ^ (source->words[1] * 0x9e3779b97f4a7c15ull)) * 0xd6e8feb86659fd93ull;
  return (__u32)(mixed >> 32) & (ANSWER_LIMIT_SETS - 1);
}

/* Whether an answer may go to the source now; if so it is counted in. */
static inline int answer_allowed(struct answer_limit_set* set, const struct answer_source* source,
                                 const struct answer_limit* limit, __u64 now_ns) {
  int found = -1;
#pragma GCC unroll 4
  for (int i = ANSWER_LIMIT_WAYS - 1; i >= 0; i--) {
    if (set->ways[i].due_ns <= now_ns && found < 0) found = i;
  }
#pragma GCC unroll 4
  for (int i = 0; i < ANSWER_LIMIT_WAYS; i++) {
    if (set->ways[i].source[0] == source->words[0] && set->ways[i].source[1] == source->words[1]) found = i;
  }
  if (found < 0) return 0;
  int is_same = set->ways[found & 3].source[0] == source->words[0] &&
                set->ways[found & 3].source[1] == source->words[1];
  __u64 due_ns = is_same ? set->ways[found & 3].due_ns : 0;
  if (due_ns > now_ns + limit->tolerance_ns) return 0;
  set->ways[found & 3].source[0] = source->words[0];
  set->ways[found & 3].source[1] = source->words[1];
  set->ways[found & 3].due_ns = (due_ns > now_ns ? due_ns : now_ns) + limit->interval_ns;
  return 1;
}

#endif
