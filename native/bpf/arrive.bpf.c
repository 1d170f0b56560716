// SPDX-License-Identifier: GPL-2.0 OR MIT
// Stamps arriving ticks and lets everything pass: for a receiving end without an XDP program of its own.
#include <linux/bpf.h>

#include "arrival.h"

SEC("xdp")
int arrive(struct xdp_md* context) {
  stamp_arrival(context);
  return XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
