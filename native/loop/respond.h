// The responder's hot loop: receive → parse → strategy → order → send, in batches.
#pragma once

#include <array>
#include <atomic>
#include <ctime>
#include <functional>
#include <memory>
#include <vector>

#include "core/clock.h"
#include "core/histogram.h"
#include "frame/build.h"
#include "frame/parse.h"
#include "io/packet_io.h"
#include "loop/role.h"
#include "order/native_order.h"
#include "strategy/strategy.h"

namespace carom {

struct ResponderConfig {
  IoConfig io;
  StrategyConfig strategy;
  bool has_response_address;  // false: the tick's sender is answered
  bool response_ipv6;
  Endpoint response;  // the port always counts
};

struct ResponderCounters {
  Counter frames;         // everything that was received
  Counter disabled;       // of those, thrown away because the responder was disabled
  Counter datagrams;      // those for us: right address, group and port
  Counter ticks;          // whole ones
  Counter orders;         // sent
  Counter quiet_ticks;    // the strategy wants none
  Counter partial_ticks;  // datagrams with bytes behind the last whole tick
  Counter orders_unsent;  // no room to send, however often it was tried
  Counter wrong_mac;
  Counter wrong_address;
  Counter wrong_group;
  Counter wrong_port;
  Counter unanswerable;  // over a family in which the link has no address
  std::array<Counter, static_cast<size_t>(ParseResult::COUNT)> refused;  // by the parser's reason
};

// What can change while a responder runs.
struct ResponderSettings {
  bool enabled;  // false: everything that comes in is counted and thrown away
  StrategyConfig strategy;
};

struct ResponderRole : Role {
  // Settings with the strategy made from them: one object, so that a packet sees all of a change or nothing.
  struct Live {
    ResponderSettings settings;
    std::shared_ptr<void> strategy;  // of the loop's own type
  };

  explicit ResponderRole(const ResponderConfig& config) : Role(config.io), config(config) {}
  ~ResponderRole() { close(); }  // before what the thread uses goes

  // Puts settings in force between two packets. Called by one thread that is not the loop's, once opened.
  // Throws Error for what this backend can't change.
  void change(const ResponderSettings& settings);

  // Called by the loop: what it is to use from now on, and that what it used before may go.
  const Live* wanted() const noexcept { return wanted_.load(std::memory_order_acquire); }
  void use(const Live* live) noexcept { in_use_.store(live, std::memory_order_release); }

  const ResponderConfig config;
  ResponderCounters counters;
  Histogram processing;  // ns a frame, from its coming to the sending of its orders; once a batch
  std::function<std::shared_ptr<void>(const StrategyConfig&)> make_strategy;  // set by the loop
  bool fixed_symbols = false;  // set by the loop's backend: the symbols can't change any more

 private:
  std::vector<std::unique_ptr<Live>>
      lives_;  // the newest last; those the loop has left go with the next change
  std::atomic<const Live*> wanted_{nullptr};
  std::atomic<const Live*> in_use_{nullptr};
};

// Where an IPv4 or IPv6 group's frames go (RFC 1112, 6.4; RFC 2464, 7).
inline void multicast_mac(const uint8_t* group, bool ipv6, uint8_t* mac) noexcept {
  if (ipv6) {
    mac[0] = mac[1] = 0x33;
    memcpy(mac + 2, group + 12, 4);
    return;
  }
  const uint8_t prefix[3] = {0x01, 0x00, 0x5e};
  memcpy(mac, prefix, 3);
  mac[3] = group[1] & 0x7f;
  mac[4] = group[2];
  mac[5] = group[3];
}

template <PacketIo Io, class Strategy>
class RespondLoop {
 public:
  RespondLoop(ResponderRole& role, Io& io)
      : config_(role.config),
        link_(role.config.io.link),
        role_(role),
        counters_(role.counters),
        io_(io),
        parse_options_{role.config.io.vlan, true, -1} {
    if (config_.io.has_group) multicast_mac(config_.io.group, config_.io.group_ipv6, group_mac_);
    role.make_strategy = [](const StrategyConfig& config) { return std::make_shared<Strategy>(config); };
    role.change({true, role.config.strategy});
    adopt(role.wanted());
  }

