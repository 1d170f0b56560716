// The generator in the kernel. `send` is run over and over with live frames (BPF_PROG_TEST_RUN): it takes the
// next planned tick from the ledger's memory, makes the whole frame and sends it out. `judge` is in the
// interface's driver: an order that is right to the last bit, in time, and the one that had to come, is
// settled here; every other one goes up to user space, which judges it by the same rules as every backend. So
// no rule is here twice. What the driver did not take is counted by `count_refused`.
#include <linux/bpf.h>
#include <stddef.h>

#include "../wire.gen.h"
#include "generate.h"
#include "packet.h"

enum {
  HAND_UP = -1,
  TICK_WORDS = MARKET_DATA_SIZE / 8,
  ORDER_UDP_LENGTH = 8 + TRADING_ORDER_SIZE,
  ORDER_WORDS = TRADING_ORDER_SIZE / 8,
  TRAILER_WORDS = 460,  // a page is no longer
  SKIPS = 32,           // late ticks that are left out in one turn
  SPINS = 64,           // readings of the clock in one turn while a tick is awaited, some 2 us
  STEPS = 32,           // of a search: more than there are entries in powers of two
};

const volatile struct generate_constants constants = {};

struct generate_shared shared;

struct {
  __uint(type, BPF_MAP_TYPE_XSKMAP);
  __uint(max_entries, 64);
  __type(key, __u32);
  __type(value, __u32);
} sockets SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);  // set before the programs are loaded
  __type(key, __u32);
  __type(value, struct ledger_entry);
} entries SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, 1);  // the same
  __type(key, __u32);
  __type(value, struct ledger_due);
} dues SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);  // flows; set before the programs are loaded
  __type(key, __u32);
  __type(value, struct generate_headers);
} headers SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(map_flags, BPF_F_MMAPABLE);
  __uint(max_entries, GENERATE_HISTOGRAMS* GENERATE_HISTOGRAM_SIZE);
  __type(key, __u32);
  __type(value, __u64);
} histograms SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct generate_own);
} owns SEC(".maps");

// As Histogram::record in core/histogram.h.
static __always_inline void record(enum generate_histogram which, __u64 value) {
  __u64 counted = value < 60000000000ull ? value : 60000000000ull;
  __u32 bucket = 0;
  for (__u64 rest = counted >> 11; rest != 0 && bucket < 26; rest >>= 1) bucket++;
  __u32 index = ((bucket + 1) << 10) + (__u32)(counted >> bucket) - 1024 + which * GENERATE_HISTOGRAM_SIZE;
  __u64* slot = bpf_map_lookup_elem(&histograms, &index);
  if (slot) (*slot)++;
  struct generate_moments* moments = &shared.moments[which];
  moments->sum += value;
  if (~value > moments->min) moments->min = ~value;
  if (value > moments->max) moments->max = value;
}

static __always_inline void note_stall(__u64 now_ns) {
  struct generate_interval* interval = &shared.sender.log[shared.sender.stalls & (GENERATE_STALLS - 1)];
  interval->start_ns = shared.sender.last_ns;
  interval->end_ns = now_ns;
  *(volatile __u64*)&shared.sender.stalls += 1;
}

// Whether the tick may go now; with little to wait it is waited for.
static __always_inline int is_time(__u64 planned_ns, __u64* now_ns) {
  if (*now_ns >= planned_ns) return 1;
  if (shared.sender.pending != 0) return 0;  // what was made before is not to wait for the flush
  for (int i = 0; i < SPINS; i++) {
    *now_ns = bpf_ktime_get_ns();
    if (*now_ns >= planned_ns) return 1;
  }
  return 0;
}

// Ethernet's trailer: what is behind the datagram, up to the size of the frame.
static __always_inline void clear(void* from, void* end) {
  __u64* words = from;
  for (int i = 0; i < TRAILER_WORDS; i++, words++) {
    if ((void*)(words + 1) > end) break;
    *(volatile __u64*)words = 0;  // not made into a call of memset, which eBPF has not
  }
  __u8* bytes = (void*)words;
  for (int i = 0; i < 7; i++) {
    if ((void*)(bytes + i + 1) > end) break;
    *(volatile __u8*)(bytes + i) = 0;
  }
}

