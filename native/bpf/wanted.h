// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The user's filter in front of a program that takes frames for a port: it is made at run time
 * (io/xdp_filter.h) and stands between two programs, which hand the frame on by tail calls. What it does not
 * want ends here. */
#ifndef CAROM_BPF_WANTED_H
#define CAROM_BPF_WANTED_H

#include <bpf/bpf_helpers.h>

#include "stages.h"

/* Set before the program is loaded. */
const volatile __u8 filtering SEC(".rodata.filter") = 0;

struct {
  __uint(type, BPF_MAP_TYPE_PROG_ARRAY);
  __uint(max_entries, STAGES);
  __type(key, __u32);
  __type(value, __u32);
} stages SEC(".maps");

/* Frames for the port that the filter did not want. */
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, __u64);
} filtered SEC(".maps");

/* Goes on in STAGE_WANTED or STAGE_UNWANTED. */
static __always_inline int ask_filter(struct xdp_md* context) {
  bpf_tail_call(context, &stages, STAGE_FILTER);
  return XDP_ABORTED; /* the programs are there before the first frame */
}

SEC("xdp")
int unwanted(struct xdp_md* context) {
  __u32 zero = 0;
  __u64* count = bpf_map_lookup_elem(&filtered, &zero);
  if (count) (*count)++;
  return XDP_DROP;
}

#endif
