// What comes back: datagrams of orders out of frames, each order to the ledger that has its tick.
#pragma once

#include <bitset>

#include "core/clock.h"
#include "core/probe.h"
#include "loop/generator.h"

namespace carom {

class OrderTaker {
 public:
  explicit OrderTaker(GeneratorRole& role)
      : role_(role), parse_options_{ANY_VLAN, true}, siblings_(role.siblings.get()) {
    for (const StreamConfig& each : role.config.streams) {
      for (const LineConfig& its : each.lines) vlans_.set(static_cast<size_t>(its.vlan + 1));
    }
    for (int32_t other : role.config.vlans) vlans_.set(static_cast<size_t>(other + 1));
  }

  // How many ticks of this thread have got their answer by it. `now_ns` is on the clock of the ledger.
  uint32_t take(const Frame& frame, uint64_t now_ns) noexcept {
    if (!role_.capture) [[likely]]
      return judge(frame, now_ns);
    return take_captured(frame, now_ns);
  }

  // What others received for this thread.
  uint32_t take_handed() noexcept {
    uint32_t answered = 0;
    siblings_->take(role_.config.thread, [&](const HandedOrder& order) {
      ++role_.counters.handed_in;
      answered += role_.ledger.received(order.bytes, TRADING_ORDER_SIZE, order.received_ns, order.stamp_ns);
    });
    return answered;
  }

 private:
  [[gnu::noinline, gnu::cold]] uint32_t take_captured(const Frame& frame, uint64_t now_ns) noexcept {
    refusal_ = nullptr;
    role_.capture->receiving();
    uint32_t answered = judge(frame, now_ns);
    role_.capture->received(frame, now_ns, refusal_);
    return answered;
  }

  [[gnu::always_inline]] uint32_t judge(const Frame& frame, uint64_t now_ns) noexcept {
    Datagram datagram;
    parse_options_.verify_checksums = !frame.checksums_verified;
    ParseResult result = parse_frame(frame.data, frame.length, parse_options_, datagram);
    if (result != ParseResult::ok) [[unlikely]] {
      ++role_.counters.refused[static_cast<size_t>(result)];
      refusal_ = PARSE_RESULT_NAMES[static_cast<size_t>(result)];
      return 0;
    }
    if (!vlans_.test(static_cast<size_t>(datagram.vlan + 1))) [[unlikely]] {
      ++role_.counters.refused[static_cast<size_t>(ParseResult::wrong_vlan)];
      refusal_ = PARSE_RESULT_NAMES[static_cast<size_t>(ParseResult::wrong_vlan)];
      return 0;
    }
    const Link& link = role_.config.io.link;
    const uint8_t* own = datagram.ipv6 ? link.address6 : link.address4;
    if (datagram.destination_port != role_.config.io.local_port ||
        memcmp(datagram.destination_address(), own, datagram.address_size()) != 0) [[unlikely]] {
      ++role_.counters.foreign;
      refusal_ = "not for the order port of this host";
      return 0;
    }
    CAROM_PROBE2(orders_received, datagram.payload_length, now_ns);
    if (role_.answers.on()) [[unlikely]]
      log_answers(datagram, now_ns, frame.stamp_ns);
    if (siblings_ != nullptr) [[unlikely]]
      return share(datagram, now_ns, frame.stamp_ns);
    return role_.ledger.received(datagram.payload, datagram.payload_length, now_ns, frame.stamp_ns);
  }

  // Each order to the thread whose tick it answers. Returns how many of this one's have got their answer.
  uint32_t share(const Datagram& datagram, uint64_t now_ns, uint64_t stamp_ns) noexcept {
    uint32_t settled = 0;
    uint32_t at = 0;
    for (; at + TRADING_ORDER_SIZE <= datagram.payload_length; at += TRADING_ORDER_SIZE) {
      const uint8_t* order = datagram.payload + at;
      uint32_t owner = siblings_->owner(order);
      if (owner == role_.config.thread) {
        settled += role_.ledger.received(order, TRADING_ORDER_SIZE, now_ns, stamp_ns);
        continue;
      }
      ++role_.counters.handed;
      if (!siblings_->give(role_.config.thread, owner, order, now_ns, stamp_ns)) ++role_.counters.handed_lost;
    }
    if (at != datagram.payload_length)  // counted, as where there is one thread
      role_.ledger.received(datagram.payload + at, datagram.payload_length - at, now_ns, stamp_ns);
    return settled;
  }

  // An order's timestamp is by the clock of the day, which is slewed: the two are tied together anew for each
  // tick that is followed.
  void log_answers(const Datagram& datagram, uint64_t now_ns, uint64_t stamp_ns) noexcept {
    for (uint32_t at = 0; at + TRADING_ORDER_SIZE <= datagram.payload_length; at += TRADING_ORDER_SIZE) {
      trading_order order;
      memcpy(&order, datagram.payload + at, sizeof order);
      uint64_t tick = read_hex(order.cl_ord_id);
      if (stamp_ns != 0 && role_.nic.received.on())
        NicStampLogs::note(role_.nic.received, tick, stamp_ns, now_ns);
      if (!role_.answers.wants(tick)) continue;
      uint64_t made_ns = order.timestamp - static_cast<uint64_t>(Clock::get().offset_to(CLOCK_REALTIME));
      role_.answers.add({tick, made_ns, now_ns, order.timestamp});
    }
  }

  GeneratorRole& role_;
  const char* refusal_ = nullptr;  // of the frame: why it was not looked at
  ParseOptions parse_options_;
  std::bitset<4097> vlans_;  // that orders may come in; the first bit is for untagged ones
  Siblings* siblings_;       // null when there is one thread
};

}  // namespace carom
