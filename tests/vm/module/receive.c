// SPDX-License-Identifier: GPL-2.0 OR MIT
/* Receiving: queues that NAPI empties, through an XDP program where there is one. */
#include <linux/bpf_trace.h>
#include <linux/etherdevice.h>
#include <linux/filter.h>
#include <linux/ptp_classify.h>

#include "nic.h"

#define SPIN_NS 2000 /* a wait that is not worth a timer */

/* What the metadata functions of an XDP program find a frame by. */
struct nic_xdp_buff {
  struct xdp_buff xdp; /* first: the context that they are given */
  const struct nic_frame* frame;
};

static bool is_ptp(const u8* bytes, u32 length) {
  return length > ETH_HLEN && ((const struct ethhdr*)bytes)->h_proto == htons(ETH_P_1588);
}

static void stamp_arrival(struct nic* nic, struct nic_frame* frame, const u8* bytes, u64 raw) {
  frame->stamp = 0;
  if (nic->stamp_config.rx_filter == HWTSTAMP_FILTER_NONE || nic->faults.never_stamps) return;
  if (nic->stamp_config.rx_filter != HWTSTAMP_FILTER_ALL && !is_ptp(bytes, frame->length)) return;
  if (nic_each_nth(&nic->rx_seen, nic->faults.rx_stamp_missing_every)) {
    nic->rx_stamps_lost++;
    return;
  }
  frame->stamp = nic_stamp(nic, raw);
  nic->rx_stamps++;
}

/* A frame reaches the device at `raw`. False, and the page stays the caller's, where there is no room. */
bool nic_arrive(struct nic* nic, struct page* page, u32 length, u64 raw) {
  const u8* bytes = page_address(page) + XDP_PACKET_HEADROOM;
  struct nic_frame frame = {.page = page, .length = length, .due_raw = raw + nic->rx_usecs * 1000ULL};
  struct nic_rx_queue* queue = &nic->rx[nic_rss_queue(nic, bytes, &frame)];
  bool has_room, was_empty;

  spin_lock_bh(&queue->lock);
  has_room = queue->is_open && queue->head - queue->tail < NIC_RING_SLOTS;
  was_empty = queue->head == queue->tail;
  if (has_room) {
    stamp_arrival(nic, &frame, bytes, raw);
    queue->slots[queue->head++ % NIC_RING_SLOTS] = frame;
  } else if (queue->is_open) {
    queue->full++;
  }
  if (has_room && was_empty) {
    s64 wait_ns = frame.due_raw - ktime_get_raw_ns();

    if (wait_ns <= SPIN_NS)
      napi_schedule(&queue->napi);
    else
      hrtimer_start(&queue->timer, ns_to_ktime(wait_ns), HRTIMER_MODE_REL_SOFT);
  }
  spin_unlock_bh(&queue->lock);
  return has_room;
}

static enum hrtimer_restart is_due(struct hrtimer* timer) {
  napi_schedule(&container_of(timer, struct nic_rx_queue, timer)->napi);
  return HRTIMER_NORESTART;
}

/* The oldest frame, once it has arrived. */
static bool take(struct nic_rx_queue* queue, struct nic_frame* frame) {
  bool has;

  spin_lock(&queue->lock);
  has = queue->head != queue->tail;
  if (has) *frame = queue->slots[queue->tail % NIC_RING_SLOTS];
  if (has && (s64)(frame->due_raw - ktime_get_raw_ns()) > SPIN_NS) has = false;
  if (has) queue->tail++;
  spin_unlock(&queue->lock);
  while (has && (s64)(frame->due_raw - ktime_get_raw_ns()) > 0) cpu_relax();
  return has;
}

