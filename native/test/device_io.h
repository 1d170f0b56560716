// Backend `device`: MemoryIo with a device under test behind it, which sees every tick as it is sent and
// decides what comes back. It runs on the generator's own thread, so a run is the same whatever the machine
// does.
#pragma once

#include <algorithm>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <vector>

#include "loop/generate.h"
#include "test/loop_support.h"
#include "test/memory_io.h"

namespace carom::test {

struct DeviceOptions {
  // Called for each tick that was sent, and at each poll: what is to be received is pushed.
  std::function<void(MemoryIo&, const Tick&)> on_tick = [](MemoryIo&, const Tick&) {};
  std::function<void(MemoryIo&)> on_poll = [](MemoryIo&) {};
  std::function<uint32_t(std::span<TxStamp>)> on_stamps = [](std::span<TxStamp>) { return 0u; };
  uint64_t fickle = 0;            // a seed: takes fewer frames than offered, or none, by chance
  uint64_t accepts = UINT64_MAX;  // frames until the link is gone
  bool gaps = false;              // ticks may be left out
  bool plain =
      true;  // one tick a frame, as the seed gives them; otherwise each tick of each good frame is taken
  bool pauses = true;  // every other poll finds nothing, so that what the loop does then is done, too
};

class DeviceIo {
 public:
  static constexpr std::string_view NAME = "device";

  DeviceIo(GeneratorRole& role, const DeviceOptions& options)
      : role_(role), options_(options), chance_(options.fickle), source_(role.config.streams[0].ticks) {}

  uint32_t rx_peek(std::span<Frame> frames) noexcept {
    guarded([&] { expect(role_.config.io.receives, "only who receives polls"); });
    polls_++;
    guarded([&] { options_.on_poll(memory_); });
    uint32_t count = options_.pauses && polls_ % 2 == 0 ? 0 : memory_.rx_peek(frames);
    delivered += count;
    return count;
  }
  void rx_release(uint32_t count) noexcept { memory_.rx_release(count); }

  uint32_t tx_reserve(std::span<Frame> frames) noexcept {
    memory_.clear_sent();
    if (options_.fickle != 0) frames = frames.first(chance_.below(static_cast<uint32_t>(frames.size()) + 1));
    return memory_.tx_reserve(frames);
  }

  uint32_t tx_submit(std::span<const Frame> frames) noexcept {
    if (options_.fickle != 0) frames = frames.first(chance_.below(static_cast<uint32_t>(frames.size()) + 1));
    frames = frames.first(std::min<uint64_t>(frames.size(), options_.accepts - sent));
    memory_.tx_submit(frames);
    guarded([&] {
      for (const Frame& frame : frames) options_.plain ? take(frame) : take_any(frame);
    });
    return static_cast<uint32_t>(frames.size());
  }

  uint32_t tx_stamps(std::span<TxStamp> stamps) noexcept {
    uint32_t count = 0;
    guarded([&] { count = options_.on_stamps(stamps); });
    return count;
  }
  void settle() noexcept {}
  static bool filters() noexcept { return false; }
  const std::vector<std::string>& notes() const { return memory_.notes(); }

  uint64_t sent = 0;
  uint64_t due = 0;  // of those, the ones that must be answered
  uint64_t delivered = 0;
  bool failed = false;

 private:
  // A failure is printed, ends the run, and is the test's to see: a hot loop can't throw.
  template <class Action>
  void guarded(Action action) noexcept {
    try {
      action();
    } catch (const std::exception&) {
      failed = true;
      role_.stop();
    }
  }

  // Each tick is the one that the seed gives, in a good frame to the right place.
  void take(const Frame& frame) {
    const GeneratorConfig& config = role_.config;
    const LineConfig& line = config.streams[0].lines[0];
    Reading reading = read_frame(frame.data, frame.length, {line.vlan, true});
    expect_equal(reading.defects, 0, "defects of a tick's frame");
    expect_equal(reading.payload_length(), MARKET_DATA_SIZE, "one tick a frame");
    const uint8_t* ip = frame.data + reading.ip;
    size_t size = reading.ipv6 ? 16 : 4;
    expect(memcmp(frame.data, line.destination.mac, 6) == 0, "destination MAC");
    expect(memcmp(frame.data + 6, config.io.link.mac, 6) == 0, "source MAC");
    expect(reading.ipv6 == line.ipv6, "IP version");
    const uint8_t* own = line.ipv6 ? config.io.link.address6 : config.io.link.address4;
    expect(memcmp(ip + (reading.ipv6 ? 8 : 12), own, size) == 0, "source address");
    expect(memcmp(ip + (reading.ipv6 ? 24 : 16), line.destination.address, size) == 0, "destination");
    expect_equal(be16(frame.data + reading.udp), config.streams[0].source_port, "source port");
    expect_equal(be16(frame.data + reading.udp + 2), line.destination.port, "destination port");
    Tick tick = Tick::read(frame.data + reading.payload());
    Tick planned = source_.next();
    for (uint32_t left_out = 0; options_.gaps && left_out < 10'000; left_out++) {
      if (planned.symbol == tick.symbol && planned.price == tick.price && planned.quantity == tick.quantity)
        break;
      planned = source_.next();
    }
    expect_equal(tick.symbol, planned.symbol, "symbol");
    expect_equal(tick.price, planned.price, "price");
    expect_equal(tick.quantity, planned.quantity, "quantity");
    expect(tick.timestamp > last_timestamp_, "timestamps grow");
    last_timestamp_ = tick.timestamp;
    sent++;
    due += tick.price < config.ledger.strategy.settings.threshold;
    options_.on_tick(memory_, tick);
  }

  void take_any(const Frame& frame) {
    sent++;
    Datagram datagram;
    if (parse_frame(frame.data, frame.length, {-1, true}, datagram) != ParseResult::ok) return;
    for (uint32_t at = 0; at < datagram.payload_length; at += MARKET_DATA_SIZE)
      options_.on_tick(memory_, Tick::read(datagram.payload + at));
  }

  GeneratorRole& role_;
  const DeviceOptions& options_;
  Chance chance_;
  TickSource source_;
  MemoryIo memory_{{4096, MAX_BATCH, MAX_FRAME, FrameTemplate::MIN_BUFFER, true}};
  uint64_t polls_ = 0;
  uint64_t last_timestamp_ = 0;
};

static_assert(PacketIo<DeviceIo>);

}  // namespace carom::test
