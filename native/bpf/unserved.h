/* SPDX-License-Identifier: GPL-2.0 OR MIT
 * Frames for carom that came by a queue of the interface that no thread serves: how many by which, so that it
 * can be told. They go on to the kernel, so what is counted here costs nobody who is served. */
#pragma once

#include "unserved_queues.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct unserved_queues);
} unserved SEC(".maps");

static __always_inline void count_unserved(__u32 queue) {
  __u32 zero = 0;
  struct unserved_queues* found = bpf_map_lookup_elem(&unserved, &zero);
  if (!found) return;
  /* What is beyond the last one is counted with it. */
  __sync_fetch_and_add(&found->frames[queue < UNSERVED_QUEUES ? queue : UNSERVED_QUEUES - 1], 1);
}
