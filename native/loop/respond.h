// The responder's hot loop: receive → filter → parse → strategy → order → send, in batches.
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <ctime>
#include <memory>

#include "core/clock.h"
#include "core/probe.h"
#include "frame/build.h"
#include "frame/parse.h"
#include "io/kernel_assisted.h"
#include "io/packet_io.h"
#include "loop/responder.h"
#include "order/native_order.h"

namespace carom {

// Whether an IPv4 or IPv6 group's frames go to this address (RFC 1112, 6.4; RFC 2464, 7).
inline bool is_multicast_mac(const uint8_t* mac, const uint8_t* group, bool ipv6) noexcept {
  if (ipv6) return mac[0] == 0x33 && mac[1] == 0x33 && memcmp(mac + 2, group + 12, 4) == 0;
  return load_be16(mac) == 0x0100 && load_be16(mac + 2) == (0x5e00 | (group[1] & 0x7f)) &&
         memcmp(mac + 4, group + 2, 2) == 0;
}

// With sizes that the compiler knows: no call.
inline bool same_address(const uint8_t* a, const uint8_t* b, bool ipv6) noexcept {
  return ipv6 ? memcmp(a, b, 16) == 0 : memcmp(a, b, 4) == 0;
}

template <PacketIo Io, StrategyId ID>
class RespondLoop {
 public:
  RespondLoop(ResponderRole& role, Io& io)
      : config_(role.config),
        link_(role.config.io.link),
        role_(role),
        watch_(role.watch),
        counters_(role.counters),
        io_(io),
        filter_(io.filters() ? nullptr : role.config.io.filter.get()),
        strategy_(role.config.strategy),
        limited_(new answer_limit_set[ANSWER_LIMIT_SETS]{}),
        parse_options_{role.config.io.vlan, true} {
    if (role.nic.sent.on()) stamped_orders_.reset(new StampedOrder[STAMPED]{});
    role.trace.follows_late = KernelAssisted<Io>;
    adopt(role.live.wanted());
  }

  void run() noexcept {
    const Clock& clock = Clock::get();
    uint64_t now_ns = clock.now_ns();
    uint64_t next_offset_ns = now_ns + OFFSET_PERIOD_NS;
    epoch_offset_ns_ = clock.offset_to(CLOCK_REALTIME);       // known before the first order is made
    if constexpr (!KernelAssisted<Io>) watch_.begin(now_ns);  // a thread that sleeps has no turns
    while (role_.command() == Role::Command::run) {
      if (role_.live.wanted() != live_) [[unlikely]]
        adopt(role_.live.wanted());
      if (peeks_by_call(io_)) watch_.place(Place::call);
      uint32_t count = io_.rx_peek(rx_);
      now_ns = clock.now_ns();
      if constexpr (!KernelAssisted<Io>) watch_.pass(now_ns, count == 0 ? Place::idle : Place::work);
      if (count == 0) {
        if constexpr (KernelAssisted<Io>) rest();
        if (stamps_due_ != 0) [[unlikely]]
          read_stamps();
        if (now_ns >= next_offset_ns) [[unlikely]]
          next_offset_ns = once_a_second(clock, now_ns);
        continue;
      }
      if (count > 1) watch_.work(count - 1);
      uint64_t ticks = counters_.ticks.get();
      process(count, now_ns);
      ticks = counters_.ticks.get() - ticks;
      if (stamps_due_ >= STAMPS_DUE_MAX) [[unlikely]]
        read_stamps();  // though it is busy: the error queue's room is limited
      // Orders leave together at the end of their batch, so each of its ticks has taken as long as all of it.
      // Where the kernel works, its own samples are the times: what it hands up is the exception.
      if constexpr (!KernelAssisted<Io>) {
        uint64_t done_ns = clock.now_ns();
        watch_.turn(done_ns);
        if (ticks != 0) role_.processing.record(done_ns - now_ns, ticks);
      }
      // Without a moment to spare it has to be done all the same, but later.
      if (now_ns >= next_offset_ns + OFFSET_PERIOD_NS) [[unlikely]]
        next_offset_ns = once_a_second(clock, now_ns);
    }
    await_stamps();
    if constexpr (KernelAssisted<Io>) {
      KernelSettings none{};  // nothing is answered any more that would not be counted
      io_.change(none);
      rest();
    }
  }