/* After NAPI's turn: for what is on its way, or came meanwhile. */
static void wait_for_more(struct nic_rx_queue* queue) {
  spin_lock(&queue->lock);
  if (queue->is_open && queue->head != queue->tail) {
    s64 wait_ns = queue->slots[queue->tail % NIC_RING_SLOTS].due_raw - ktime_get_raw_ns();

    if (wait_ns <= SPIN_NS)
      napi_schedule(&queue->napi);
    else
      hrtimer_start(&queue->timer, ns_to_ktime(wait_ns), HRTIMER_MODE_REL_SOFT);
  }
  spin_unlock(&queue->lock);
}

static void pass_up(struct nic_rx_queue* queue, const struct nic_frame* frame, const struct xdp_buff* xdp) {
  struct sk_buff* skb = napi_build_skb(xdp->data_hard_start, PAGE_SIZE);

  if (!skb) {
    queue->no_memory++;
    put_page(frame->page);
    return;
  }
  skb_reserve(skb, xdp->data - xdp->data_hard_start);
  __skb_put(skb, xdp->data_end - xdp->data);
  if (xdp->data > xdp->data_meta) skb_metadata_set(skb, xdp->data - xdp->data_meta);
  skb_hwtstamps(skb)->hwtstamp = frame->stamp;
  skb_record_rx_queue(skb, queue - queue->nic->rx);
  if (frame->hash_type != XDP_RSS_TYPE_NONE)
    skb_set_hash(skb, frame->hash, frame->hash_type & XDP_RSS_L4 ? PKT_HASH_TYPE_L4 : PKT_HASH_TYPE_L3);
  skb->protocol = eth_type_trans(skb, queue->nic->dev);
  napi_gro_receive(&queue->napi, skb);
}

/* True: the program redirected it, and what it went to has to be flushed. */
static bool run_program(struct nic_rx_queue* queue, struct bpf_prog* prog, struct nic_xdp_buff* buff) {
  struct net_device* dev = queue->nic->dev;
  struct xdp_buff* xdp = &buff->xdp;
  u32 action = bpf_prog_run_xdp(prog, xdp);

  switch (action) {
    case XDP_PASS:
      pass_up(queue, buff->frame, xdp);
      return false;
    case XDP_TX:
      queue->xdp_tx++;
      if (!nic_send_bytes(queue->nic, xdp->data, xdp->data_end - xdp->data))
        trace_xdp_exception(dev, prog, action);
      break;
    case XDP_REDIRECT:
      if (xdp_do_redirect(dev, xdp, prog) == 0) {
        queue->xdp_redirect++;
        return true;
      }
      queue->xdp_aborted++;
      break;
    case XDP_DROP:
      queue->xdp_drop++;
      break;
    default:
      bpf_warn_invalid_xdp_action(dev, prog, action);
      fallthrough;
    case XDP_ABORTED:
      trace_xdp_exception(dev, prog, action);
      queue->xdp_aborted++;
  }
  put_page(buff->frame->page);
  return false;
}

static int poll(struct napi_struct* napi, int budget) {
  struct nic_rx_queue* queue = container_of(napi, struct nic_rx_queue, napi);
  struct bpf_prog* prog;
  struct nic_frame frame;
  bool has_redirected = false;
  int done = 0;

  rcu_read_lock();
  prog = rcu_dereference(queue->nic->prog);
  while (done < budget && take(queue, &frame)) {
    struct nic_xdp_buff buff = {.frame = &frame};

    done++;
    queue->packets++;
    queue->bytes += frame.length;
    xdp_init_buff(&buff.xdp, PAGE_SIZE, &queue->xdp_rxq);
    xdp_prepare_buff(&buff.xdp, page_address(frame.page), XDP_PACKET_HEADROOM, frame.length, true);
    if (prog)
      has_redirected |= run_program(queue, prog, &buff);
    else
      pass_up(queue, &frame, &buff.xdp);
  }
  rcu_read_unlock();
  if (has_redirected) xdp_do_flush();
  if (done < budget && napi_complete_done(napi, done)) wait_for_more(queue);
  return done;
}

#ifdef HAS_XDP_METADATA
static int metadata_timestamp(const struct xdp_md* context, u64* stamp) {
  const struct nic_xdp_buff* buff = (const void*)context;

  if (!buff->frame->stamp) return -ENODATA;
  *stamp = ktime_to_ns(buff->frame->stamp);
  return 0;
}

