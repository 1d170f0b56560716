// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The PTP hardware clock: an oscillator that is off by a known rate, and what PTP's servo makes of it. */
#include <linux/slab.h>

#include "nic.h"

/* ns * ppb / 10^9 without an overflow, whatever the clock has run. */
static s64 scaled(s64 ns, s64 ppb) {
  s64 rest, seconds = div64_s64(ns, NSEC_PER_SEC);

  rest = ns - seconds * NSEC_PER_SEC;
  return seconds * ppb + div64_s64(rest * ppb, NSEC_PER_SEC);
}

static u64 exact_at(struct nic_clock* clock, u64 raw) {
  s64 gone = raw - clock->base_raw;

  return clock->base_phc + gone + scaled(gone, clock->rate_ppb + clock->steer_ppb);
}

/* What the clock shows at a time of CLOCK_MONOTONIC_RAW. */
u64 nic_clock_at(struct nic_clock* clock, u64 raw) {
  unsigned long flags;
  u64 phc;

  spin_lock_irqsave(&clock->lock, flags);
  phc = exact_at(clock, raw);
  spin_unlock_irqrestore(&clock->lock, flags);
  return phc - (clock->granularity_ns > 1 ? phc % clock->granularity_ns : 0);
}

/* When it shows a time; the inverse of the above. */
u64 nic_clock_raw(struct nic_clock* clock, u64 phc) {
  unsigned long flags;
  s64 gone, per_second, seconds, rest;
  u64 raw;

  spin_lock_irqsave(&clock->lock, flags);
  gone = phc - clock->base_phc;
  per_second = NSEC_PER_SEC + clock->rate_ppb + clock->steer_ppb;
  seconds = div64_s64(gone, per_second);
  rest = gone - seconds * per_second;
  raw = clock->base_raw + seconds * NSEC_PER_SEC + div64_s64(rest * NSEC_PER_SEC, per_second);
  spin_unlock_irqrestore(&clock->lock, flags);
  return raw;
}

static void rebase(struct nic_clock* clock) {
  u64 raw = ktime_get_raw_ns();

  clock->base_phc = exact_at(clock, raw);
  clock->base_raw = raw;
}

void nic_clock_step(struct nic_clock* clock, s64 by_ns) {
  unsigned long flags;

  spin_lock_irqsave(&clock->lock, flags);
  rebase(clock);
  clock->base_phc += by_ns;
  spin_unlock_irqrestore(&clock->lock, flags);
}

static struct nic_clock* clock_of(struct ptp_clock_info* info) {
  return container_of(info, struct nic_clock, info);
}

static int adjust_rate(struct ptp_clock_info* info, long scaled_ppm) {
  struct nic_clock* clock = clock_of(info);
  unsigned long flags;

  spin_lock_irqsave(&clock->lock, flags);
  rebase(clock);
  clock->steer_ppb = scaled_ppm_to_ppb(scaled_ppm);
  spin_unlock_irqrestore(&clock->lock, flags);
  return 0;
}

static int adjust_time(struct ptp_clock_info* info, s64 by_ns) {
  nic_clock_step(clock_of(info), by_ns);
  return 0;
}

static int get_time(struct ptp_clock_info* info, struct timespec64* time,
                    struct ptp_system_timestamp* system) {
  u64 raw;

  ptp_read_system_prets(system);
  raw = ktime_get_raw_ns();
  ptp_read_system_postts(system);
  *time = ns_to_timespec64(nic_clock_at(clock_of(info), raw));
  return 0;
}

static int set_time(struct ptp_clock_info* info, const struct timespec64* time) {
  struct nic_clock* clock = clock_of(info);
  unsigned long flags;

  spin_lock_irqsave(&clock->lock, flags);
  clock->base_raw = ktime_get_raw_ns();
  clock->base_phc = timespec64_to_ns(time);
  spin_unlock_irqrestore(&clock->lock, flags);
  return 0;
}

/* The device's and the system's time at one instant: exact, as both are read from one snapshot. */
static int cross_stamp(struct ptp_clock_info* info, struct system_device_crosststamp* stamp) {
  if (clock_of(info)->no_cross_stamp) return -EOPNOTSUPP;
  nic_snapshot(stamp);
  stamp->device = ns_to_ktime(nic_clock_at(clock_of(info), ktime_to_ns(stamp->sys_monoraw)));
  return 0;
}

static int enable(struct ptp_clock_info* info, struct ptp_clock_request* request, int on) {
  return -EOPNOTSUPP;
}

/* For one device; others may share it. */
struct nic_clock* nic_clock_make(const char* name, s64 rate_ppb, s64 offset_ns, u32 granularity_ns) {
  struct nic_clock* clock = kzalloc(sizeof(*clock), GFP_KERNEL);

  if (!clock) return ERR_PTR(-ENOMEM);
  clock->users = 1;
  spin_lock_init(&clock->lock);
  clock->rate_ppb = rate_ppb;
  clock->granularity_ns = granularity_ns;
  clock->base_raw = ktime_get_raw_ns();
  clock->base_phc = ktime_get_real_ns() + offset_ns;
  clock->info = (struct ptp_clock_info){
      .owner = THIS_MODULE,
      .max_adj = 1000000,
      .adjfine = adjust_rate,
      .adjtime = adjust_time,
      .gettimex64 = get_time,
      .settime64 = set_time,
      .getcrosststamp = cross_stamp,
      .enable = enable,
  };
  snprintf(clock->info.name, sizeof(clock->info.name), "%s", name);
  clock->ptp = ptp_clock_register(&clock->info, NULL);
  if (IS_ERR_OR_NULL(clock->ptp)) {
    long error = clock->ptp ? PTR_ERR(clock->ptp) : -EOPNOTSUPP;

    kfree(clock);
    return ERR_PTR(error);
  }
  return clock;
}

void nic_clock_put(struct nic_clock* clock) {
  if (--clock->users > 0) return;
  ptp_clock_unregister(clock->ptp);
  kfree(clock);
}