  // Returns when to do it again.
  [[gnu::noinline]] uint64_t once_a_second(const Clock& clock, uint64_t now_ns) noexcept {
    watch_.place(Place::call);  // it reads the kernel's counters
    epoch_offset_ns_ = clock.offset_to(CLOCK_REALTIME);
    if constexpr (KernelAssisted<Io>) {
      io_.set_epoch_offset();
      collect();
    }
    io_.settle();  // what the kernel counted, for whoever asks
    return now_ns + OFFSET_PERIOD_NS;
  }

  // The kernel works: its thread sleeps, and adds up now and then what was done below.
  void rest() noexcept requires KernelAssisted<Io> {
    io_.rest();
    collect();
  }

  void collect() noexcept requires KernelAssisted<Io> {
    KernelTally tally = io_.take_tally();
    uint64_t decided = tally.orders + tally.quiet + tally.limited + tally.over_limit;
    counters_.frames.add(decided + tally.disabled);
    counters_.datagrams.add(decided);
    counters_.ticks.add(decided);
    counters_.orders.add(tally.orders);
    counters_.quiet_ticks.add(tally.quiet);
    counters_.orders_limited.add(tally.limited);
    counters_.symbol_over_limit.add(tally.over_limit);
    counters_.disabled.add(tally.disabled);
    role_.trace.lost.add(tally.unsampled);
    const TraceRequest* request = role_.trace.wanted();
    io_.sample(request == nullptr ? 0 : request->per_second);
    role_.trace.follow(request);
    io_.take_samples([&](const respond_sample& sample) {
      if (!sample.disabled) role_.processing.record(sample.spent_ns);
      if (request == nullptr) return;
      // They come in heaps, so the pace is that of their own times.
      uint64_t at_ns = sample.time_ns - static_cast<uint64_t>(epoch_offset_ns_);
      if (role_.trace.wants(sample.head, sample.head_length, sample.length, at_ns))
        role_.trace.put(trace_of(sample), at_ns);
    });
  }

  // One batch of `count` frames in rx(): answers them and gives them back.
  void process(uint32_t count, uint64_t now_ns) noexcept {
    fetch(count);
    now_ns_ = now_ns;
    order_time_ns_ = now_ns + static_cast<uint64_t>(epoch_offset_ns_);
    const uint64_t wanted = wanted_of(count);
    batch_hint_ = static_cast<uint32_t>(std::popcount(wanted));
    counters_.frames.add(batch_hint_);
    if (role_.trace.follow() != nullptr) [[unlikely]] {
      for (uint64_t left = wanted; left != 0; left &= left - 1) handle_traced(rx_[std::countr_zero(left)]);
      flush();
    } else if (live_->settings.enabled) [[likely]] {
      for (uint64_t left = wanted; left != 0; left &= left - 1) handle(rx_[std::countr_zero(left)]);
      flush();
    } else {
      counters_.disabled.add(batch_hint_);
    }
    io_.rx_release(count);
  }

  std::span<Frame> rx() noexcept { return rx_; }

 private:
  static constexpr uint32_t TX_TRIES = 1000;
  static constexpr uint32_t STAMPED = 4096;  // orders whose stamps may be told yet, a power of two
  static constexpr uint32_t STAMPS_DUE_MAX = 64;
  static constexpr uint64_t STAMPS_WAIT_NS = 100'000'000;
  static constexpr uint32_t CACHE_LINE = 64;
  static constexpr const char* LIMITED = "the source has had its answers for now";
  static constexpr uint64_t OFFSET_PERIOD_NS = 1'000'000'000;  // clocks of the kernel are slewed

