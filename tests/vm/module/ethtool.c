// SPDX-License-Identifier: GPL-2.0 OR MIT
/* What ethtool asks for and sets, and the switch of the stamps. */
#include "nic.h"

int nic_stamp_config_apply(struct nic* nic, nic_stamp_config* config) {
  if (config->tx_type != HWTSTAMP_TX_OFF && config->tx_type != HWTSTAMP_TX_ON) return -ERANGE;
  switch (config->rx_filter) {
    case HWTSTAMP_FILTER_NONE:
      break;
    case HWTSTAMP_FILTER_ALL:
    case HWTSTAMP_FILTER_NTP_ALL:
      if (nic->faults.refuses_all) return -ERANGE;
      config->rx_filter = HWTSTAMP_FILTER_ALL;
      break;
    case HWTSTAMP_FILTER_PTP_V2_EVENT:
    case HWTSTAMP_FILTER_PTP_V2_SYNC:
    case HWTSTAMP_FILTER_PTP_V2_DELAY_REQ:
    case HWTSTAMP_FILTER_PTP_V2_L2_EVENT:
    case HWTSTAMP_FILTER_PTP_V2_L2_SYNC:
    case HWTSTAMP_FILTER_PTP_V2_L2_DELAY_REQ:
      config->rx_filter = HWTSTAMP_FILTER_PTP_V2_L2_EVENT;
      break;
    default:
      return -ERANGE;
  }
  nic->stamp_config = *config;
  return 0;
}

static int get_ts_info(struct net_device* dev, nic_ts_info* info) {
  struct nic* nic = netdev_priv(dev);

  info->so_timestamping = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE |
                          SOF_TIMESTAMPING_SOFTWARE | SOF_TIMESTAMPING_TX_HARDWARE |
                          SOF_TIMESTAMPING_RX_HARDWARE | SOF_TIMESTAMPING_RAW_HARDWARE;
  info->phc_index = ptp_clock_index(nic->clock->ptp);
  info->tx_types = BIT(HWTSTAMP_TX_OFF) | BIT(HWTSTAMP_TX_ON);
  info->rx_filters = BIT(HWTSTAMP_FILTER_NONE) | BIT(HWTSTAMP_FILTER_PTP_V2_L2_EVENT);
  if (!nic->faults.refuses_all) info->rx_filters |= BIT(HWTSTAMP_FILTER_ALL);
  return 0;
}

static void get_drvinfo(struct net_device* dev, struct ethtool_drvinfo* info) {
  strscpy(info->driver, KBUILD_MODNAME, sizeof(info->driver));
  strscpy(info->fw_version, "none", sizeof(info->fw_version));
  strscpy(info->bus_info, dev_name(dev->dev.parent), sizeof(info->bus_info));
}

static int get_link_ksettings(struct net_device* dev, struct ethtool_link_ksettings* settings) {
  settings->base.speed = SPEED_10000;
  settings->base.duplex = DUPLEX_FULL;
  settings->base.port = PORT_DA;
  settings->base.autoneg = AUTONEG_DISABLE;
  return 0;
}

static void get_channels(struct net_device* dev, struct ethtool_channels* channels) {
  channels->max_combined = NIC_QUEUES_MAX;
  channels->combined_count = ((struct nic*)netdev_priv(dev))->queues;
}

static int set_channels(struct net_device* dev, struct ethtool_channels* channels) {
  struct nic* nic = netdev_priv(dev);
  u32 count = channels->combined_count;
  int error;

  if (count == 0 || count > NIC_QUEUES_MAX || channels->rx_count || channels->tx_count) return -EINVAL;
  error = netif_set_real_num_queues(dev, count, count);
  if (error) return error;
  nic->queues = count;
  nic_rss_spread(nic);
  return 0;
}

static void get_ringparam(struct net_device* dev, struct ethtool_ringparam* ring,
                          struct kernel_ethtool_ringparam* kernel_ring, struct netlink_ext_ack* extack) {
  ring->rx_max_pending = ring->rx_pending = NIC_RING_SLOTS;
  ring->tx_max_pending = ring->tx_pending = NIC_HELD_MAX;
}