  void run() noexcept {
    const Clock& clock = Clock::get();
    uint64_t now_ns = clock.now_ns();
    uint64_t next_offset_ns = now_ns + OFFSET_PERIOD_NS;
    epoch_offset_ns_ = clock.offset_to(CLOCK_REALTIME);             // known before the first order is made
    if constexpr (!KernelAssisted<Io>) role_.stalls.begin(now_ns);  // a thread that sleeps can't tell stalls
    while (role_.command() == Role::Command::run) {
      if (role_.wanted() != live_) [[unlikely]]
        adopt(role_.wanted());
      uint32_t count = io_.rx_peek(rx_);
      now_ns = clock.now_ns();
      if constexpr (!KernelAssisted<Io>) role_.stalls.turn(now_ns);
      if (count == 0) {
        if constexpr (KernelAssisted<Io>) rest();
        if (now_ns < next_offset_ns) [[likely]]
          continue;
        epoch_offset_ns_ = clock.offset_to(CLOCK_REALTIME);
        if constexpr (KernelAssisted<Io>) io_.set_epoch_offset();
        io_.settle();  // what the kernel counted, for whoever asks
        next_offset_ns = now_ns + OFFSET_PERIOD_NS;
        continue;
      }
      if constexpr (!KernelAssisted<Io>) role_.stalls.work(count);
      process(count, now_ns);
      role_.processing.record((clock.now_ns() - now_ns) / count);
    }
    if constexpr (KernelAssisted<Io>) {
      io_.change({false, 0, 0, 0, 0});  // nothing is answered any more that would not be counted
      rest();
    }
  }

  // The kernel works: its thread sleeps, and adds up now and then what was done below.
  void rest() noexcept requires KernelAssisted<Io> {
    io_.rest();
    KernelTally tally = io_.take_tally();
    counters_.frames.add(tally.ticks);
    counters_.datagrams.add(tally.ticks);
    counters_.ticks.add(tally.ticks);
    counters_.orders.add(tally.orders);
    counters_.quiet_ticks.add(tally.quiet);
    counters_.frames.add(tally.disabled);
    counters_.disabled.add(tally.disabled);
  }

  // One batch of `count` frames in rx(): answers them and gives them back.
  void process(uint32_t count, uint64_t now_ns) noexcept {
    order_time_ns_ = now_ns + static_cast<uint64_t>(epoch_offset_ns_);
    batch_hint_ = count;
    counters_.frames.add(count);
    if (live_->settings.enabled) [[likely]] {
      for (uint32_t i = 0; i < count; i++) handle(rx_[i]);
      flush();
    } else {
      counters_.disabled.add(count);
    }
    io_.rx_release(count);
  }

  std::span<Frame> rx() noexcept { return rx_; }

 private:
  static constexpr uint32_t TX_TRIES = 1000;
  static constexpr uint64_t OFFSET_PERIOD_NS = 1'000'000'000;  // clocks of the kernel are slewed

  void adopt(const ResponderRole::Live* live) noexcept {
    live_ = live;
    strategy_ = static_cast<Strategy*>(live->strategy.get());
    if constexpr (KernelAssisted<Io>) {
      const StrategyConfig& s = live->settings.strategy;
      io_.change({live->settings.enabled, s.threshold, s.quantity, s.price_offset, s.side});
    }
    role_.use(live);
  }

  void handle(const Frame& frame) noexcept {
    Datagram datagram;
    parse_options_.verify_checksums = !frame.checksums_verified;
    parse_options_.stripped_vlan = frame.stripped_vlan;
    ParseResult result = parse_frame(frame.data, frame.length, parse_options_, datagram);
    if (result != ParseResult::ok) [[unlikely]] {
      ++counters_.refused[static_cast<size_t>(result)];
      return;
    }
    if (Counter* reason = refusal(datagram)) [[unlikely]] {
      ++*reason;
      return;
    }
    ++counters_.datagrams;
    uint32_t whole = datagram.payload_length / MARKET_DATA_SIZE;
    if (whole * MARKET_DATA_SIZE != datagram.payload_length) [[unlikely]]
      ++counters_.partial_ticks;
    for (uint32_t i = 0; i < whole; i++) {
      Tick tick = Tick::read(datagram.payload + i * MARKET_DATA_SIZE);
      ++counters_.ticks;
      Decision decision = strategy_->on_tick(tick);
      if (decision.order) {
        answer(datagram, tick, decision);
      } else {
        ++counters_.quiet_ticks;
      }
    }
  }

