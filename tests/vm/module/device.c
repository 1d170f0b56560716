// SPDX-License-Identifier: GPL-2.0 OR MIT
/* The module: its parameters, and its devices, each a platform device whose driver can be unbound. */
#include <linux/debugfs.h>
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/module.h>

#include "nic.h"

#define PAIRS_MAX 4

static int pairs = 1;
module_param(pairs, int, 0444);
MODULE_PARM_DESC(pairs, "pairs of devices, at most 4; device 2n is connected with device 2n + 1");
static int queues = 1;
module_param(queues, int, 0444);
MODULE_PARM_DESC(queues, "queues of each device, at most 8");
static long ppb[2 * PAIRS_MAX];
module_param_array(ppb, long, NULL, 0444);
MODULE_PARM_DESC(ppb, "what each device's clock gains on CLOCK_MONOTONIC_RAW, in ns per s");
static long offset_ns[2 * PAIRS_MAX];
module_param_array(offset_ns, long, NULL, 0444);
MODULE_PARM_DESC(offset_ns, "by how much each device's clock is ahead of CLOCK_REALTIME at first");
static uint wire_ns[2 * PAIRS_MAX] = {[0 ... 2 * PAIRS_MAX - 1] = 500};
module_param_array(wire_ns, uint, NULL, 0444);
MODULE_PARM_DESC(wire_ns, "from the stamp of a frame that leaves the device to the stamp at the other one");
static uint granularity_ns = 1;
module_param(granularity_ns, uint, 0444);
MODULE_PARM_DESC(granularity_ns, "what the clocks count in");
static bool one_clock;
module_param(one_clock, bool, 0444);
MODULE_PARM_DESC(one_clock, "both devices of a pair are ports of one NIC, with one clock");

static struct platform_device* platform_devices[2 * PAIRS_MAX];
static struct nic* nics[2 * PAIRS_MAX]; /* those that are there */
static DEFINE_MUTEX(nics_lock);
static struct dentry* debugfs;

/* There is a link when both ends are up and nobody has pulled the cable. */
void nic_update_carrier(struct nic* nic) {
  struct nic* peer;
  bool is_linked;

  rcu_read_lock();
  peer = rcu_dereference(nic->peer);
  is_linked = peer && netif_running(nic->dev) && netif_running(peer->dev) && !nic->is_unplugged &&
              !peer->is_unplugged;
  if (is_linked) {
    netif_carrier_on(nic->dev);
    netif_carrier_on(peer->dev);
  } else {
    netif_carrier_off(nic->dev);
    if (peer) netif_carrier_off(peer->dev);
  }
  rcu_read_unlock();
}

static void link_up(struct work_struct* work) {
  struct nic* nic = container_of(to_delayed_work(work), struct nic, link_up);

  nic->is_unplugged = false;
  nic_update_carrier(nic);
}

static int nic_open(struct net_device* dev) {
  struct nic* nic = netdev_priv(dev);
  int error = nic_rx_open(nic);

  if (error) return error;
  netif_tx_start_all_queues(dev);
  nic_update_carrier(nic);
  return 0;
}

static int nic_stop(struct net_device* dev) {
  struct nic* nic = netdev_priv(dev);

  cancel_delayed_work_sync(&nic->link_up);
  nic_update_carrier(nic); /* netif_running() is false by now */
  netif_tx_disable(dev);
  nic_tx_stop(nic);
  nic_rx_stop(nic);
  nic_faults_stop(nic);
  return 0;
}

static void nic_get_stats64(struct net_device* dev, struct rtnl_link_stats64* stats) {
  struct nic* nic = netdev_priv(dev);
  u16 i;

  for (i = 0; i < NIC_QUEUES_MAX; i++) {
    stats->rx_packets += nic->rx[i].packets;
    stats->rx_bytes += nic->rx[i].bytes;
    stats->rx_missed_errors += nic->rx[i].full;
    stats->rx_dropped += nic->rx[i].no_memory;
    stats->tx_packets += nic->tx[i].packets + nic->rx[i].xdp_tx;
    stats->tx_bytes += nic->tx[i].bytes;
    stats->tx_dropped += nic->tx[i].lost;
  }
}

#ifdef HAS_NDO_HWTSTAMP
static int nic_hwtstamp_get(struct net_device* dev, struct kernel_hwtstamp_config* config) {
  *config = ((struct nic*)netdev_priv(dev))->stamp_config;
  return 0;
}

static int nic_hwtstamp_set(struct net_device* dev, struct kernel_hwtstamp_config* config,
                            struct netlink_ext_ack* extack) {
  return nic_stamp_config_apply(netdev_priv(dev), config);
}
#else
static int nic_eth_ioctl(struct net_device* dev, struct ifreq* request, int command) {
  struct nic* nic = netdev_priv(dev);
  struct hwtstamp_config config = nic->stamp_config;
  int error = 0;

  if (command == SIOCSHWTSTAMP) {
    if (copy_from_user(&config, request->ifr_data, sizeof(config))) return -EFAULT;
    error = nic_stamp_config_apply(nic, &config);
  } else if (command != SIOCGHWTSTAMP) {
    return -EOPNOTSUPP;
  }
  if (!error && copy_to_user(request->ifr_data, &config, sizeof(config))) return -EFAULT;
  return error;
}
#endif

static const struct net_device_ops nic_netdev_ops = {
    .ndo_open = nic_open,
    .ndo_stop = nic_stop,
    .ndo_start_xmit = nic_start_xmit,
    .ndo_get_stats64 = nic_get_stats64,
    .ndo_set_mac_address = eth_mac_addr,
    .ndo_validate_addr = eth_validate_addr,
    .ndo_setup_tc = nic_setup_tc,
    .ndo_bpf = nic_bpf,
    .ndo_xdp_xmit = nic_xdp_xmit,
#ifdef HAS_NDO_HWTSTAMP
    .ndo_hwtstamp_get = nic_hwtstamp_get,
    .ndo_hwtstamp_set = nic_hwtstamp_set,
#else
    .ndo_eth_ioctl = nic_eth_ioctl,
#endif
};