  // Lets the processor fetch the batch's frames while it works on the first ones.
  void fetch(uint32_t count) const noexcept {
    for (uint32_t i = 0; i < count; i++) {
      __builtin_prefetch(rx_[i].data);
      __builtin_prefetch(rx_[i].data + CACHE_LINE);
    }
  }

  // The frames of a batch that the filter wants, a bit each.
  uint64_t wanted_of(uint32_t count) noexcept {
    static_assert(MAX_BATCH <= 64);
    uint64_t wanted = ~0ull >> (64 - count);
    if (filter_ == nullptr) return wanted;
    filter_->match(rx_.data(), count, &wanted);
    role_.io_counters.filtered.add(count - static_cast<uint32_t>(std::popcount(wanted)));
    return wanted;
  }

  // What became of a frame, for the trace.
  struct Outcome {
    const char* name;
    const char* why = "";
    uint32_t ticks = 0;
    uint32_t orders = 0;
    Tick tick{};
    Decision decision{};
  };

  static TraceRecord trace_of(const respond_sample& sample) noexcept {
    TraceRecord record;
    record.time_ns = sample.time_ns;
    record.spent_ns = sample.spent_ns;
    record.outcome = sample.disabled   ? "disabled"
                     : sample.answered ? "answered"
                     : sample.limited  ? "limited"
                                       : "quiet";
    record.why = sample.limited ? LIMITED : DECISION_REASONS[sample.decision.why];
    record.length = sample.length;
    record.queue = sample.queue;
    record.ticks = !sample.disabled;
    record.orders = sample.answered;
    static_cast<tick&>(record.tick) = sample.tick;
    record.decision = sample.decision;
    record.head_length = sample.head_length;
    static_assert(sizeof sample.head <= TraceRecord::HEAD);
    memcpy(record.head, sample.head, sample.head_length);
    return record;
  }

  void adopt(const ResponderRole::Live* live) noexcept {
    live_ = live;
    if constexpr (KernelAssisted<Io>) {
      io_.change({live->settings.enabled, live->rules.settings, live->settings.limit});
    }
    role_.live.use(live);
  }

  // A frame while somebody traces, whether it is traced or not.
  [[gnu::noinline]] void handle_traced(const Frame& frame) noexcept {
    bool is_wanted = role_.trace.wants(frame.data, frame.length, frame.length, now_ns_);
    uint64_t begin_ns = is_wanted ? Clock::get().now_ns() : 0;
    Outcome outcome{"disabled"};
    if (live_->settings.enabled) {
      handle(frame, is_wanted ? &outcome : nullptr);
    } else {
      ++counters_.disabled;
    }
    if (!is_wanted) return;
    TraceRecord record;
    record.spent_ns = Clock::get().now_ns() - begin_ns;
    record.time_ns = order_time_ns_;
    record.outcome = outcome.name;
    record.why = outcome.why;
    record.length = frame.length;
    record.queue = config_.io.queue;
    record.ticks = outcome.ticks;
    record.orders = outcome.orders;
    record.tick = outcome.tick;
    record.decision = outcome.decision;
    record.head_length = frame.length < TraceRecord::HEAD ? frame.length : TraceRecord::HEAD;
    memcpy(record.head, frame.data, record.head_length);
    role_.trace.put(record, now_ns_);
  }

