// SPDX-License-Identifier: GPL-2.0 OR MIT
// Takes the UDP datagrams for one port to the AF_XDP socket of the queue they came in on; everything else
// (ARP, IGMP, ssh) goes on to the kernel. Where it is asked to, it leaves the time in front of the frame, and
// drops what the user's filter does not want.
#include <linux/bpf.h>

#include "arrival.h"
#include "match.h"
#include "unserved.h"
#include "wanted.h"

// Set before the program is loaded.
const volatile __be16 port = 0;  // network order
const volatile __u8 stamp = 0;   // 1: the time of arrival, CLOCK_TAI in ns, in the 8 bytes before the frame

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, 64);
  __type(key, __u32);
  __type(value, __u32);
} sockets SEC(".maps");

// How many frames went on to the kernel: those not for the port, and those for it on a queue without a
// socket.
struct counts {
  __u64 passed_on;
  __u64 unserved;
};

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct counts);
} owns SEC(".maps");

static __always_inline int hand_up(struct xdp_md* context, struct counts* own) {
  if (stamp) {
    __u64 now = bpf_ktime_get_tai_ns();
    if (bpf_xdp_adjust_meta(context, -(int)sizeof(now)) == 0) {
      __u64* meta = (void*)(long)context->data_meta;
      if ((void*)(meta + 1) <= (void*)(long)context->data) *meta = now;
    }
  }
  int handed = bpf_redirect_map(&sockets, context->rx_queue_index, XDP_PASS);
  if (handed != XDP_REDIRECT) {
    own->unserved++;
    count_unserved(context->rx_queue_index);
  }
  return handed;
}

SEC("xdp")
int redirect(struct xdp_md* context) {
  stamp_arrival(context);
  __u32 zero = 0;
  struct counts* own = bpf_map_lookup_elem(&owns, &zero);
  if (!own) return XDP_PASS;
  if (!is_for_port((void*)(long)context->data, (void*)(long)context->data_end, port)) {
    own->passed_on++;
    return XDP_PASS;
  }
  return filtering ? ask_filter(context) : hand_up(context, own);
}

SEC("xdp")
int wanted(struct xdp_md* context) {
  __u32 zero = 0;
  struct counts* own = bpf_map_lookup_elem(&owns, &zero);
  return own ? hand_up(context, own) : XDP_PASS;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
