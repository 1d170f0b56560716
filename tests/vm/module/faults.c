// SPDX-License-Identifier: GPL-2.0 OR MIT
/* What a device can be told to do wrong, in debugfs (carom_nic/DEVICE/), and the making of stamps, which is
 * where most of it takes place. */
#include <linux/debugfs.h>
#include <linux/etherdevice.h>

#include "nic.h"

#define SWAP_WAIT_NS 20000000 /* a stamp that waits for another one to change places with is told by then */

/* What a stamp that is told later is kept with, in the frame's control block. */
struct nic_late_stamp {
  ktime_t stamp;
  u64 told_raw;
};

bool nic_each_nth(u64* seen, u32 every) { return every != 0 && ++*seen % every == 0; }

/* The device's stamp for a time. */
ktime_t nic_stamp(struct nic* nic, u64 raw) {
  u64 phc = nic_clock_at(nic->clock, raw);

  if (nic_each_nth(&nic->stamps_seen, nic->faults.stamp_wrap_every)) phc -= 1ULL << 32;
  return ns_to_ktime(phc);
}

static struct nic_late_stamp* late_stamp(struct sk_buff* skb) { return (struct nic_late_stamp*)skb->cb; }

static void tell(struct nic* nic, struct sk_buff* skb, ktime_t stamp) {
  struct skb_shared_hwtstamps stamps = {.hwtstamp = stamp};

  nic->tx_stamps++;
  skb_tstamp_tx(skb, &stamps);
}

static void tell_late(struct nic* nic, struct sk_buff* skb) {
  tell(nic, skb, late_stamp(skb)->stamp);
  dev_consume_skb_any(skb);
}

static enum hrtimer_restart late_is_due(struct hrtimer* timer) {
  struct nic* nic = container_of(timer, struct nic, late_timer);
  struct sk_buff* skb;
  s64 wait_ns = 0;

  for (;;) {
    unsigned long flags;

    spin_lock_irqsave(&nic->late_stamps.lock, flags);
    skb = skb_peek(&nic->late_stamps);
    if (skb) wait_ns = late_stamp(skb)->told_raw - ktime_get_raw_ns();
    if (skb && wait_ns <= 0) __skb_unlink(skb, &nic->late_stamps);
    spin_unlock_irqrestore(&nic->late_stamps.lock, flags);
    if (!skb) return HRTIMER_NORESTART;
    if (wait_ns > 0) break;
    tell_late(nic, skb);
  }
  hrtimer_set_expires(timer, ktime_add_ns(ktime_get(), wait_ns));
  return HRTIMER_RESTART;
}

static void tell_after(struct nic* nic, struct sk_buff* skb, ktime_t stamp, u64 wait_ns) {
  skb = skb_clone_sk(skb);
  if (!skb) return;
  *late_stamp(skb) = (struct nic_late_stamp){.stamp = stamp, .told_raw = ktime_get_raw_ns() + wait_ns};
  skb_queue_tail(&nic->late_stamps, skb);
  if (!hrtimer_active(&nic->late_timer))
    hrtimer_start(&nic->late_timer, ns_to_ktime(wait_ns), HRTIMER_MODE_REL_SOFT);
}

/* Tells the sender when a frame left, as the faults have it. */
void nic_tell_tx_stamp(struct nic* nic, struct sk_buff* skb, ktime_t stamp) {
  if (nic->faults.never_stamps || nic_each_nth(&nic->tx_seen, nic->faults.tx_stamp_missing_every)) {
    nic->tx_stamps_lost++;
  } else if (nic->faults.tx_stamp_late_ns) {
    tell_after(nic, skb, stamp, nic->faults.tx_stamp_late_ns);
  } else if (nic->faults.tx_stamp_swap) {
    struct sk_buff* first = skb_dequeue(&nic->late_stamps);

    if (first) {
      tell(nic, skb, stamp);
      tell_late(nic, first);
    } else {
      tell_after(nic, skb, stamp, SWAP_WAIT_NS);
    }
  } else {
    tell(nic, skb, stamp);
  }
}

/* Steps the device's clock by so many ns. */
static int step_set(void* data, u64 by_ns) {
  nic_clock_step(((struct nic*)data)->clock, (s64)by_ns);
  return 0;
}

/* Pulls the cable (1), or plugs it in. */
static int unplugged_set(void* data, u64 value) {
  struct nic* nic = data;

  nic->is_unplugged = value != 0;
  nic_update_carrier(nic);
  return 0;
}

static int unplugged_get(void* data, u64* value) {
  *value = ((struct nic*)data)->is_unplugged;
  return 0;
}

DEFINE_DEBUGFS_ATTRIBUTE_SIGNED(step_file, NULL, step_set, "%lld\n");
DEFINE_DEBUGFS_ATTRIBUTE(unplugged_file, unplugged_get, unplugged_set, "%llu\n");

void nic_faults_init(struct nic* nic, struct dentry* parent) {
  struct nic_faults* faults = &nic->faults;

  skb_queue_head_init(&nic->late_stamps);
  nic_timer_setup(&nic->late_timer, late_is_due);
  nic->debugfs = debugfs_create_dir(nic->dev->name, parent);
  debugfs_create_u32("tx_stamp_missing_every", 0600, nic->debugfs, &faults->tx_stamp_missing_every);
  debugfs_create_u32("rx_stamp_missing_every", 0600, nic->debugfs, &faults->rx_stamp_missing_every);
  debugfs_create_u32("tx_stamp_late_ns", 0600, nic->debugfs, &faults->tx_stamp_late_ns);
  debugfs_create_u32("tx_stamp_swap", 0600, nic->debugfs, &faults->tx_stamp_swap);
  debugfs_create_u32("stamp_wrap_every", 0600, nic->debugfs, &faults->stamp_wrap_every);
  debugfs_create_u32("never_stamps", 0600, nic->debugfs, &faults->never_stamps);
  debugfs_create_u32("refuses_all", 0600, nic->debugfs, &faults->refuses_all);
  debugfs_create_u32("tx_busy_every", 0600, nic->debugfs, &faults->tx_busy_every);
  debugfs_create_u32("attach_down_ms", 0600, nic->debugfs, &faults->attach_down_ms);
  debugfs_create_u32("no_cross_stamp", 0600, nic->debugfs, &nic->clock->no_cross_stamp);
  debugfs_create_file_unsafe("clock_step_ns", 0200, nic->debugfs, nic, &step_file);
  debugfs_create_file_unsafe("unplugged", 0600, nic->debugfs, nic, &unplugged_file);
}

void nic_faults_stop(struct nic* nic) {
  hrtimer_cancel(&nic->late_timer);
  skb_queue_purge(&nic->late_stamps);
}
