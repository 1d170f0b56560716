// SPDX-License-Identifier: GPL-2.0 OR MIT
// The responder in the kernel: a datagram that holds exactly one tick, and is right to the last bit, is
// decided and answered here, from the driver, before any socket buffer exists. Everything else that is for
// the port goes up to user space, which refuses and counts it, or answers it, by the same rules as every
// backend; so no rule is here twice. What is not for the port goes on to the kernel.
#include <linux/bpf.h>

#include "../wire.gen.h"
#include "arrival.h"
#include "packet.h"
#include "respond.h"
#include "unserved.h"
#include "wanted.h"

enum {
  HAND_UP = -1,
  TICK_UDP_LENGTH = 8 + MARKET_DATA_SIZE,
  ORDER_UDP_LENGTH = 8 + TRADING_ORDER_SIZE,
  ORDER_WORDS = TRADING_ORDER_SIZE / 8,
};

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, 64);
  __type(key, __u32);
  __type(value, __u32);
} sockets SEC(".maps");

struct respond_shared shared = {};

// Those traded, of a strategy without state; the state of each, of one that keeps it.
struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, 1);  // set before the program is loaded
  __type(key, struct respond_symbol);
  __type(value, struct symbol_state);
} symbols SEC(".maps");

// How many symbols of a queue have state.
struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);  // queues; set before the program is loaded
  __type(key, __u32);
  __type(value, __u32);
} symbols_used SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);  // sets of a queue, times the queues; set before the program is loaded
  __type(key, __u32);
  __type(value, struct answer_limit_set);
} limited SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct respond_own);
} owns SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_RINGBUF);
  __uint(max_entries, 512 * 1024);
} samples SEC(".maps");

// Where each CPU makes its next sample. One made in the ring itself (bpf_ringbuf_reserve) is a reference to
// be given back, and the verifier of Linux 6.1 does not know that it can't be null where it was found not to
// be: it follows the way on which it is, and refuses the program for not giving it back there.
struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct respond_sample);
} sample_draft SEC(".maps");

const volatile struct respond_constants constants = {};

static __always_inline void write_ip(void* at, int ipv6, const struct respond_settings* s, const __u32* to) {
  if (ipv6) {
    *(__u32*)at = bpf_htonl(6u << 28 | s->traffic_class << 20);
    *(__be16*)(at + 4) = bpf_htons(ORDER_UDP_LENGTH);
    *(__u8*)(at + 6) = IPPROTO_UDP;
    *(__u8*)(at + 7) = s->ttl;
    *(__u64*)(at + 8) = s->link.address6[0];
    *(__u64*)(at + 16) = s->link.address6[1];
    __u32* destination = at + 24;
    for (int i = 0; i < 4; i++) destination[i] = to[i];
    return;
  }
  struct iphdr* ip = at;
  *(__u32*)at = bpf_htonl(0x45000000u | (20 + ORDER_UDP_LENGTH)) | s->traffic_class << 8;
  *(__u32*)(at + 4) = bpf_htonl(0x4000);  // identification 0, DF
  *(__u32*)(at + 8) = bpf_htonl((__u32)s->ttl << 24 | IPPROTO_UDP << 16);
  ip->saddr = s->link.address4;
  ip->daddr = to[0];
  ip->check = ~fold(sum_words(at, 5));
}

// As StrategyRunner::on_tick in strategy/runner.h.
static __always_inline struct decision decide(struct xdp_md* context, const struct tick* tick,
                                              const struct respond_settings* s) {
#define CAROM_STRATEGY_STATE(name, keeps_state) | (keeps_state << STRATEGY_##name)
  const __u32 keeping_state = 0 CAROM_STRATEGIES(CAROM_STRATEGY_STATE);
  struct respond_symbol key = {tick->symbol, 0, 0};
  struct symbol_state* state = 0;
  if ((keeping_state >> constants.strategy) & 1) {
    key.queue = context->rx_queue_index;
    state = bpf_map_lookup_elem(&symbols, &key);
    if (!state) {
      if (constants.has_symbols) return no_order(WHY_NOT_TRADED);
      __u32* used = bpf_map_lookup_elem(&symbols_used, &key.queue);
      if (!used || *used >= constants.symbol_limit) return no_order(WHY_OVER_LIMIT);
      struct symbol_state none = {};
      if (bpf_map_update_elem(&symbols, &key, &none, BPF_NOEXIST) != 0) return no_order(WHY_OVER_LIMIT);
      (*used)++;
      state = bpf_map_lookup_elem(&symbols, &key);
      if (!state) return no_order(WHY_OVER_LIMIT);
    }
  } else if (constants.has_symbols && !bpf_map_lookup_elem(&symbols, &key)) {
    return no_order(WHY_NOT_TRADED);
  }
  if (!state && ((keeping_state >> constants.strategy) & 1)) return no_order(WHY_OVER_LIMIT);
  return strategy_on_tick(constants.strategy, &s->strategy, state, tick);
}