// The whole frame, each byte: pages come back as their last owner left them.
static __always_inline int write_tick(struct xdp_md* context, const struct tick* tick, __u32 frame,
                                      const int header_length) {
  const __u32 which = frame & 0xffff;
  const __u64 size = frame >> 16;
  const struct generate_headers* made = bpf_map_lookup_elem(&headers, &which);
  if (!made) return -1;
  // What comes in is longer: the kernel takes over the length only of a frame that the program has changed.
  __u64 length = (__u64)context->data_end - context->data;
  asm volatile("" : "+r"(length));  // the verifier takes the difference of pointers in 64 bits only
  if (bpf_xdp_adjust_tail(context, (int)(size - length)) != 0) return -1;
  void* data = (void*)(long)context->data;
  if (data + header_length + MARKET_DATA_SIZE > (void*)(long)context->data_end) return -1;
  __u64* to = data;
#pragma unroll
  for (int i = 0; i < header_length / 8; i++) to[i] = made->words[i];
  // The rest is 2 bytes, the checksum, or 6.
  if (header_length % 8 == 6) *(__u32*)(to + header_length / 8) = made->words[header_length / 8];
  const __u64 words[TICK_WORDS] = {tick->symbol, tick->price | (__u64)tick->quantity << 32, tick->timestamp};
  __u64 sum = made->sum;
  __u64* payload = data + header_length;
#pragma unroll
  for (int i = 0; i < TICK_WORDS; i++) {
    payload[i] = words[i];
    sum += (words[i] & 0xffffffff) + (words[i] >> 32);
  }
  __u16 checksum = ~fold(sum);
  *(__u16*)(data + header_length - 2) = checksum == 0 ? 0xffff : checksum;  // the last of the headers
  if (constants.padded) clear(data + header_length + MARKET_DATA_SIZE, (void*)(long)context->data_end);
  return 0;
}

static __always_inline int write_frame(struct xdp_md* context, const struct tick* tick, __u32 frame) {
  switch (constants.header_length) {
    case 42:
      return write_tick(context, tick, frame, 42);
    case 46:
      return write_tick(context, tick, frame, 46);
    case 62:
      return write_tick(context, tick, frame, 62);
    case 66:
      return write_tick(context, tick, frame, 66);
  }
  return -1;
}

static __always_inline __u8 is_measured(__u64 planned_ns) {
  return planned_ns - shared.sender.paused_ns >= shared.plan.warmup_end_ns;
}

// Those that are late are used up, so that the ticks behind them are the same. Returns the number of the
// next.
static __always_inline __u64 skip_late(__u64 number, __u64 now_ns) {
  for (int i = 0; i < SKIPS && number != *(volatile __u64*)&shared.plan.ready; i++, number++) {
    __u32 place = number & constants.mask;
    struct ledger_entry* entry = bpf_map_lookup_elem(&entries, &place);
    if (!entry) break;
    __u64 planned_ns = entry->planned_ns + shared.sender.paused_ns;
    if (now_ns <= planned_ns + constants.late_ns ||
        planned_ns - shared.sender.paused_ns >= shared.plan.end_ns)
      break;
    struct ledger_status status = {LEDGER_WITHHELD, is_measured(planned_ns), 0, 0};
    if (status.measured && shared.sender.measured + shared.sender.skipped >= constants.count) break;
    entry->planned_ns = planned_ns;
    entry->sent_ns = now_ns;
    entry->stamp_ns = shared.sender.starved_ns << 1;
    entry->tick.timestamp = ++shared.sender.last_timestamp;
    *(volatile __u32*)&entry->word = *(__u32*)&status;
    shared.sender.next = number + 1;
    shared.sender.passed++;
    shared.sender.skipped += status.measured;
  }
  return number;
}

// The rest of the schedule moves so that the tick is on time. Returns when it is planned now.
static __always_inline __u64 slip(__u64 planned_ns, __u64 now_ns, __u8 measured) {
  shared.sender.slid_ns += now_ns - planned_ns;
  if (measured) {
    shared.sender.slips++;
    shared.sender.slipped_ns += now_ns - planned_ns;
  }
  return now_ns;
}

