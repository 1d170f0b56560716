// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Sending: to the other device, at once or at a launch time, with a stamp of when the frame left. */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <net/pkt_sched.h>

#include "nic.h"

/* The wire: the frame arrives after the wire's time, where the far end is up and has room. */
static bool put_on_wire(struct nic* nic, struct page* page, u32 length, u64 raw) {
  struct nic* peer;
  bool has_arrived;

  rcu_read_lock();
  peer = rcu_dereference(nic->peer);
  has_arrived = peer && netif_carrier_ok(nic->dev) && nic_arrive(peer, page, length, raw + nic->wire_ns);
  rcu_read_unlock();
  if (!has_arrived) put_page(page);
  return has_arrived;
}

static struct page* wire_page(u32 length) {
  if (length > PAGE_SIZE - XDP_PACKET_HEADROOM - SKB_DATA_ALIGN(sizeof(struct skb_shared_info))) return NULL;
  return alloc_page(GFP_ATOMIC);
}

bool nic_send_bytes(struct nic* nic, const void* bytes, u32 length) {
  struct page* page = wire_page(length);

  if (!page) return false;
  memcpy(page_address(page) + XDP_PACKET_HEADROOM, bytes, length);
  return put_on_wire(nic, page, length, ktime_get_raw_ns());
}

/* The frame leaves at `raw`. */
static void depart(struct nic* nic, struct nic_tx_queue* queue, struct sk_buff* skb, u64 raw) {
  struct page* page = wire_page(skb->len);
  bool wants_stamp =
      (skb_shinfo(skb)->tx_flags & SKBTX_HW_TSTAMP) && nic->stamp_config.tx_type == HWTSTAMP_TX_ON;
  u32 length = skb->len;

  if (wants_stamp) skb_shinfo(skb)->tx_flags |= SKBTX_IN_PROGRESS;
  skb_tx_timestamp(skb);
  if (page) skb_copy_bits(skb, 0, page_address(page) + XDP_PACKET_HEADROOM, length);
  if (page && put_on_wire(nic, page, length, raw)) {
    queue->packets++;
    queue->bytes += length;
  } else {
    queue->lost++;
  }
  if (wants_stamp) nic_tell_tx_stamp(nic, skb, nic_stamp(nic, raw));
  dev_consume_skb_any(skb);
}

/* The launch time of a held frame, as CLOCK_MONOTONIC_RAW: in the control block, which is the driver's. */
static u64* launch_raw(struct sk_buff* skb) { return (u64*)skb->cb; }

/* Lets go of what is due, in order: as a NIC's queue does, a frame waits for those in front of it. */
static enum hrtimer_restart launch(struct hrtimer* timer) {
  struct nic_tx_queue* queue = container_of(timer, struct nic_tx_queue, timer);
  struct netdev_queue* stack = netdev_get_tx_queue(queue->nic->dev, queue->index);
  struct sk_buff* skb;
  s64 wait_ns = 0;

  __netif_tx_lock(stack, smp_processor_id());
  while ((skb = skb_peek(&queue->held))) {
    wait_ns = *launch_raw(skb) - ktime_get_raw_ns();
    if (wait_ns > 0) break;
    __skb_unlink(skb, &queue->held);
    queue->launched++;
    /* The device's timer is exact, whenever this processor gets around to it. */
    depart(queue->nic, queue, skb, *launch_raw(skb));
  }
  if (skb_queue_len(&queue->held) < NIC_HELD_MAX && netif_tx_queue_stopped(stack)) netif_tx_wake_queue(stack);
  __netif_tx_unlock(stack);
  if (!skb) return HRTIMER_NORESTART;
  hrtimer_set_expires(timer, ktime_add_ns(ktime_get(), wait_ns));
  return HRTIMER_RESTART;
}