// Whether the source may have one more answer.
static __always_inline int allowed(struct xdp_md* context, const struct respond_settings* s,
                                   const __u32* from, int ipv6, __u64 now_ns) {
  if (s->limit.interval_ns == 0) return 1;
  struct answer_source source = {{0, ipv6 ? 0 : ~0ull}};
  __builtin_memcpy(source.words, from, ipv6 ? 16 : 4);
  __u32 index = context->rx_queue_index * ANSWER_LIMIT_SETS + answer_limit_set_of(&source);
  struct answer_limit_set* set = bpf_map_lookup_elem(&limited, &index);
  return set && answer_allowed(set, &source, &s->limit, now_ns);
}

// A trading_order (wire.gen.h) as words: stored, and summed, from registers.
struct order_words {
  __u64 words[ORDER_WORDS];
  __u8 last;
};
_Static_assert(offsetof(struct trading_order, side) == 16 &&
                   offsetof(struct trading_order, timestamp) == 17 &&
                   offsetof(struct trading_order, cl_ord_id) == 25 && TRADING_ORDER_SIZE == 41,
               "the words below");

static __always_inline struct order_words make_order(const struct tick* tick, const struct decision* decision,
                                                     __u64 time_ns) {
  __u64 high = hex_digits(tick->timestamp >> 32);
  __u64 low = hex_digits(tick->timestamp);
  struct order_words order = {
      {tick->symbol, decision->price | (__u64)decision->quantity << 32, decision->side | time_ns << 8,
       time_ns >> 56 | high << 8, high >> 56 | low << 8},
      low >> 56};
  return order;
}

// Whether this packet is one to be looked at closely. A change of the pace holds from the next packet on.
static __always_inline int is_due(struct respond_own* own, const struct respond_settings* s) {
  __u64 left = own->until_sample < s->sample_every ? own->until_sample : s->sample_every;
  own->until_sample = left == 0 ? s->sample_every : left - 1;
  return left == 0;
}

// Null when this packet is none.
static __always_inline struct respond_sample* begin_sample(struct xdp_md* context, struct respond_own* own,
                                                           const struct respond_settings* s) {
  if (!is_due(own, s)) return 0;
  __u32 zero = 0;
  struct respond_sample* record = bpf_map_lookup_elem(&sample_draft, &zero);
  if (!record) return 0;
  __u64 head = context->data_end - context->data;
  record->length = head;
  record->queue = context->rx_queue_index;
  record->head_length = 0;
  asm volatile("" : "+r"(head));  // the bounds are checked in one register, for the verifier to see
  if (head > RESPOND_SAMPLE_HEAD) head = RESPOND_SAMPLE_HEAD;
  if (head >= sizeof(struct ethhdr) && bpf_xdp_load_bytes(context, 0, record->head, head) == 0)
    record->head_length = head;
  record->answered = 0;
  record->disabled = 0;
  record->limited = 0;
  record->tick = (struct tick){};  // the draft has those of the sample before
  record->decision = (struct decision){};
  record->time_ns = bpf_ktime_get_ns();  // what is above is no part of the time spent
  return record;
}

// Counted when there is no room for it.
static __always_inline void end_sample(struct respond_sample* record, struct respond_own* own,
                                       const struct respond_settings* s, __u64 came_ns) {
  record->spent_ns = bpf_ktime_get_ns() - record->time_ns;
  record->time_ns = came_ns + s->epoch_offset_ns;
  if (bpf_ringbuf_output(&samples, record, sizeof *record, BPF_RB_NO_WAKEUP) != 0)
    own->counters[RESPOND_UNSAMPLED]++;
}