static int metadata_hash(const struct xdp_md* context, u32* hash, enum xdp_rss_hash_type* type) {
  const struct nic_xdp_buff* buff = (const void*)context;

  if (buff->frame->hash_type == XDP_RSS_TYPE_NONE) return -ENODATA;
  *hash = buff->frame->hash;
  *type = buff->frame->hash_type;
  return 0;
}

const struct xdp_metadata_ops nic_xdp_metadata_ops = {
    .xmo_rx_timestamp = metadata_timestamp,
    .xmo_rx_hash = metadata_hash,
};
#endif

static void detached(struct nic* nic) {
  if (!nic->faults.attach_down_ms || !netif_running(nic->dev)) return;
  nic->is_unplugged = true;
  nic_update_carrier(nic);
  mod_delayed_work(system_wq, &nic->link_up, msecs_to_jiffies(nic->faults.attach_down_ms));
}

int nic_bpf(struct net_device* dev, struct netdev_bpf* bpf) {
  struct nic* nic = netdev_priv(dev);
  struct bpf_prog* old;

  if (bpf->command != XDP_SETUP_PROG) return -EINVAL;
  old = rtnl_dereference(nic->prog);
  rcu_assign_pointer(nic->prog, bpf->prog);
  if (old) bpf_prog_put(old);
  detached(nic);
  return 0;
}

static void empty(struct nic_rx_queue* queue) {
  while (queue->tail != queue->head) put_page(queue->slots[queue->tail++ % NIC_RING_SLOTS].page);
}

int nic_rx_open(struct nic* nic) {
  u16 i;

  for (i = 0; i < NIC_QUEUES_MAX; i++) {
    struct nic_rx_queue* queue = &nic->rx[i];
    int error = xdp_rxq_info_reg(&queue->xdp_rxq, nic->dev, i, queue->napi.napi_id);

    if (!error) error = xdp_rxq_info_reg_mem_model(&queue->xdp_rxq, MEM_TYPE_PAGE_ORDER0, NULL);
    if (error) {
      nic_rx_stop(nic);
      return error;
    }
    napi_enable(&queue->napi);
    spin_lock_bh(&queue->lock);
    queue->is_open = true;
    spin_unlock_bh(&queue->lock);
  }
  return 0;
}

/* Also of those that were opened when another one could not be. */
void nic_rx_stop(struct nic* nic) {
  u16 i;

  for (i = 0; i < NIC_QUEUES_MAX; i++) {
    struct nic_rx_queue* queue = &nic->rx[i];
    bool was_open;

    spin_lock_bh(&queue->lock);
    was_open = queue->is_open;
    queue->is_open = false;
    spin_unlock_bh(&queue->lock);
    hrtimer_cancel(&queue->timer);
    if (was_open) napi_disable(&queue->napi);
    empty(queue);
    if (xdp_rxq_info_is_reg(&queue->xdp_rxq)) xdp_rxq_info_unreg(&queue->xdp_rxq);
  }
}

int nic_rx_init(struct nic* nic) {
  u16 i;

  for (i = 0; i < NIC_QUEUES_MAX; i++) {
    struct nic_rx_queue* queue = &nic->rx[i];

    queue->nic = nic;
    spin_lock_init(&queue->lock);
    nic_timer_setup(&queue->timer, is_due);
    netif_napi_add(nic->dev, &queue->napi, poll);
    queue->slots = kvcalloc(NIC_RING_SLOTS, sizeof(*queue->slots), GFP_KERNEL);
    if (!queue->slots) return -ENOMEM;
  }
  return 0;
}

void nic_rx_free(struct nic* nic) {
  u16 i;

  for (i = 0; i < NIC_QUEUES_MAX; i++) {
    if (nic->rx[i].nic) netif_napi_del(&nic->rx[i].napi);
    kvfree(nic->rx[i].slots);
  }
}