  // `outcome` is for the trace, null without it.
  [[gnu::always_inline]] void handle(const Frame& frame, Outcome* outcome = nullptr) noexcept {
    Datagram datagram;
    parse_options_.verify_checksums = !frame.checksums_verified;
    ParseResult result = parse_frame(frame.data, frame.length, parse_options_, datagram);
    if (result != ParseResult::ok) [[unlikely]] {
      ++counters_.refused[static_cast<size_t>(result)];
      return refused(PARSE_RESULT_NAMES[static_cast<size_t>(result)], frame, outcome);
    }
    if (auto [reason, name] = refusal(datagram); reason != nullptr) [[unlikely]] {
      ++*reason;
      return refused(name, frame, outcome);
    }
    ++counters_.datagrams;
    uint32_t whole = datagram.payload_length / MARKET_DATA_SIZE;
    if (whole * MARKET_DATA_SIZE != datagram.payload_length) [[unlikely]]
      ++counters_.partial_ticks;
    if (outcome != nullptr) *outcome = {"quiet", whole == 0 ? "no whole tick" : "", whole};
    for (uint32_t i = 0; i < whole; i++) {
      Tick tick = Tick::read(datagram.payload + i * MARKET_DATA_SIZE);
      ++counters_.ticks;
      Decision decision = decide(tick);
      CAROM_PROBE4(tick_decided, tick.timestamp, tick.price, decision.order, decision.why);
      if (outcome != nullptr && i == 0) {
        outcome->tick = tick;
        outcome->decision = decision;
        outcome->why = DECISION_REASONS[decision.why];
      }
      if (!decision.order) {
        ++unanswered(decision);
        if (role_.passages.on()) [[unlikely]]
          note_passage(tick.timestamp, frame.stamp_ns, false);
        continue;
      }
      bool is_allowed = allowed(datagram);
      bool is_made = is_allowed && answer(datagram, tick, decision);
      if (role_.passages.on()) [[unlikely]]
        note_passage(tick.timestamp, frame.stamp_ns, is_made);
      if (outcome == nullptr) continue;
      if (is_made) {
        outcome->name = "answered";
        outcome->orders++;
      } else if (outcome->orders == 0) {
        outcome->name = is_allowed ? "unsent" : "limited";
        outcome->why = is_allowed ? "no room to send" : LIMITED;
      }
    }
  }

  void note_passage(uint64_t tick, uint64_t stamp_ns, bool is_answered) noexcept {
    if (role_.passages.wants(tick))
      role_.passages.add({tick, now_ns_, is_answered ? 0 : PassageLog::NOT_HANDED, 0});
    if (stamp_ns != 0 && role_.nic.received.on())
      NicStampLogs::note(role_.nic.received, tick, stamp_ns, now_ns_);
    // The order is the last one that was written, and the backend counts it as this one.
    if (is_answered && role_.nic.sent.on())
      stamped_orders_[(submitted_ + tx_used_ - 1) % STAMPED] = {tick, 0};
  }

  // When the NIC sent earlier orders.
  [[gnu::noinline, gnu::cold]] void read_stamps() noexcept {
    std::array<TxStamp, 32> stamps;
    uint32_t count = io_.tx_stamps(stamps);
    for (uint32_t i = 0; i < count; i++) {
      if (submitted_ - stamps[i].index - 1 >= STAMPED) continue;
      stamps_due_ -= stamps_due_ != 0;
      const StampedOrder& order = stamped_orders_[stamps[i].index % STAMPED];
      NicStampLogs::note(role_.nic.sent, order.tick, stamps[i].stamp_ns, order.handed_ns);
    }
  }

  // What the NIC is late to tell of the last ones.
  void await_stamps() noexcept {
    uint64_t until_ns = Clock::get().now_ns() + STAMPS_WAIT_NS;
    while (stamps_due_ != 0 && Clock::get().now_ns() < until_ns) read_stamps();
  }

  // Out of line: a tracer pays for each place in which a probe is.
  [[gnu::noinline, gnu::cold]] static void refused(const char* name, const Frame& frame,
                                                   Outcome* outcome) noexcept {
    CAROM_PROBE2(frame_refused, name, frame.length);
    if (outcome != nullptr) *outcome = {"refused", name};
  }

  Decision decide(const Tick& tick) noexcept {
    // Its memory is in the kernel, where single ticks are decided: another one here would disagree.
    if constexpr (KernelAssisted<Io> && STRATEGY_STATES[ID]) return no_order(WHY_UNDECIDABLE);
    return strategy_.template on_tick<ID>(live_->rules, tick);
  }