  // Why a datagram that parsed is not for us, or null.
  Counter* refusal(const Datagram& datagram) noexcept {
    if (datagram.destination_port != config_.io.local_port) return &counters_.wrong_port;
    const uint8_t* to = datagram.destination_address();
    bool has_own = datagram.ipv6 ? link_.has_address6 : link_.has_address4;
    if (!has_own) return &counters_.unanswerable;
    const uint8_t* own = datagram.ipv6 ? link_.address6 : link_.address4;
    const uint8_t* mac = datagram.ethernet;
    if (memcmp(to, own, datagram.address_size()) == 0) {
      return memcmp(mac, link_.mac, 6) == 0 ? nullptr : &counters_.wrong_mac;
    }
    bool multicast = datagram.ipv6 ? to[0] == 0xff : (to[0] & 0xf0) == 0xe0;
    if (!multicast) return &counters_.wrong_address;
    bool joined = config_.io.has_group && config_.io.group_ipv6 == datagram.ipv6 &&
                  memcmp(to, config_.io.group, datagram.address_size()) == 0;
    if (!joined) return &counters_.wrong_group;
    // Frames that a kernel socket received have the link's own address in front.
    bool right_mac = memcmp(mac, group_mac_, 6) == 0 || memcmp(mac, link_.mac, 6) == 0;
    return right_mac ? nullptr : &counters_.wrong_mac;
  }

  void answer(const Datagram& datagram, const Tick& tick, const Decision& decision) noexcept {
    if (tx_used_ == tx_reserved_ && !reserve()) [[unlikely]] {
      ++counters_.orders_unsent;
      return;
    }
    address(datagram);
    Frame& frame = tx_[tx_used_++];
    uint8_t* payload = template_.begin(frame.data);
    write_order(payload, tick.symbol, decision.price, decision.quantity, decision.side, order_time_ns_,
                tick.timestamp);
    template_.finish(frame.data);
    frame.length = template_.frame_length();
  }

  // Headers towards the datagram's sender; most follow one of the same sender.
  void address(const Datagram& datagram) noexcept {
    uint32_t size = datagram.address_size();
    if (addressed_ && peer_ipv6_ == datagram.ipv6 && memcmp(peer_.mac, datagram.ethernet + 6, 6) == 0 &&
        memcmp(peer_.address, datagram.source_address(), size) == 0) [[likely]] {
      return;
    }
    addressed_ = true;
    peer_ipv6_ = datagram.ipv6;
    memcpy(peer_.mac, datagram.ethernet + 6, 6);
    memcpy(peer_.address, datagram.source_address(), size);
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
    template_ = FrameTemplate(from, to, ipv6, config_.io.vlan, config_.io.ttl, TRADING_ORDER_SIZE);
  }

  bool reserve() noexcept {
    flush();
    std::span<Frame> wanted(tx_.data(), batch_hint_);
    for (uint32_t i = 0; i < TX_TRIES && tx_reserved_ == 0; i++) tx_reserved_ = io_.tx_reserve(wanted);
    return tx_reserved_ != 0;
  }

  void flush() noexcept {
    uint32_t done = 0;
    for (uint32_t i = 0; i < TX_TRIES && done < tx_used_; i++) {
      done += io_.tx_submit(std::span<const Frame>(tx_.data() + done, tx_used_ - done));
    }
    counters_.orders.add(done);
    counters_.orders_unsent.add(tx_used_ - done);
    tx_used_ = tx_reserved_ = 0;
  }

  const ResponderConfig& config_;
  const Link& link_;
  ResponderRole& role_;
  ResponderCounters& counters_;
  Io& io_;
  const ResponderRole::Live* live_ = nullptr;
  Strategy* strategy_ = nullptr;
  ParseOptions parse_options_;
  uint8_t group_mac_[6] = {};
  std::array<Frame, MAX_BATCH> rx_;
  std::array<Frame, MAX_BATCH> tx_;
  uint32_t tx_used_ = 0;
  uint32_t tx_reserved_ = 0;
  uint32_t batch_hint_ = 1;
  int64_t epoch_offset_ns_ = 0;
  uint64_t order_time_ns_ = 0;
  bool addressed_ = false;
  bool peer_ipv6_ = false;
  Endpoint peer_{};
  FrameTemplate template_;
};

}  // namespace carom