/* Called with the queue's lock. */
static void hold(struct nic_tx_queue* queue, struct sk_buff* skb, u64 now_raw) {
  u64 due_raw = now_raw;
  struct sk_buff* last = skb_peek_tail(&queue->held);

  if (skb->tstamp) {
    due_raw = nic_clock_raw(queue->nic->clock, ktime_to_ns(skb->tstamp));
    skb->tstamp = 0; /* or the stamp of when it left would be taken for the kernel's */
    if ((s64)(due_raw - now_raw) < 0) {
      queue->launched_late++;
      due_raw = now_raw;
    }
  }
  if (last && (s64)(due_raw - *launch_raw(last)) < 0) due_raw = *launch_raw(last);
  *launch_raw(skb) = due_raw;
  __skb_queue_tail(&queue->held, skb);
  if (!last) hrtimer_start(&queue->timer, ns_to_ktime(due_raw - now_raw), HRTIMER_MODE_REL_SOFT);
  if (skb_queue_len(&queue->held) >= NIC_HELD_MAX)
    netif_tx_stop_queue(netdev_get_tx_queue(queue->nic->dev, queue->index));
}

netdev_tx_t nic_start_xmit(struct sk_buff* skb, struct net_device* dev) {
  struct nic* nic = netdev_priv(dev);
  struct nic_tx_queue* queue = &nic->tx[skb_get_queue_mapping(skb)];
  u64 now_raw = ktime_get_raw_ns();

  if (nic_each_nth(&queue->refusals_counted, nic->faults.tx_busy_every)) return NETDEV_TX_BUSY;
  if (skb_put_padto(skb, ETH_ZLEN)) return NETDEV_TX_OK;
  if (queue->launches)
    hold(queue, skb, now_raw);
  else
    depart(nic, queue, skb, now_raw);
  return NETDEV_TX_OK;
}

int nic_xdp_xmit(struct net_device* dev, int count, struct xdp_frame** frames, u32 flags) {
  struct nic* nic = netdev_priv(dev);
  struct nic_tx_queue* queue = &nic->tx[smp_processor_id() % nic->queues];
  struct netdev_queue* stack = netdev_get_tx_queue(dev, queue->index);
  int sent = 0;

  if (!netif_running(dev)) return -ENETDOWN;
  __netif_tx_lock(stack, smp_processor_id());
  while (sent < count && nic_send_bytes(nic, frames[sent]->data, frames[sent]->len)) {
    queue->packets++;
    queue->bytes += frames[sent]->len;
    xdp_return_frame_rx_napi(frames[sent++]);
  }
  __netif_tx_unlock(stack);
  return sent; /* the caller frees the rest */
}

/* The qdisc etf with "offload": a queue that launches. */
int nic_setup_tc(struct net_device* dev, enum tc_setup_type type, void* data) {
  struct nic* nic = netdev_priv(dev);
  struct tc_etf_qopt_offload* etf = data;
  struct netdev_queue* stack;

  if (type != TC_SETUP_QDISC_ETF) return -EOPNOTSUPP;
  if (etf->queue < 0 || etf->queue >= nic->queues) return -EINVAL;
  stack = netdev_get_tx_queue(dev, etf->queue);
  __netif_tx_lock_bh(stack);
  nic->tx[etf->queue].launches = etf->enable;
  __netif_tx_unlock_bh(stack);
  return 0;
}

void nic_tx_init(struct nic* nic) {
  u16 i;

  for (i = 0; i < NIC_QUEUES_MAX; i++) {
    nic->tx[i].nic = nic;
    nic->tx[i].index = i;
    __skb_queue_head_init(&nic->tx[i].held);
    nic_timer_setup(&nic->tx[i].timer, launch);
  }
}

void nic_tx_stop(struct nic* nic) {
  u16 i;

  for (i = 0; i < NIC_QUEUES_MAX; i++) {
    hrtimer_cancel(&nic->tx[i].timer);
    __skb_queue_purge(&nic->tx[i].held);
  }
}