// The process did not run for long: nothing is caught up.
static __always_inline void note_pause(__u64 passed_ns) {
  shared.sender.pauses++;
  shared.sender.paused_ns += passed_ns;
  shared.sender.allowed_ns += passed_ns;
  if (shared.sender.measured != 0) shared.sender.moved_ns += passed_ns;
}

// Ticks that wait for their answer.
static __always_inline __u64 in_flight(void) {
  __u64 settled = *(volatile __u64*)&shared.judge.answered + *(volatile __u64*)&shared.plan.settled;
  return shared.sender.due - settled;
}

// What the batch before this one may rightly have taken is no stall: it may have been answered on this core.
static __always_inline void look_at_clock(__u64 now_ns, int begins) {
  __u64 allowed_ns = constants.stall_ns;
  if (begins) {
    allowed_ns += shared.sender.pending * GENERATE_WORK_NS;
    shared.sender.pending = 0;
  }
  __u64 passed_ns = now_ns - shared.sender.last_ns;
  if (shared.sender.last_ns == 0 || passed_ns <= allowed_ns) return;
  note_stall(now_ns);
  if (passed_ns > GENERATE_PAUSE_NS) note_pause(passed_ns);
}

// `now` is brought up to date where the clock is read again.
static __always_inline int send_next(struct xdp_md* context, __u64* now) {
  __u64 now_ns = *now;
  __u64 number = shared.sender.next;
  if (constants.late == GENERATE_SKIP) number = skip_late(number, now_ns);
  if (number == *(volatile __u64*)&shared.plan.ready) {
    shared.sender.starved_ns += now_ns - shared.sender.last_ns;
    return XDP_DROP;
  }
  __u32 place = number & constants.mask;
  struct ledger_entry* entry = bpf_map_lookup_elem(&entries, &place);
  if (!entry) return XDP_ABORTED;
  __u8 order = 0;
  if (constants.receives) {
    struct ledger_due* must = bpf_map_lookup_elem(&dues, &place);
    if (!must) return XDP_ABORTED;
    order = must->decision.order;
  }
  if (constants.flat_out) {
    entry->planned_ns = now_ns;
  } else if (constants.closed) {
    if (in_flight() >= constants.window) return XDP_DROP;
    if (shared.sender.full) {  // planned for the moment in which one was answered
      shared.sender.full = 0;
      __u64 answered_ns = *(volatile __u64*)&shared.judge.answered_ns;
      if (answered_ns > shared.sender.allowed_ns) shared.sender.allowed_ns = answered_ns;
    }
    entry->planned_ns = shared.sender.allowed_ns;
  }
  // By the schedule as it was planned, and by the clock.
  __u64 scheduled_ns = entry->planned_ns + shared.sender.slid_ns;
  __u64 planned_ns = constants.closed ? entry->planned_ns : scheduled_ns + shared.sender.paused_ns;
  if (planned_ns - shared.sender.paused_ns >= shared.plan.end_ns) return XDP_DROP;
  int due = is_time(planned_ns, &now_ns);
  *now = now_ns;
  if (!due) return XDP_DROP;
  struct ledger_status status = {};
  status.measured = is_measured(planned_ns);
  if (status.measured && shared.sender.measured + shared.sender.skipped >= constants.count) return XDP_DROP;
  __u64 slipped = 0;
  if (constants.late == GENERATE_SLIP && now_ns - planned_ns > constants.late_ns) {
    slipped = status.measured;
    planned_ns = slip(planned_ns, now_ns, status.measured);
    status.measured = is_measured(planned_ns);
  }
  entry->planned_ns = planned_ns;
  status.state = order ? LEDGER_WAITING : LEDGER_QUIET;
  __u64 timestamp = planned_ns + shared.plan.epoch_offset_ns;
  if (timestamp <= shared.sender.last_timestamp) timestamp = shared.sender.last_timestamp + 1;
  entry->tick.timestamp = timestamp;
  struct tick tick = entry->tick;
  if (write_frame(context, &tick, entry->next) != 0) {
    shared.sender.failed++;
    return XDP_ABORTED;
  }
  shared.sender.last_timestamp = timestamp;
  entry->sent_ns = now_ns;
  entry->stamp_ns = shared.sender.starved_ns << 1 | slipped;
  *(volatile __u32*)&entry->word = *(__u32*)&status;
  shared.sender.doorbells += status.measured && shared.sender.pending == 0;
  shared.sender.next = number + 1;
  shared.sender.pending++;
  if (status.measured && shared.sender.measured == 0) shared.sender.first_ns = now_ns;
  shared.sender.sent_ns = now_ns;
  shared.sender.due += order;
  shared.sender.measured += status.measured;
  shared.sender.quiet += status.measured && !order;
  if (constants.closed && !constants.flat_out) {
    shared.sender.allowed_ns = order ? now_ns : now_ns + constants.quiet_ns;
    shared.sender.full = in_flight() >= constants.window;
  }
  return bpf_redirect(constants.interface, 0);
}

