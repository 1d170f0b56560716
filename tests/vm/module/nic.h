/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/*
 * The devices of carom_nic: network interfaces, two and two back to back, that do in software what a NIC with
 * a hardware clock does. All hardware times are CLOCK_MONOTONIC_RAW in ns ("raw"): a device's PTP clock is a
 * function of it, so that what a stamp has to be follows from the clock's rate and the wire alone.
 */
#pragma once

#include <linux/bpf.h>
#include <linux/netdevice.h>
#include <linux/ptp_clock_kernel.h>
#include <linux/skbuff.h>
#include <net/xdp.h>

#include "compat.h"

#define NIC_QUEUES_MAX 8
#define NIC_RING_SLOTS 1024 /* of each receive queue */
#define NIC_KEY_BYTES 40
#define NIC_TABLE_ENTRIES 128
#define NIC_RULES 16
#define NIC_HELD_MAX 256 /* frames that wait for their launch time, on each queue */

/* A frame on the wire, or in the receiver's memory. */
struct nic_frame {
  struct page* page; /* XDP_PACKET_HEADROOM, then the frame */
  u32 length;
  u32 hash;
  enum xdp_rss_hash_type hash_type;
  u64 due_raw;   /* when it arrives, and the interrupt's delay has passed */
  ktime_t stamp; /* of the receiver's clock; 0: none */
};

struct nic_rx_queue {
  struct nic* nic;
  struct napi_struct napi;
  struct xdp_rxq_info xdp_rxq;
  struct hrtimer timer; /* until the oldest frame is due */
  spinlock_t lock;
  bool is_open;
  u32 head, tail; /* the next slot to fill, and to empty */
  struct nic_frame* slots;
  u64 packets, bytes, full, no_memory;
  u64 xdp_drop, xdp_tx, xdp_redirect, xdp_aborted;
};

struct nic_tx_queue {
  struct nic* nic;
  u16 index;
  bool launches; /* holds frames until their launch time (the qdisc etf with "offload") */
  struct sk_buff_head held;
  struct hrtimer timer;
  u64 packets, bytes, lost, launched, launched_late;
  u64 refusals_counted; /* for the fault */
};

struct nic_clock {
  int users; /* devices */
  spinlock_t lock;
  u64 base_raw, base_phc;
  s64 rate_ppb;  /* of its oscillator against CLOCK_MONOTONIC_RAW */
  s64 steer_ppb; /* what adjfine was asked for */
  u32 granularity_ns;
  u32 no_cross_stamp; /* a fault: it can't be compared with the system's clock at one instant */
  struct ptp_clock_info info;
  struct ptp_clock* ptp;
};

/* Misbehaviour, set in debugfs; all 0 for a device that does what it says. */
struct nic_faults {
  u32 tx_stamp_missing_every; /* each n-th stamp is not made */
  u32 rx_stamp_missing_every;
  u32 tx_stamp_late_ns; /* a stamp is told that much after the frame left */
  u32 tx_stamp_swap;    /* stamps of two frames are told the other way around */
  u32 stamp_wrap_every; /* each n-th stamp is 2^32 ns behind: a counter wrapped, and the driver did not see it
                         */
  u32 never_stamps;     /* takes any mode, and stamps nothing */
  u32 refuses_all;      /* stamps no received frames but PTP's, and says so */
  u32 tx_busy_every;    /* each n-th frame finds the transmit ring full */
  u32 attach_down_ms;   /* a change of the XDP program takes the link down for so long */
};

struct nic {
  struct net_device* dev;
  struct nic __rcu* peer;  /* null while its driver is unbound */
  struct nic_clock* clock; /* its own, or that of the pair */
  u32 wire_ns;
  u32 rx_usecs; /* interrupts are delayed by so much (ethtool -C) */
  u16 queues;   /* in use, of NIC_QUEUES_MAX */
  nic_stamp_config stamp_config;
  struct bpf_prog __rcu* prog;
  struct nic_rx_queue rx[NIC_QUEUES_MAX];
  struct nic_tx_queue tx[NIC_QUEUES_MAX];

  spinlock_t rss_lock; /* of the three below */
  u8 key[NIC_KEY_BYTES];
  u32 table[NIC_TABLE_ENTRIES];
  struct ethtool_rx_flow_spec rules[NIC_RULES]; /* one that is not in use has ring_cookie RX_CLS_FLOW_DISC */

  struct nic_faults faults;
  u64 tx_seen, rx_seen, stamps_seen; /* for the faults that concern each n-th */
  u64 tx_stamps, tx_stamps_lost, rx_stamps, rx_stamps_lost;
  struct sk_buff_head late_stamps;
  struct hrtimer late_timer;
  bool is_unplugged;
  struct delayed_work link_up;
  struct dentry* debugfs;
};

/* clock.c */
u64 nic_clock_at(struct nic_clock* clock, u64 raw);
u64 nic_clock_raw(struct nic_clock* clock, u64 phc);
void nic_clock_step(struct nic_clock* clock, s64 by_ns);
struct nic_clock* nic_clock_make(const char* name, s64 rate_ppb, s64 offset_ns, u32 granularity_ns);
void nic_clock_put(struct nic_clock* clock);

/* transmit.c */
netdev_tx_t nic_start_xmit(struct sk_buff* skb, struct net_device* dev);
int nic_xdp_xmit(struct net_device* dev, int count, struct xdp_frame** frames, u32 flags);
bool nic_send_bytes(struct nic* nic, const void* bytes, u32 length);
int nic_setup_tc(struct net_device* dev, enum tc_setup_type type, void* data);
void nic_tx_init(struct nic* nic);
void nic_tx_stop(struct nic* nic);

/* receive.c */
bool nic_arrive(struct nic* nic, struct page* page, u32 length, u64 raw);
int nic_rx_open(struct nic* nic);
void nic_rx_stop(struct nic* nic);
int nic_rx_init(struct nic* nic);
void nic_rx_free(struct nic* nic);
int nic_bpf(struct net_device* dev, struct netdev_bpf* bpf);
#ifdef HAS_XDP_METADATA
extern const struct xdp_metadata_ops nic_xdp_metadata_ops;
#endif

/* rss.c */
void nic_rss_init(struct nic* nic);
void nic_rss_spread(struct nic* nic);
u16 nic_rss_queue(struct nic* nic, const u8* bytes, struct nic_frame* frame);
int nic_get_rxnfc(struct net_device* dev, struct ethtool_rxnfc* command, u32* rules);
int nic_set_rxnfc(struct net_device* dev, struct ethtool_rxnfc* command);

/* ethtool.c */
extern const struct ethtool_ops nic_ethtool_ops;
int nic_stamp_config_apply(struct nic* nic, nic_stamp_config* config);

/* faults.c */
bool nic_each_nth(u64* seen, u32 every);
ktime_t nic_stamp(struct nic* nic, u64 raw);
void nic_tell_tx_stamp(struct nic* nic, struct sk_buff* skb, ktime_t stamp);
void nic_faults_init(struct nic* nic, struct dentry* parent);
void nic_faults_stop(struct nic* nic);

/* device.c */
void nic_update_carrier(struct nic* nic);