static int get_coalesce(struct net_device* dev, struct ethtool_coalesce* coalesce,
                        struct kernel_ethtool_coalesce* kernel_coalesce, struct netlink_ext_ack* extack) {
  coalesce->rx_coalesce_usecs = ((struct nic*)netdev_priv(dev))->rx_usecs;
  return 0;
}

static int set_coalesce(struct net_device* dev, struct ethtool_coalesce* coalesce,
                        struct kernel_ethtool_coalesce* kernel_coalesce, struct netlink_ext_ack* extack) {
  if (coalesce->rx_coalesce_usecs > 10000) return -EINVAL;
  ((struct nic*)netdev_priv(dev))->rx_usecs = coalesce->rx_coalesce_usecs;
  return 0;
}

static u32 get_key_size(struct net_device* dev) { return NIC_KEY_BYTES; }

static u32 get_table_size(struct net_device* dev) { return NIC_TABLE_ENTRIES; }

static void read_rss(struct nic* nic, u32* table, u8* key) {
  if (table) memcpy(table, nic->table, sizeof(nic->table));
  if (key) memcpy(key, nic->key, sizeof(nic->key));
}

static int write_rss(struct nic* nic, const u32* table, const u8* key, u8 function) {
  if (function != ETH_RSS_HASH_NO_CHANGE && function != ETH_RSS_HASH_TOP) return -EOPNOTSUPP;
  spin_lock_bh(&nic->rss_lock);
  if (table) memcpy(nic->table, table, sizeof(nic->table));
  if (key) memcpy(nic->key, key, sizeof(nic->key));
  spin_unlock_bh(&nic->rss_lock);
  return 0;
}

#ifdef HAS_RXFH_PARAM
static int get_rxfh(struct net_device* dev, struct ethtool_rxfh_param* rss) {
  rss->hfunc = ETH_RSS_HASH_TOP;
  read_rss(netdev_priv(dev), rss->indir, rss->key);
  return 0;
}

static int set_rxfh(struct net_device* dev, struct ethtool_rxfh_param* rss, struct netlink_ext_ack* extack) {
  return write_rss(netdev_priv(dev), rss->indir, rss->key, rss->hfunc);
}
#else
static int get_rxfh(struct net_device* dev, u32* table, u8* key, u8* function) {
  if (function) *function = ETH_RSS_HASH_TOP;
  read_rss(netdev_priv(dev), table, key);
  return 0;
}

static int set_rxfh(struct net_device* dev, const u32* table, const u8* key, const u8 function) {
  return write_rss(netdev_priv(dev), table, key, function);
}
#endif

#ifdef HAS_RXFH_FIELDS
static int get_rxfh_fields(struct net_device* dev, struct ethtool_rxfh_fields* fields) {
  struct ethtool_rxnfc command = {.cmd = ETHTOOL_GRXFH, .flow_type = fields->flow_type};
  int error = nic_get_rxnfc(dev, &command, NULL);

  fields->data = command.data;
  return error;
}

static u32 get_rx_ring_count(struct net_device* dev) { return ((struct nic*)netdev_priv(dev))->queues; }
#endif

/* Counters of `ethtool -S`: of the device, of each receive queue, of each transmit queue. */
struct nic_counter {
  const char* name;
  size_t offset;
};

static const struct nic_counter DEVICE_COUNTERS[] = {
    {"tx_stamps", offsetof(struct nic, tx_stamps)},
    {"tx_stamps_lost", offsetof(struct nic, tx_stamps_lost)},
    {"rx_stamps", offsetof(struct nic, rx_stamps)},
    {"rx_stamps_lost", offsetof(struct nic, rx_stamps_lost)},
};

static const struct nic_counter RX_COUNTERS[] = {
    {"packets", offsetof(struct nic_rx_queue, packets)},
    {"bytes", offsetof(struct nic_rx_queue, bytes)},
    {"ring_full", offsetof(struct nic_rx_queue, full)},
    {"no_memory", offsetof(struct nic_rx_queue, no_memory)},
    {"xdp_drop", offsetof(struct nic_rx_queue, xdp_drop)},
    {"xdp_tx", offsetof(struct nic_rx_queue, xdp_tx)},
    {"xdp_redirect", offsetof(struct nic_rx_queue, xdp_redirect)},
    {"xdp_aborted", offsetof(struct nic_rx_queue, xdp_aborted)},
};

