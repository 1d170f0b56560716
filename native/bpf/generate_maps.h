// SPDX-License-Identifier: GPL-2.0 OR MIT
/* What the programs of the generator in the kernel work on: the ledger's memory, and what they tell user
 * space. */
#ifndef CAROM_BPF_GENERATE_MAPS_H
#define CAROM_BPF_GENERATE_MAPS_H

#include <stddef.h>

#include "../wire.gen.h"
#include "generate.h"
#include "packet.h"

enum {
  HAND_UP = -1,
  TICK_WORDS = MARKET_DATA_SIZE / 8,
  ORDER_UDP_LENGTH = 8 + TRADING_ORDER_SIZE,
  ORDER_WORDS = TRADING_ORDER_SIZE / 8,
  TRAILER_WORDS = 460,  // a page is no longer
  SKIPS = 32,           // late ticks that are left out in one turn
  SPINS = 64,           // readings of the clock in one turn while a tick is awaited, some 2 us
  STEPS = 32,           // of a search: more than there are entries in powers of two
};

const volatile struct generate_constants constants = {};

struct generate_shared shared;

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, 64);
  __type(key, __u32);
  __type(value, __u32);
} sockets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);  // set before the programs are loaded
  __type(key, __u32);
  __type(value, struct ledger_entry);
} entries SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);  // the same
  __type(key, __u32);
  __type(value, struct ledger_due);
} dues SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);  // flows; set before the programs are loaded
  __type(key, __u32);
  __type(value, struct generate_headers);
} headers SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, GENERATE_HISTOGRAMS* GENERATE_HISTOGRAM_SIZE);
  __type(key, __u32);
  __type(value, __u64);
} histograms SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct generate_own);
} owns SEC(".maps");

// As Histogram::record in core/histogram.h.
static __always_inline void record(enum generate_histogram which, __u64 value) {
  __u64 counted = value < 60000000000ull ? value : 60000000000ull;
  __u32 bucket = 0;
  for (__u64 rest = counted >> 11; rest != 0 && bucket < 26; rest >>= 1) bucket++;
  __u32 index = ((bucket + 1) << 10) + (__u32)(counted >> bucket) - 1024 + which * GENERATE_HISTOGRAM_SIZE;
  __u64* slot = bpf_map_lookup_elem(&histograms, &index);
  if (slot) (*slot)++;
  struct generate_moments* moments = &shared.moments[which];
  moments->sum += value;
  if (~value > moments->min) moments->min = ~value;
  if (value > moments->max) moments->max = value;
}

#endif