  // The counter of a tick that gets no order.
  Counter& unanswered(const Decision& decision) noexcept {
    if (decision.why == WHY_OVER_LIMIT) [[unlikely]]
      return counters_.symbol_over_limit;
    if (decision.why == WHY_UNDECIDABLE) [[unlikely]]
      return counters_.undecidable;
    return counters_.quiet_ticks;
  }

  // Whether the datagram's source may have one more answer.
  bool allowed(const Datagram& datagram) noexcept {
    const answer_limit& limit = live_->settings.limit;
    if (limit.interval_ns == 0) [[likely]]
      return true;
    answer_source source{};
    source.words[1] = datagram.ipv6 ? 0 : UINT64_MAX;
    memcpy(source.words, datagram.source_address(), datagram.address_size());
    if (answer_allowed(&limited_[answer_limit_set_of(&source)], &source, &limit, now_ns_)) return true;
    ++counters_.orders_limited;
    return false;
  }

  struct Refusal {
    Counter* counter;
    const char* name;
  };

  // Why a datagram that parsed is not for us; null when it is.
  Refusal refusal(const Datagram& datagram) noexcept {
    if (datagram.destination_port != config_.io.local_port) return {&counters_.wrong_port, "wrong_port"};
    const uint8_t* to = datagram.destination_address();
    bool has_own = datagram.ipv6 ? link_.has_address6 : link_.has_address4;
    if (!has_own) return {&counters_.unanswerable, "unanswerable"};
    const uint8_t* own = datagram.ipv6 ? link_.address6 : link_.address4;
    const uint8_t* mac = datagram.ethernet;
    const Refusal none{nullptr, ""};
    const Refusal wrong_mac{&counters_.wrong_mac, "wrong_mac"};
    if (same_address(to, own, datagram.ipv6)) return memcmp(mac, link_.mac, 6) == 0 ? none : wrong_mac;
    bool multicast = datagram.ipv6 ? to[0] == 0xff : (to[0] & 0xf0) == 0xe0;
    if (!multicast) return {&counters_.wrong_address, "wrong_address"};
    if (!joined(datagram)) return {&counters_.wrong_group, "wrong_group"};
    // Frames that a kernel socket received have the link's own address in front.
    bool right_mac = is_multicast_mac(mac, to, datagram.ipv6) || memcmp(mac, link_.mac, 6) == 0;
    return right_mac ? none : wrong_mac;
  }

  bool joined(const Datagram& datagram) const noexcept {
    for (const Group& group : config_.io.groups) {
      if (group.ipv6 == datagram.ipv6 &&
          same_address(group.address, datagram.destination_address(), datagram.ipv6))
        return true;
    }
    return false;
  }

  // False when there is no room to send.
  bool answer(const Datagram& datagram, const Tick& tick, const Decision& decision) noexcept {
    if (tx_used_ == tx_reserved_ && !reserve()) [[unlikely]] {
      ++counters_.orders_unsent;
      return false;
    }
    address(datagram);
    Frame& frame = tx_[tx_used_++];
    uint8_t* payload = template_.begin(frame.data);
    write_order(payload, tick.symbol, decision.price, decision.quantity, decision.side, order_time_ns_,
                tick.timestamp);
    template_.finish(frame.data);
    frame.length = template_.frame_length();
    return true;
  }

  // Headers towards the datagram's sender; most follow one of the same sender.
  void address(const Datagram& datagram) noexcept {
    if (addressed_ && peer_ipv6_ == datagram.ipv6 && memcmp(peer_.mac, datagram.ethernet + 6, 6) == 0 &&
        same_address(peer_.address, datagram.source_address(), datagram.ipv6)) [[likely]] {
      return;
    }
    addressed_ = true;
    peer_ipv6_ = datagram.ipv6;
    memcpy(peer_.mac, datagram.ethernet + 6, 6);
    memcpy(peer_.address, datagram.source_address(), datagram.address_size());
    Endpoint to = peer_;
    bool ipv6 = datagram.ipv6;
    if (config_.has_response_address) {
      to = config_.response;
      ipv6 = config_.response_ipv6;
    }
    to.port = config_.response.port;
    Endpoint from{};
    memcpy(from.mac, link_.mac, 6);
    memcpy(from.address, ipv6 ? link_.address6 : link_.address4, ipv6 ? 16 : 4);
    from.port = config_.io.local_port;
    template_ =
        FrameTemplate(from, to, ipv6, config_.io.vlan, config_.io.ttl, config_.io.dscp, TRADING_ORDER_SIZE);
  }

