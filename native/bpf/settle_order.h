// SPDX-License-Identifier: GPL-2.0 OR MIT
/* An order that is right to the last bit, in time, and the one that had to come: it settles its tick. */
#ifndef CAROM_BPF_SETTLE_ORDER_H
#define CAROM_BPF_SETTLE_ORDER_H

#include "generate_maps.h"

static __always_inline const struct ledger_entry* entry_at(__u64 number) {
  __u32 place = number & constants.mask;
  return bpf_map_lookup_elem(&entries, &place);
}

// The number of the entry with that timestamp. Answers nearly always come in the order of sending; otherwise
// it is searched for by halves. What is not found here, user space looks for.
static __always_inline int find_entry(__u64 timestamp, __u64* number) {
  __u64 low = shared.judge.next;
  __u64 high = *(volatile __u64*)&shared.sender.next;
  const struct ledger_entry* first = entry_at(low);
  if (!first) return 0;
  if (low < high && first->tick.timestamp == timestamp) {
    *number = low;
    return 1;
  }
  if (low >= high || first->tick.timestamp > timestamp)
    low = high > constants.mask ? high - constants.mask : 0;
  for (int i = 0; i < STEPS; i++) {
    if (high - low <= 1 || high < low) break;
    __u64 middle = low + (high - low) / 2;
    const struct ledger_entry* probe = entry_at(middle);
    if (!probe) return 0;
    if (probe->tick.timestamp <= timestamp) {
      low = middle;
    } else {
      high = middle;
    }
  }
  const struct ledger_entry* found = entry_at(low);
  if (!found || found->tick.timestamp != timestamp) return 0;
  *number = low;
  return 1;
}

// 16 hex digits as they are on the wire to what they stand for.
static __always_inline __u32 hex_value(__u64 text) {
  __u64 x = __builtin_bswap64(text);
  __u64 letters = (x >> 6) & 0x0101010101010101ull;
  x = (x & 0x0f0f0f0f0f0f0f0full) + letters * 9;
  x = (x | (x >> 4)) & 0x00ff00ff00ff00ffull;
  x = (x | (x >> 8)) & 0x0000ffff0000ffffull;
  return x | (x >> 16);
}

_Static_assert(offsetof(struct trading_order, side) == 16 &&
                   offsetof(struct trading_order, cl_ord_id) == 25 && TRADING_ORDER_SIZE == 41,
               "the words below");

// A trading_order (wire.gen.h) as words.
struct order_words {
  __u64 words[ORDER_WORDS];
  __u8 last;
};

// Settles the tick that an order answers. HAND_UP unless everything is as it had to be.
static __noinline int settle(const struct order_words* came, __u64 now_ns) {
  const __u64* order = came->words;
  __u64 high = order[3] >> 8 | order[4] << 56;
  __u64 low = order[4] >> 8 | (__u64)came->last << 56;
  __u64 timestamp = (__u64)hex_value(high) << 32 | hex_value(low);
  // Only the lower-case text is the tick's.
  if (hex_digits(timestamp >> 32) != high || hex_digits(timestamp) != low) return HAND_UP;
  __u64 number;
  if (!find_entry(timestamp, &number)) return HAND_UP;
  __u32 place = number & constants.mask;
  struct ledger_entry* entry = bpf_map_lookup_elem(&entries, &place);
  const struct ledger_due* due = bpf_map_lookup_elem(&dues, &place);
  if (!entry || !due) return HAND_UP;
  union {
    struct ledger_status status;
    __u32 word;
  } before = {.word = entry->word}, after = before;
  const struct decision* right = &due->decision;
  if (before.status.state != LEDGER_WAITING || order[0] != entry->tick.symbol) return HAND_UP;
  if (order[1] != (right->price | (__u64)right->quantity << 32) || (__u8)order[2] != right->side)
    return HAND_UP;
  __u64 sent_ns = entry->sent_ns;
  __u64 planned_ns = entry->planned_ns;
  __u64 actual_ns = now_ns > sent_ns ? now_ns - sent_ns : 0;
  if (actual_ns > constants.timeout_ns) return HAND_UP;
  entry->received_ns = now_ns;
  after.status.state = LEDGER_ANSWERED_BELOW;
  if (__sync_val_compare_and_swap(&entry->word, before.word, after.word) != before.word) return HAND_UP;
  shared.judge.answered_ns = now_ns;
  shared.judge.answered++;
  shared.judge.next = number + 1;
  if (timestamp < shared.judge.newest) {
    shared.judge.reordered++;
  } else {
    shared.judge.newest = timestamp;
  }
  if (!before.status.measured) {
    shared.judge.warmup_answered++;
    record(GENERATE_WARMUP, actual_ns);
    return XDP_DROP;
  }
  record(GENERATE_LATENCY_ACTUAL, actual_ns);
  record(GENERATE_LATENCY_PLANNED, actual_ns + (sent_ns > planned_ns ? sent_ns - planned_ns : 0));
  return XDP_DROP;
}

// A datagram of exactly one order, right to the last bit.
static __always_inline int take(struct xdp_md* context, __u64 now_ns, const int l2, const int ipv6) {
  const int udp_offset = l2 + (ipv6 ? 40 : 20);
  const int payload_offset = udp_offset + 8;
  void* data = (void*)(long)context->data;
  void* end = (void*)(long)context->data_end;
  if (data + payload_offset + TRADING_ORDER_SIZE > end) return HAND_UP;
  if ((load_mac(data + 6) & 1) != 0) return HAND_UP;
  const void* ip = data + l2;
  if (!right_ip(ip, ipv6, ORDER_UDP_LENGTH, load_mac(data), &shared.link)) return HAND_UP;
  const struct udphdr* udp = data + udp_offset;
  if (udp->len != bpf_htons(ORDER_UDP_LENGTH) || udp->check == 0) return HAND_UP;
  const __u64* at = data + payload_offset;
  const struct order_words order = {{at[0], at[1], at[2], at[3], at[4]}, *(const __u8*)(at + ORDER_WORDS)};
  __u64 sum = pseudo_sum(ip, ipv6, ORDER_UDP_LENGTH) + sum_words(udp, 2) + order.last;
#pragma unroll
  for (int i = 0; i < ORDER_WORDS; i++) sum += (order.words[i] & 0xffffffff) + (order.words[i] >> 32);
  if (fold(sum) != 0xffff) return HAND_UP;
  return settle(&order, now_ns);
}

static __always_inline int dispatch(struct xdp_md* context, __u64 now_ns) {
  void* data = (void*)(long)context->data;
  struct ethhdr* ethernet = data;
  struct vlan_header* vlan = data + sizeof *ethernet;
  if ((void*)(vlan + 1) > (void*)(long)context->data_end) return HAND_UP;
  __be16 ethertype = ethernet->h_proto;
  if (shared.link.vlan == 0xffff) {
    if (ethertype == bpf_htons(ETH_P_IP)) return take(context, now_ns, 14, 0);
    return ethertype == bpf_htons(ETH_P_IPV6) ? take(context, now_ns, 14, 1) : HAND_UP;
  }
  if (ethertype != bpf_htons(ETH_P_8021Q) || (vlan->tag & bpf_htons(0x0fff)) != shared.link.vlan)
    return HAND_UP;
  if (vlan->ethertype == bpf_htons(ETH_P_IP)) return take(context, now_ns, 18, 0);
  return vlan->ethertype == bpf_htons(ETH_P_IPV6) ? take(context, now_ns, 18, 1) : HAND_UP;
}

#endif
