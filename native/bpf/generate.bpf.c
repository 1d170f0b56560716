// SPDX-License-Identifier: GPL-2.0 OR MIT
// The generator in the kernel. `send_ticks` is run over and over with live frames (BPF_PROG_TEST_RUN): it
// takes the next planned tick from the ledger's memory, makes the whole frame and sends it out. `send_frames`
// takes its place where more is asked for than one tick a frame, on one line: it sends frames that user space
// made. `judge` is in the interface's driver: an order that is right to the last bit, in time, and the one
// that had to come, is settled here; every other one goes up to user space, which judges it by the same rules
// as every backend. So no rule is here twice. What the driver did not take is counted by `count_refused`.
#include <linux/bpf.h>

#include "send_frame.h"
#include "send_tick.h"
#include "settle_order.h"
#include "unserved.h"

// Frames are counted up to the batch, as a division takes longer than all the rest. Returns whether one
// begins.
static __always_inline int count_turn(void) {
  __u64 at = shared.sender.at + 1 == constants.batch ? 0 : shared.sender.at + 1;
  shared.sender.at = at;
  return at == 0;
}

static __always_inline int is_running(void) {
  if (*(volatile __u64*)&shared.plan.running) return 1;
  shared.sender.last_ns = 0;
  shared.sender.alive = 1;
  return 0;
}

SEC("xdp")
int send_ticks(struct xdp_md* context) {
  int begins = count_turn();
  if (!is_running()) return XDP_DROP;
  __u64 now_ns = shared.sender.last_ns;
  // Nobody waits for what is sent without a schedule, and without answers: one reading of the clock does for
  // a batch.
  if (begins || now_ns == 0 || !constants.flat_out || constants.receives) {
    now_ns = bpf_ktime_get_ns();
    look_at_clock(now_ns, begins);
  }
  int verdict = send_next(context, &now_ns);
  shared.sender.last_ns = now_ns;
  return verdict;
}

SEC("xdp")
int send_frames(struct xdp_md* context) {
  int begins = count_turn();
  if (!is_running()) return XDP_DROP;
  __u64 now_ns = bpf_ktime_get_ns();
  look_at_clock(now_ns, begins);
  int verdict = send_next_frame(context, &now_ns);
  shared.sender.last_ns = now_ns;
  return verdict;
}

static __always_inline int is_judged(__u32 queue) {
  __u64 own = queue + 1;
  __u64 judged = shared.judge.queue;
  if (judged == 0) judged = __sync_val_compare_and_swap(&shared.judge.queue, 0, own);
  return judged == 0 || judged == own;
}

// Says by the kernel's error whether the driver takes redirected frames at all: the frame that is run through
// it is longer than the link carries, so that it goes nowhere in any case.
SEC("xdp")
int probe_redirect(struct xdp_md* context) { return bpf_redirect(constants.interface, 0); }

SEC("xdp")
int judge(struct xdp_md* context) {
  __u64 now_ns = bpf_ktime_get_ns();
  __u32 zero = 0;
  struct generate_own* own = bpf_map_lookup_elem(&owns, &zero);
  if (!own) return XDP_PASS;
  if (!constants.receives ||
      !is_for_port((void*)(long)context->data, (void*)(long)context->data_end, shared.link.local_port)) {
    own->passed_on++;
    return XDP_PASS;
  }
  int judged = is_judged(context->rx_queue_index);
  if (judged) {
    shared.judge.received++;
    int verdict = constants.frames ? HAND_UP : dispatch(context, now_ns);
    if (verdict != HAND_UP) return verdict;
  }
  // User space judges it by the time at which it came here: without that it gets none.
  int handed = XDP_PASS;
  if (bpf_xdp_adjust_meta(context, -(int)sizeof now_ns) == 0) {
    __u64* meta = (void*)(long)context->data_meta;
    if ((void*)(meta + 1) > (void*)(long)context->data) return XDP_ABORTED;
    *meta = now_ns;
    handed = bpf_redirect_map(&sockets, context->rx_queue_index, XDP_PASS);
    if (!judged && handed == XDP_REDIRECT) __sync_fetch_and_add(&shared.judge.handed, 1);
  }
  if (handed != XDP_REDIRECT) {
    own->unserved++;
    count_unserved(context->rx_queue_index);
  }
  return handed;
}

// What is refused is counted, at the two places at which a redirected frame can be.
// trace_xdp_devmap_xmit(from, to, sent, drops, error): a driver took a batch of redirected frames, or not
// all.
struct ns_common {
  unsigned int inum;
} __attribute__((preserve_access_index));

struct net {
  struct ns_common ns;
} __attribute__((preserve_access_index));

typedef struct {
  struct net* net;
} possible_net_t;

struct net_device {
  int ifindex;
  possible_net_t nd_net;
} __attribute__((preserve_access_index));

SEC("tp_btf/xdp_devmap_xmit")
int count_refused(__u64* arguments) {
  const struct net_device* to = (const struct net_device*)arguments[1];
  int drops = (int)arguments[3];
  if (drops <= 0 || to->ifindex != (int)constants.interface) return 0;
  if (to->nd_net.net->ns.inum == constants.network_namespace) __sync_fetch_and_add(&shared.refused, drops);
  return 0;
}

// trace_xdp_redirect_err(at, program, to, error, kind of map, map, index): the kernel did not even hand a
// frame to the driver, as it is longer than the interface's MTU allows, say. Without a map the index is the
// interface's.
SEC("tp_btf/xdp_redirect_err")
int count_not_redirected(__u64* arguments) {
  const struct net_device* at = (const struct net_device*)arguments[0];
  if ((__u32)arguments[4] != 0 || (__u32)arguments[6] != constants.interface) return 0;
  if (at->nd_net.net->ns.inum != constants.network_namespace) return 0;
  shared.redirect_error = (int)arguments[3];
  __sync_fetch_and_add(&shared.refused, 1);
  return 0;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