  bool reserve() noexcept {
    flush();
    std::span<Frame> wanted(tx_.data(), batch_hint_);
    tx_reserved_ = io_.tx_reserve(wanted);
    if (tx_reserved_ == wanted.size()) [[likely]]
      return true;
    for (uint32_t i = 1; i < TX_TRIES && tx_reserved_ == 0; i++) tx_reserved_ = io_.tx_reserve(wanted);
    watch_.place(Place::call);  // it may have asked the kernel for more
    pass(Place::work);
    return tx_reserved_ != 0;
  }

  // Reads the clock between two things that it does, of which `next` is the second.
  uint64_t pass(Place next) noexcept {
    uint64_t now_ns = Clock::get().now_ns();
    if constexpr (!KernelAssisted<Io>) watch_.pass(now_ns, next);
    return now_ns;
  }

  void flush() noexcept {
    if (tx_used_ == 0) return;
    uint32_t done = 0;
    uint64_t handed_ns = pass(Place::call);
    watch_.work(tx_used_);
    if (role_.passages.on()) [[unlikely]]
      role_.passages.handed(handed_ns);
    for (uint32_t i = 0; i < TX_TRIES && done < tx_used_; i++) {
      done += io_.tx_submit(std::span<const Frame>(tx_.data() + done, tx_used_ - done));
    }
    counters_.orders.add(done);
    counters_.orders_unsent.add(tx_used_ - done);
    uint64_t returned_ns = pass(Place::work);
    if (batch_hint_ > 1) watch_.work(batch_hint_ - 1);
    if (role_.passages.on()) [[unlikely]]
      role_.passages.returned(returned_ns);
    if (role_.nic.sent.on()) [[unlikely]] {
      for (uint32_t i = 0; i < done; i++) stamped_orders_[(submitted_ + i) % STAMPED].handed_ns = handed_ns;
      submitted_ += done;
      stamps_due_ += done;
    }
    CAROM_PROBE2(orders_sent, done, tx_used_);
    tx_used_ = tx_reserved_ = 0;
  }

  const ResponderConfig& config_;
  const Link& link_;
  ResponderRole& role_;
  TurnWatch& watch_;
  ResponderCounters& counters_;
  Io& io_;
  const ResponderRole::Live* live_ = nullptr;
  const Filter* filter_;  // null: every frame is wanted, or the backend has it
  StrategyRunner strategy_;
  std::unique_ptr<answer_limit_set[]> limited_;
  ParseOptions parse_options_;
  std::array<Frame, MAX_BATCH> rx_;
  std::array<Frame, MAX_BATCH> tx_;
  uint32_t tx_used_ = 0;
  uint32_t tx_reserved_ = 0;
  uint32_t batch_hint_ = 1;
  struct StampedOrder {
    uint64_t tick;
    uint64_t handed_ns;
  };
  std::unique_ptr<StampedOrder[]> stamped_orders_;  // by the number that the backend gives to a frame
  uint32_t submitted_ = 0;
  uint32_t stamps_due_ = 0;
  int64_t epoch_offset_ns_ = 0;
  uint64_t now_ns_ = 0;  // when the batch was taken up
  uint64_t order_time_ns_ = 0;
  bool addressed_ = false;
  bool peer_ipv6_ = false;
  Endpoint peer_{};
  FrameTemplate template_;
};

}  // namespace carom
