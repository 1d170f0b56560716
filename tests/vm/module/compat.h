/* SPDX-License-Identifier: GPL-2.0 OR MIT */
/* What differs between the kernels that the module is built for: Debian's 6.1, 6.12 and 7.3. */
#pragma once

#include <linux/ethtool.h>
#include <linux/hrtimer.h>
#include <linux/net_tstamp.h>
#include <linux/platform_device.h>
#include <linux/timekeeping.h>
#include <linux/version.h>

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 3, 0)
#define HAS_XDP_METADATA
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 6, 0)
#define HAS_NDO_HWTSTAMP
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
#define HAS_RXFH_PARAM
#endif
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 17, 0)
#define HAS_RXFH_FIELDS
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 4, 0)
/* What a receive hash is made of, as later kernels tell it to XDP programs. */
enum xdp_rss_hash_type {
  XDP_RSS_TYPE_NONE = 0,
  XDP_RSS_L4 = BIT(3),
  XDP_RSS_TYPE_L3_IPV4 = BIT(0),
  XDP_RSS_TYPE_L3_IPV6 = BIT(1),
  XDP_RSS_TYPE_L4_IPV4_UDP = BIT(0) | BIT(3) | BIT(5),
  XDP_RSS_TYPE_L4_IPV4_TCP = BIT(0) | BIT(3) | BIT(4),
  XDP_RSS_TYPE_L4_IPV6_UDP = BIT(1) | BIT(3) | BIT(5),
  XDP_RSS_TYPE_L4_IPV6_TCP = BIT(1) | BIT(3) | BIT(4),
};
#endif

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
typedef struct kernel_ethtool_ts_info nic_ts_info;
#else
typedef struct ethtool_ts_info nic_ts_info;
#endif

#ifdef HAS_NDO_HWTSTAMP
typedef struct kernel_hwtstamp_config nic_stamp_config;
#else
typedef struct hwtstamp_config nic_stamp_config;
#endif

static inline void nic_timer_setup(struct hrtimer* timer, enum hrtimer_restart (*fire)(struct hrtimer*)) {
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 13, 0)
  hrtimer_setup(timer, fire, CLOCK_MONOTONIC, HRTIMER_MODE_REL_SOFT);
#else
  hrtimer_init(timer, CLOCK_MONOTONIC, HRTIMER_MODE_REL_SOFT);
  timer->function = fire;
#endif
}

/* CLOCK_REALTIME and CLOCK_MONOTONIC_RAW at one instant. */
static inline void nic_snapshot(struct system_device_crosststamp* stamp) {
  struct system_time_snapshot now;
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 1, 0)
  ktime_get_snapshot_id(stamp->clock_id, &now);
  stamp->sys_systime = now.systime;
  stamp->sys_monoraw = now.monoraw;
#else
  ktime_get_snapshot(&now);
  stamp->sys_realtime = now.real;
  stamp->sys_monoraw = now.raw;
#endif
}

#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 11, 0)
#define NIC_REMOVE_RETURNS void
#define NIC_REMOVED
#else
#define NIC_REMOVE_RETURNS int
#define NIC_REMOVED 0
#endif
