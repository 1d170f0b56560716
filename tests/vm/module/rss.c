// SPDX-License-Identifier: GPL-2.0 OR MIT
/*
 * Which queue a frame goes to: a rule's (ethtool -N), or by the Toeplitz hash of its addresses and ports and
 * the indirection table. Source: "RSS hashing functions", Windows driver documentation of Microsoft.
 */
#include <linux/etherdevice.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/udp.h>

#include "nic.h"

/* What a frame is told by; addresses and ports as they are in the frame. */
struct nic_flow {
  u32 type; /* of ethtool's flows, 0 where it is none of them */
  enum xdp_rss_hash_type hash_type;
  u32 length; /* of the input to the hash */
  u8 input[36];
};

static u32 toeplitz(const u8* key, const u8* input, u32 length) {
  u64 window = get_unaligned_be64(key);
  u32 at, result = 0;
  int bit;

  for (at = 0; at < length; at++) {
    for (bit = 7; bit >= 0; bit--) {
      if (input[at] & BIT(bit)) result ^= window >> 32;
      window <<= 1;
    }
    if (at + 8 < NIC_KEY_BYTES) window |= key[at + 8];
  }
  return result;
}

static void read_ports(struct nic_flow* flow, const u8* at, u8 protocol, bool is_ipv6) {
  if (protocol != IPPROTO_UDP && protocol != IPPROTO_TCP) return;
  memcpy(flow->input + flow->length, at, 4);
  flow->length += 4;
  if (protocol == IPPROTO_UDP) {
    flow->type = is_ipv6 ? UDP_V6_FLOW : UDP_V4_FLOW;
    flow->hash_type = is_ipv6 ? XDP_RSS_TYPE_L4_IPV6_UDP : XDP_RSS_TYPE_L4_IPV4_UDP;
  } else {
    flow->type = is_ipv6 ? TCP_V6_FLOW : TCP_V4_FLOW;
    flow->hash_type = is_ipv6 ? XDP_RSS_TYPE_L4_IPV6_TCP : XDP_RSS_TYPE_L4_IPV4_TCP;
  }
}

static struct nic_flow read_flow(const u8* bytes, u32 length) {
  struct nic_flow flow = {.hash_type = XDP_RSS_TYPE_NONE};
  u32 at = offsetof(struct ethhdr, h_proto);
  u16 type = 0;

  while (at + 2 <= length) {
    type = get_unaligned_be16(bytes + at);
    if (type != ETH_P_8021Q && type != ETH_P_8021AD) break;
    at += VLAN_HLEN;
  }
  at += 2;
  if (type == ETH_P_IP && at + sizeof(struct iphdr) <= length) {
    const struct iphdr* ip = (const void*)(bytes + at);
    u32 ports = at + ip->ihl * 4;

    memcpy(flow.input, &ip->saddr, 8);
    flow.length = 8;
    flow.hash_type = XDP_RSS_TYPE_L3_IPV4;
    if (!(ip->frag_off & htons(0x3fff)) && ports + 4 <= length)
      read_ports(&flow, bytes + ports, ip->protocol, false);
  } else if (type == ETH_P_IPV6 && at + sizeof(struct ipv6hdr) <= length) {
    const struct ipv6hdr* ip = (const void*)(bytes + at);
    u32 ports = at + sizeof(*ip);

    memcpy(flow.input, &ip->saddr, 32);
    flow.length = 32;
    flow.hash_type = XDP_RSS_TYPE_L3_IPV6;
    if (ports + 4 <= length) read_ports(&flow, bytes + ports, ip->nexthdr, true);
  }
  return flow;
}

static bool is_same(const void* seen, const void* wanted, const void* mask, u32 length) {
  u32 i;

  for (i = 0; i < length; i++) {
    if ((((const u8*)seen)[i] ^ ((const u8*)wanted)[i]) & ((const u8*)mask)[i]) return false;
  }
  return true;
}

/* Addresses and ports come in the order of a frame in ethtool's structures, too. */
static bool matches(const struct ethtool_rx_flow_spec* rule, const struct nic_flow* flow) {
  bool is_ipv6 = rule->flow_type == UDP_V6_FLOW || rule->flow_type == TCP_V6_FLOW;

  BUILD_BUG_ON(offsetof(struct ethtool_tcpip4_spec, pdst) != 10);
  BUILD_BUG_ON(offsetof(struct ethtool_tcpip6_spec, pdst) != 34);
  return rule->flow_type == flow->type && is_same(flow->input, &rule->h_u, &rule->m_u, is_ipv6 ? 36 : 12);
}

