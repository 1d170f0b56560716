// The generator's loop with a feed that is not plain, and a device that answers whatever reaches it unharmed.
#include <chrono>
#include <future>
#include <memory>
#include <set>

#include "test/device_io.h"

namespace carom::test {
namespace {

LineConfig line_to(uint8_t last, Impairment impairment) {
  LineConfig line{};
  memcpy(line.destination.mac, GROUP4_MAC, 6);
  memcpy(line.destination.address, GROUP4, 16);
  line.destination.address[3] = last;
  line.destination.port = TICK_PORT;
  line.impairment = impairment;
  return line;
}

// Two lines with all that can be done to them, in packed datagrams; 100,000 ticks a second.
GeneratorConfig feed_config() {
  GeneratorConfig config{};
  config.io = io_config(false, false);
  StreamConfig& stream = config.streams.emplace_back();
  stream.schedule.arrival.kind = ArrivalConfig::Kind::poisson;
  stream.schedule.arrival.rate_millihertz = 100'000'000;
  stream.ticks = {7, 0.9, {"AAPL", "MSFT"}, 1000, 10000, false};
  stream.source_port = ORDER_PORT;
  stream.flows = 1;
  stream.most = 3;
  stream.within_ns = 20'000;
  Impairment done{0.2, 0.2, 0.1, 2, 5000, 10'000, 0.1, 0, 7};
  stream.lines = {line_to(1, done), line_to(1, done)};
  stream.lines[1].skew_ns = 7000;
  config.feed = {1'000'000, 1e5, false};
  config.count = 3000;
  config.warmup_ns = 3'000'000;
  config.ledger = {8192, 500'000'000, Match::clordid, false, {STRATEGY_threshold, {10000, 100, 1, 0}, {}, 0},
                   true};
  config.late_threshold_ns = 3000;
  return config;
}

// Answers a tick that is below the threshold; `once`: the first time that it sees it.
DeviceOptions device(bool once) {
  DeviceOptions options;
  options.plain = false;
  options.on_tick = [once, seen = std::set<uint64_t>()](MemoryIo& memory, const Tick& tick) mutable {
    if (tick.price >= 10000 || (once && !seen.insert(tick.timestamp).second)) return;
    uint8_t order[TRADING_ORDER_SIZE];
    write_order(order, tick.symbol, tick.price + 1, 100, 0, 1, tick.timestamp);
    uint8_t bytes[MAX_FRAME];
    FrameFields fields = fields_between(false, false, -1);
    fields.payload = order;
    fields.payload_length = sizeof order;
    expect(memory.push({bytes, build(fields, bytes), false, 0}), "room in the ring");
  };
  return options;
}

uint64_t run(GeneratorRole& role, const DeviceOptions& options) {
  uint64_t sent = 0;
  bool failed = false;
  role.open([&] {
    DeviceIo io(role, options);
    auto loop = std::make_unique<GenerateLoop<DeviceIo>>(role, io);
    if (!role.opened({})) return;
    loop->run();
    sent = io.sent;
    failed = io.failed;
  });
  std::promise<void> ended;
  role.start([&ended](const auto&) { ended.set_value(); });
  bool over = ended.get_future().wait_for(std::chrono::seconds(120)) == std::future_status::ready;
  role.close();
  expect(over, "the run comes to its end");
  expect(!failed, "the device is content");
  const LedgerCounters& is = role.ledger.counters();
  uint64_t frames = 0;
  for (const LineCounters& line : role.lines) {
    expect_equal(line.frames.get(), line.datagrams.get() - line.lost.get() + line.duplicated.get(),
                 "a line's frames");
    frames += line.frames.get();
  }
  expect_equal(frames, sent, "frames, as the device counts");
  expect_equal(is.sent.get(), role.counters.sent.get(), "sent, as the loop counts");
  if (!role.config.io.receives) return sent;
  uint64_t answered = is.correct.get() + is.late.get();
  expect_equal(is.sent.get(), is.quiet.get() + answered + is.missing.get() + is.withheld.get(), "verdicts");
  expect_equal(is.received.get(), answered + is.duplicate.get() + is.answered_copies.get(), "orders");
  expect_equal(is.wrong.get() + is.unexpected.get(), 0, "each order is right, and allowed");
  expect_equal(role.ledger.waiting(), 0, "nothing waits");
  return sent;
}

void blameless(Chance& chance) {
  for (uint64_t fickle : {uint64_t{0}, chance.next() | 1}) {
    for (bool arbitrates : {false, true}) {
      GeneratorConfig config = feed_config();
      config.feed.arbitrates = arbitrates;
      GeneratorRole role(config);
      DeviceOptions options = device(arbitrates);
      options.fickle = fickle;
      run(role, options);
      const LedgerCounters& is = role.ledger.counters();
      expect_equal(is.missing.get() + is.duplicate.get() + is.warmup_faults.get(), 0, "nobody is blamed");
      expect(is.sent.get() >= config.count && is.sent.get() < config.count + 3,
             "but for the last datagram's");
      expect(is.withheld.get() > 50 && is.warmup_answered.get() > 100, "some were withheld");
      expect(arbitrates == (is.answered_copies.get() == 0), "copies are answered, but by who arbitrates");
    }
  }
}

// What a device that answers every copy does, when it should not.
void copies(Chance&) {
  GeneratorConfig config = feed_config();
  config.feed.arbitrates = true;
  GeneratorRole role(config);
  run(role, device(false));
  const LedgerCounters& is = role.ledger.counters();
  expect(is.duplicate.get() > 1000 && is.answered_copies.get() == 0, "more than one answer each");
}

constexpr uint64_t PLANNED = 3002;

void gone(Chance&) {
  GeneratorConfig config = feed_config();
  config.count = 0;
  config.duration_ns = 30'000'000;
  config.ledger.timeout_ns = 1'000'000'000;  // so late it sends; later than that the schedule would be moved
  for (uint64_t accepts : {uint64_t{500}, UINT64_MAX}) {
    GeneratorRole role(config);
    DeviceOptions options = device(false);
    options.accepts = accepts;
    uint64_t sent = run(role, options);
    if (accepts != UINT64_MAX) expect_equal(sent, accepts, "what the link took");
    // Planned with this seed between the warm-up and the end, by the departure that counts.
    expect_equal(role.counters.sent.get() + role.counters.unsent.get(), PLANNED,
                 "each planned tick is counted");
  }
}

void only_sends(Chance&) {
  GeneratorConfig config = feed_config();
  config.io.receives = false;
  DeviceOptions options;
  options.plain = false;
  GeneratorRole role(config);
  run(role, options);
  expect(role.ledger.counters().withheld.get() > 50, "withheld is known here, too");
}

const Tests TESTS{
    {"generate: a feed of two lines, impaired: nobody is blamed", blameless},
    {"generate: a device that answers copies it should ignore", copies},
    {"generate: a feed over a link that takes nothing any more", gone},
    {"generate: a feed, only sent", only_sends},
};

}  // namespace
}  // namespace carom::test