// What a decision becomes on the wire: the tick's frame turned into the order's. HAND_UP when there is no
// room.
static __always_inline int write_answer(struct xdp_md* context, const struct respond_settings* s,
                                        const struct tick* tick, const struct decision* decision,
                                        __u64 time_ns, __u64 to_mac, const __u32* to, const int l2,
                                        const int ipv6) {
  const int udp_offset = l2 + (ipv6 ? 40 : 20);
  const int payload_offset = udp_offset + 8;
  const int length = context->data_end - context->data;
  if (bpf_xdp_adjust_tail(context, payload_offset + TRADING_ORDER_SIZE - length) != 0) return HAND_UP;
  void* data = (void*)(long)context->data;
  void* end = (void*)(long)context->data_end;
  if (data + payload_offset + TRADING_ORDER_SIZE > end) return XDP_ABORTED;
  struct order_words order = make_order(tick, decision, time_ns);
  store_mac(data, to_mac);
  store_mac(data + 6, s->link.mac);
  if (l2 == 18) *(__be16*)(data + 14) = s->link.vlan;  // without the tick's priority
  write_ip(data + l2, ipv6, s, to);
  const __u32 ports = s->link.local_port | (__u32)s->response_port << 16;
  __u64 sum =
      pseudo_sum(data + l2, ipv6, ORDER_UDP_LENGTH) + ports + bpf_htons(ORDER_UDP_LENGTH) + order.last;
  __u64* payload = data + payload_offset;
#pragma unroll
  for (int i = 0; i < ORDER_WORDS; i++) {
    payload[i] = order.words[i];
    sum += (order.words[i] & 0xffffffff) + (order.words[i] >> 32);
  }
  *(__u8*)(payload + ORDER_WORDS) = order.last;
  __u16 checksum = ~fold(sum);
  __u32* header = data + udp_offset;
  header[0] = ports;
  header[1] = bpf_htons(ORDER_UDP_LENGTH) | (__u32)(checksum == 0 ? 0xffff : checksum) << 16;
  return XDP_TX;
}

// `l2` bytes in front of the IP header; both are constants where this is called, so that all offsets are.
static __always_inline int answer(struct xdp_md* context, const struct respond_settings* s,
                                  struct respond_own* own, const int l2, const int ipv6) {
  const int udp_offset = l2 + (ipv6 ? 40 : 20);
  const int payload_offset = udp_offset + 8;
  void* data = (void*)(long)context->data;
  void* end = (void*)(long)context->data_end;
  if (data + payload_offset + MARKET_DATA_SIZE > end) return HAND_UP;
  __u64 to_mac = load_mac(data);
  __u64 from_mac = load_mac(data + 6);
  if ((from_mac & 1) != 0) return HAND_UP;
  const void* ip = data + l2;
  if (!right_ip(ip, ipv6, TICK_UDP_LENGTH, to_mac, &s->link)) return HAND_UP;
  const struct udphdr* udp = data + udp_offset;
  if (udp->dest != s->link.local_port || udp->len != bpf_htons(TICK_UDP_LENGTH) || udp->check == 0)
    return HAND_UP;
  __u64 sum = pseudo_sum(ip, ipv6, TICK_UDP_LENGTH) + sum_words(udp, TICK_UDP_LENGTH / 4);
  if (fold(sum) != 0xffff) return HAND_UP;

  __u64 now_ns = bpf_ktime_get_ns();
  struct respond_sample* record = begin_sample(context, own, s);
  // The sample's helpers take the packet's pointers away.
  data = (void*)(long)context->data;
  end = (void*)(long)context->data_end;
  if (data + payload_offset + MARKET_DATA_SIZE > end) return HAND_UP;
  const __u64* at = data + payload_offset;  // eBPF loads from where it likes
  struct tick tick = {at[0], at[1], at[1] >> 32, at[2]};
  const __u32* source = data + l2 + (ipv6 ? 8 : 12);
  __u32 from[4] = {source[0], ipv6 ? source[1] : 0, ipv6 ? source[2] : 0, ipv6 ? source[3] : 0};
  struct decision decision = decide(context, &tick, s);
  enum respond_counter counter = RESPOND_QUIET;
  int verdict = XDP_DROP;
  if (decision.why == WHY_OVER_LIMIT) {
    counter = RESPOND_OVER_LIMIT;
  } else if (decision.order && !allowed(context, s, from, ipv6, now_ns)) {
    counter = RESPOND_LIMITED;
  } else if (decision.order) {
    counter = RESPOND_ORDERS;
    verdict =
        write_answer(context, s, &tick, &decision, now_ns + s->epoch_offset_ns, from_mac, from, l2, ipv6);
  }
  if (verdict == HAND_UP) return HAND_UP;  // user space traces it
  if (record) {
    record->answered = counter == RESPOND_ORDERS;
    record->limited = counter == RESPOND_LIMITED;
    record->tick = tick;
    record->decision = decision;
    end_sample(record, own, s, now_ns);
  }
  own->counters[counter]++;
  return verdict;
}