static bool is_used(const struct ethtool_rx_flow_spec* rule) { return rule->flow_type != 0; }

u16 nic_rss_queue(struct nic* nic, const u8* bytes, struct nic_frame* frame) {
  struct nic_flow flow = read_flow(bytes, frame->length);
  u32 i, queue;

  spin_lock_bh(&nic->rss_lock);
  frame->hash_type = flow.hash_type;
  frame->hash = flow.length ? toeplitz(nic->key, flow.input, flow.length) : 0;
  queue = flow.length ? nic->table[frame->hash % NIC_TABLE_ENTRIES] : 0;
  for (i = 0; flow.type && i < NIC_RULES; i++) {
    if (is_used(&nic->rules[i]) && matches(&nic->rules[i], &flow)) {
      queue = nic->rules[i].ring_cookie;
      break;
    }
  }
  spin_unlock_bh(&nic->rss_lock);
  return queue < nic->queues ? queue : 0;
}

/* The table over the queues that are in use. */
void nic_rss_spread(struct nic* nic) {
  u32 i;

  spin_lock_bh(&nic->rss_lock);
  for (i = 0; i < NIC_TABLE_ENTRIES; i++) nic->table[i] = ethtool_rxfh_indir_default(i, nic->queues);
  spin_unlock_bh(&nic->rss_lock);
}

void nic_rss_init(struct nic* nic) {
  spin_lock_init(&nic->rss_lock);
  netdev_rss_key_fill(nic->key, sizeof(nic->key));
  nic_rss_spread(nic);
}

static int add_rule(struct nic* nic, const struct ethtool_rx_flow_spec* rule) {
  switch (rule->flow_type) {
    case UDP_V4_FLOW:
    case TCP_V4_FLOW:
    case UDP_V6_FLOW:
    case TCP_V6_FLOW:
      break;
    default:
      return -EOPNOTSUPP;
  }
  if (rule->location >= NIC_RULES || rule->ring_cookie >= nic->queues) return -EINVAL;
  spin_lock_bh(&nic->rss_lock);
  nic->rules[rule->location] = *rule;
  spin_unlock_bh(&nic->rss_lock);
  return 0;
}

static int delete_rule(struct nic* nic, u32 location) {
  if (location >= NIC_RULES || !is_used(&nic->rules[location])) return -ENOENT;
  spin_lock_bh(&nic->rss_lock);
  nic->rules[location].flow_type = 0;
  spin_unlock_bh(&nic->rss_lock);
  return 0;
}

int nic_set_rxnfc(struct net_device* dev, struct ethtool_rxnfc* command) {
  if (command->cmd == ETHTOOL_SRXCLSRLINS) return add_rule(netdev_priv(dev), &command->fs);
  if (command->cmd == ETHTOOL_SRXCLSRLDEL) return delete_rule(netdev_priv(dev), command->fs.location);
  return -EOPNOTSUPP;
}

static int list_rules(struct nic* nic, struct ethtool_rxnfc* command, u32* locations) {
  u32 i, count = 0;

  for (i = 0; i < NIC_RULES; i++) {
    if (!is_used(&nic->rules[i])) continue;
    if (locations && count == command->rule_cnt) return -EMSGSIZE;
    if (locations) locations[count] = i;
    count++;
  }
  command->rule_cnt = count;
  command->data = NIC_RULES;
  return 0;
}

int nic_get_rxnfc(struct net_device* dev, struct ethtool_rxnfc* command, u32* locations) {
  struct nic* nic = netdev_priv(dev);

  switch (command->cmd) {
    case ETHTOOL_GRXRINGS:
      command->data = nic->queues;
      return 0;
    case ETHTOOL_GRXFH:
      command->data = RXH_IP_SRC | RXH_IP_DST;
      if (command->flow_type == UDP_V4_FLOW || command->flow_type == TCP_V4_FLOW ||
          command->flow_type == UDP_V6_FLOW || command->flow_type == TCP_V6_FLOW)
        command->data |= RXH_L4_B_0_1 | RXH_L4_B_2_3;
      return 0;
    case ETHTOOL_GRXCLSRLCNT:
      return list_rules(nic, command, NULL);
    case ETHTOOL_GRXCLSRLALL:
      return list_rules(nic, command, locations);
    case ETHTOOL_GRXCLSRULE:
      if (command->fs.location >= NIC_RULES || !is_used(&nic->rules[command->fs.location])) return -ENOENT;
      command->fs = nic->rules[command->fs.location];
      return 0;
    default:
      return -EOPNOTSUPP;
  }
}