static void nic_free(struct nic* nic) {
  if (nic->clock) nic_clock_put(nic->clock);
  nic_rx_free(nic);
  free_netdev(nic->dev);
}

static int nic_find_clock(struct nic* nic, int index) {
  struct nic* peer = nics[index ^ 1];
  struct nic_clock* clock;

  if (one_clock && peer) {
    clock = peer->clock;
    clock->users++;
  } else {
    clock = nic_clock_make(nic->dev->name, ppb[index], offset_ns[index], granularity_ns);
    if (IS_ERR(clock)) return PTR_ERR(clock);
  }
  nic->clock = clock;
  return 0;
}

static struct nic* nic_make(struct device* parent, int index) {
  struct net_device* dev = alloc_etherdev_mqs(sizeof(struct nic), NIC_QUEUES_MAX, NIC_QUEUES_MAX);
  struct nic* nic;
  int error;

  if (!dev) return ERR_PTR(-ENOMEM);
  SET_NETDEV_DEV(dev, parent);
  snprintf(dev->name, sizeof(dev->name), "cnic%d", index);
  dev->netdev_ops = &nic_netdev_ops;
  dev->ethtool_ops = &nic_ethtool_ops;
  dev->hw_features = dev->features = NETIF_F_RXHASH | NETIF_F_NTUPLE;
  dev->max_mtu =
      PAGE_SIZE - XDP_PACKET_HEADROOM - SKB_DATA_ALIGN(sizeof(struct skb_shared_info)) - VLAN_ETH_HLEN;
#ifdef HAS_XDP_METADATA
  dev->xdp_metadata_ops = &nic_xdp_metadata_ops;
  xdp_set_features_flag(dev, NETDEV_XDP_ACT_BASIC | NETDEV_XDP_ACT_REDIRECT | NETDEV_XDP_ACT_NDO_XMIT);
#endif
  eth_hw_addr_random(dev);
  nic = netdev_priv(dev);
  nic->dev = dev;
  nic->wire_ns = wire_ns[index];
  nic->queues = queues;
  INIT_DELAYED_WORK(&nic->link_up, link_up);
  nic_rss_init(nic);
  nic_tx_init(nic);
  error = nic_rx_init(nic);
  if (!error) error = netif_set_real_num_queues(dev, queues, queues);
  if (!error) error = nic_find_clock(nic, index);
  if (!error) return nic;
  nic_free(nic);
  return ERR_PTR(error);
}

static int nic_probe(struct platform_device* device) {
  int index = device->id, error;
  struct nic *nic, *peer;

  mutex_lock(&nics_lock);
  nic = nic_make(&device->dev, index);
  error = PTR_ERR_OR_ZERO(nic);
  if (error) goto unlock;
  netif_carrier_off(nic->dev);
  nic_faults_init(nic, debugfs);
  error = register_netdev(nic->dev);
  if (error) {
    debugfs_remove_recursive(nic->debugfs);
    nic_free(nic);
    goto unlock;
  }
  platform_set_drvdata(device, nic);
  nics[index] = nic;
  peer = nics[index ^ 1];
  rcu_assign_pointer(nic->peer, peer);
  if (peer) rcu_assign_pointer(peer->peer, nic);
  nic_update_carrier(nic);
unlock:
  mutex_unlock(&nics_lock);
  return error;
}

static NIC_REMOVE_RETURNS nic_remove(struct platform_device* device) {
  struct nic* nic = platform_get_drvdata(device);
  struct nic* peer;

  mutex_lock(&nics_lock);
  peer = nics[device->id ^ 1];
  nics[device->id] = NULL;
  if (peer) {
    RCU_INIT_POINTER(peer->peer, NULL);
    nic_update_carrier(peer);
  }
  debugfs_remove_recursive(nic->debugfs);
  unregister_netdev(nic->dev);
  synchronize_net(); /* the other device may have been sending to this one */
  nic_free(nic);
  mutex_unlock(&nics_lock);
  return NIC_REMOVED;
}

static struct platform_driver nic_driver = {
    .probe = nic_probe,
    .remove = nic_remove,
    .driver = {.name = KBUILD_MODNAME},
};

static void module_undo(void) {
  int i;

  for (i = 0; i < 2 * PAIRS_MAX; i++) platform_device_unregister(platform_devices[i]);
  platform_driver_unregister(&nic_driver);
  debugfs_remove_recursive(debugfs);
}

static int __init carom_nic_init(void) {
  int i, error;

  if (pairs < 1 || pairs > PAIRS_MAX || queues < 1 || queues > NIC_QUEUES_MAX) return -EINVAL;
  debugfs = debugfs_create_dir(KBUILD_MODNAME, NULL);
  error = platform_driver_register(&nic_driver);
  if (error) {
    debugfs_remove_recursive(debugfs);
    return error;
  }
  for (i = 0; i < 2 * pairs; i++) {
    struct platform_device* device = platform_device_register_simple(KBUILD_MODNAME, i, NULL, 0);

    if (IS_ERR(device)) {
      module_undo();
      return PTR_ERR(device);
    }
    platform_devices[i] = device;
  }
  return 0;
}

static void __exit carom_nic_exit(void) { module_undo(); }

module_init(carom_nic_init);
module_exit(carom_nic_exit);
MODULE_DESCRIPTION("Pairs of network devices, back to back, with hardware clocks of known rate");
MODULE_LICENSE("Dual MIT/GPL");
