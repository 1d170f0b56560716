// SPDX-License-Identifier: GPL-2.0 OR MIT
// Notes when each core handled interrupts. The programs run on the tracepoints of the interrupt vectors, some
// hundred times a second. The softirqs are left out on purpose: on a veth pair their tracepoints are on the
// way of each packet, twice, and would make each round trip slower.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "../core/interruption_log.h"

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);  // as many as the machine may have cores; set before it is loaded
  __uint(map_flags, BPF_F_MMAPABLE);
  __type(key, __u32);
  __type(value, struct interruption_log);
} cores SEC(".maps");

static __always_inline struct interruption_log* own_log(void) {
  __u32 core = bpf_get_smp_processor_id();
  return bpf_map_lookup_elem(&cores, &core);
}

static __always_inline void begin(__u64 is_device) {
  struct interruption_log* log = own_log();
  if (!log) return;
  struct interruption* entry = &log->entries[log->count & (INTERRUPTION_LOG_SIZE - 1)];
  entry->start_ns = entry->end_ns = bpf_ktime_get_ns();
  entry->is_device = is_device;
  log->count++;  // the interrupted thread, on the same core, sees all of it or nothing
}

SEC("raw_tp")
int vector_entry(void* context) {
  begin(0);
  return 0;
}

SEC("raw_tp")
int device_entry(void* context) {
  begin(1);
  return 0;
}

SEC("raw_tp")
int handled(void* context) {
  struct interruption_log* log = own_log();
  if (log) log->entries[(log->count - 1) & (INTERRUPTION_LOG_SIZE - 1)].end_ns = bpf_ktime_get_ns();
  return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