// A single tick that is right to the last bit.
static __always_inline int dispatch(struct xdp_md* context, const struct respond_settings* s,
                                    struct respond_own* own) {
  void* data = (void*)(long)context->data;
  void* end = (void*)(long)context->data_end;
  struct ethhdr* ethernet = data;
  struct vlan_header* vlan = data + sizeof *ethernet;
  if ((void*)(vlan + 1) > end) return HAND_UP;
  __be16 ethertype = ethernet->h_proto;
  if (s->link.vlan == 0xffff) {
    if (ethertype == bpf_htons(ETH_P_IP)) return answer(context, s, own, 14, 0);
    return ethertype == bpf_htons(ETH_P_IPV6) ? answer(context, s, own, 14, 1) : HAND_UP;
  }
  if (ethertype != bpf_htons(ETH_P_8021Q) || (vlan->tag & bpf_htons(0x0fff)) != s->link.vlan) return HAND_UP;
  if (vlan->ethertype == bpf_htons(ETH_P_IP)) return answer(context, s, own, 18, 0);
  return vlan->ethertype == bpf_htons(ETH_P_IPV6) ? answer(context, s, own, 18, 1) : HAND_UP;
}

static __always_inline const struct respond_settings* settings_in_force(void) {
  return &shared.settings[*(volatile __u32*)&shared.in_force % RESPOND_SLOTS];
}

static __always_inline int take(struct xdp_md* context) {
  __u32 zero = 0;
  struct respond_own* own = bpf_map_lookup_elem(&owns, &zero);
  if (!own) return XDP_PASS;
  const struct respond_settings* s = settings_in_force();
  if (s->enabled) {
    int verdict = dispatch(context, s, own);
    if (verdict != HAND_UP) return verdict;
  }
  void* data = (void*)(long)context->data;
  if (s->link.local_port == 0 || !is_for_port(data, (void*)(long)context->data_end, s->link.local_port)) {
    own->counters[RESPOND_PASSED_ON]++;
    return XDP_PASS;
  }
  if (s->enabled) {
    int handed = bpf_redirect_map(&sockets, context->rx_queue_index, XDP_PASS);
    if (handed != XDP_REDIRECT) {
      own->counters[RESPOND_UNSERVED]++;
      count_unserved(context->rx_queue_index);
    }
    return handed;
  }
  own->counters[RESPOND_DISABLED]++;
  __u64 now_ns = bpf_ktime_get_ns();
  struct respond_sample* record = begin_sample(context, own, s);
  if (record) {
    record->disabled = 1;
    end_sample(record, own, s, now_ns);
  }
  return XDP_DROP;
}

SEC("xdp")
int respond(struct xdp_md* context) {
  stamp_arrival(context);
  if (filtering) {
    void* data = (void*)(long)context->data;
    __be16 port = settings_in_force()->link.local_port;
    if (port != 0 && is_for_port(data, (void*)(long)context->data_end, port)) return ask_filter(context);
  }
  return take(context);
}

SEC("xdp")
int wanted(struct xdp_md* context) { return take(context); }

char LICENSE[] SEC("license") = "Dual MIT/GPL";