SEC("xdp")
int send(struct xdp_md* context) {
  // Counted up to the batch, as a division takes longer than all the rest.
  __u64 at = shared.sender.at + 1 == constants.batch ? 0 : shared.sender.at + 1;
  shared.sender.at = at;
  if (!*(volatile __u64*)&shared.plan.running) {
    shared.sender.last_ns = 0;
    shared.sender.alive = 1;
    return XDP_DROP;
  }
  __u64 now_ns = shared.sender.last_ns;
  // Nobody waits for what is sent without a schedule, and without answers: one reading of the clock does for
  // a batch.
  if (at == 0 || now_ns == 0 || !constants.flat_out || constants.receives) {
    now_ns = bpf_ktime_get_ns();
    look_at_clock(now_ns, at == 0);
  }
  int verdict = send_next(context, &now_ns);
  shared.sender.last_ns = now_ns;
  return verdict;
}

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

SEC("xdp")
int judge(struct xdp_md* context) {
  __u64 now_ns = bpf_ktime_get_ns();
  __u32 zero = 0;
  struct generate_own* own = bpf_map_lookup_elem(&owns, &zero);
  if (!own) return XDP_PASS;
  if (!constants.receives ||
      !is_for_port((void*)(long)context->data, (void*)(long)context->data_end, shared.link.local_port)) {
    own->passed_on++;
    return XDP_PASS;
  }
  if (context->rx_queue_index == constants.queue) {
    shared.judge.received++;
    int verdict = dispatch(context, now_ns);
    if (verdict != HAND_UP) return verdict;
  }
  // User space judges it by the time at which it came here: without that it gets none.
  int handed = XDP_PASS;
  if (bpf_xdp_adjust_meta(context, -(int)sizeof now_ns) == 0) {
    __u64* meta = (void*)(long)context->data_meta;
    if ((void*)(meta + 1) > (void*)(long)context->data) return XDP_ABORTED;
    *meta = now_ns;
    handed = bpf_redirect_map(&sockets, context->rx_queue_index, XDP_PASS);
  }
  if (handed != XDP_REDIRECT) own->unserved++;
  return handed;
}

// trace_xdp_devmap_xmit(from, to, sent, drops, error): a driver took a batch of redirected frames, or not
// all.
struct ns_common {
  unsigned int inum;
} __attribute__((preserve_access_index));

struct net {
  struct ns_common ns;
} __attribute__((preserve_access_index));

typedef struct {
  struct net* net;
} possible_net_t;

struct net_device {
  int ifindex;
  possible_net_t nd_net;
} __attribute__((preserve_access_index));

SEC("tp_btf/xdp_devmap_xmit")
int count_refused(__u64* arguments) {
  const struct net_device* to = (const struct net_device*)arguments[1];
  int drops = (int)arguments[3];
  if (drops <= 0 || to->ifindex != (int)constants.interface) return 0;
  if (to->nd_net.net->ns.inum == constants.network_namespace) __sync_fetch_and_add(&shared.refused, drops);
  return 0;
}

char LICENSE[] SEC("license") = "GPL";