static const struct nic_counter TX_COUNTERS[] = {
    {"packets", offsetof(struct nic_tx_queue, packets)},
    {"bytes", offsetof(struct nic_tx_queue, bytes)},
    {"lost", offsetof(struct nic_tx_queue, lost)},
    {"launched", offsetof(struct nic_tx_queue, launched)},
    {"launched_late", offsetof(struct nic_tx_queue, launched_late)},
};

static int get_sset_count(struct net_device* dev, int set) {
  if (set != ETH_SS_STATS) return -EOPNOTSUPP;
  return ARRAY_SIZE(DEVICE_COUNTERS) + NIC_QUEUES_MAX * (ARRAY_SIZE(RX_COUNTERS) + ARRAY_SIZE(TX_COUNTERS));
}

static void get_strings(struct net_device* dev, u32 set, u8* names) {
  u32 i, queue;

  if (set != ETH_SS_STATS) return;
  for (i = 0; i < ARRAY_SIZE(DEVICE_COUNTERS); i++, names += ETH_GSTRING_LEN)
    snprintf(names, ETH_GSTRING_LEN, "%s", DEVICE_COUNTERS[i].name);
  for (queue = 0; queue < NIC_QUEUES_MAX; queue++) {
    for (i = 0; i < ARRAY_SIZE(RX_COUNTERS); i++, names += ETH_GSTRING_LEN)
      snprintf(names, ETH_GSTRING_LEN, "rx%u_%s", queue, RX_COUNTERS[i].name);
    for (i = 0; i < ARRAY_SIZE(TX_COUNTERS); i++, names += ETH_GSTRING_LEN)
      snprintf(names, ETH_GSTRING_LEN, "tx%u_%s", queue, TX_COUNTERS[i].name);
  }
}

static u64* read_counters(u64* values, const void* from, const struct nic_counter* counters, u32 count) {
  u32 i;

  for (i = 0; i < count; i++) *values++ = *(const u64*)(from + counters[i].offset);
  return values;
}

static void get_ethtool_stats(struct net_device* dev, struct ethtool_stats* stats, u64* values) {
  struct nic* nic = netdev_priv(dev);
  u32 queue;

  values = read_counters(values, nic, DEVICE_COUNTERS, ARRAY_SIZE(DEVICE_COUNTERS));
  for (queue = 0; queue < NIC_QUEUES_MAX; queue++) {
    values = read_counters(values, &nic->rx[queue], RX_COUNTERS, ARRAY_SIZE(RX_COUNTERS));
    values = read_counters(values, &nic->tx[queue], TX_COUNTERS, ARRAY_SIZE(TX_COUNTERS));
  }
}

const struct ethtool_ops nic_ethtool_ops = {
    .supported_coalesce_params = ETHTOOL_COALESCE_RX_USECS,
    .get_link = ethtool_op_get_link,
    .get_link_ksettings = get_link_ksettings,
    .get_drvinfo = get_drvinfo,
    .get_ts_info = get_ts_info,
    .get_channels = get_channels,
    .set_channels = set_channels,
    .get_ringparam = get_ringparam,
    .get_coalesce = get_coalesce,
    .set_coalesce = set_coalesce,
    .get_rxnfc = nic_get_rxnfc,
    .set_rxnfc = nic_set_rxnfc,
    .get_rxfh_key_size = get_key_size,
    .get_rxfh_indir_size = get_table_size,
    .get_rxfh = get_rxfh,
    .set_rxfh = set_rxfh,
#ifdef HAS_RXFH_FIELDS
    .get_rxfh_fields = get_rxfh_fields,
    .get_rx_ring_count = get_rx_ring_count,
#endif
    .get_sset_count = get_sset_count,
    .get_strings = get_strings,
    .get_ethtool_stats = get_ethtool_stats,
};
