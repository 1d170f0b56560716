// The generator's loop with a device in memory: perfect ones, silent ones, ones that answer with a million
// frames of chance; links that take a part, or nothing any more.
#include <chrono>
#include <future>
#include <memory>
#include <string>

#include "test/device_io.h"

namespace carom::test {
namespace {

GeneratorConfig generator_config(Match match, bool ipv6 = false) {
  GeneratorConfig config{};
  config.io = io_config(false, ipv6);
  StreamConfig& stream = config.streams.emplace_back();
  LineConfig& line = stream.lines.emplace_back();
  memcpy(line.destination.mac, ipv6 ? GROUP6_MAC : GROUP4_MAC, 6);
  memcpy(line.destination.address, ipv6 ? GROUP6 : GROUP4, 16);
  line.destination.port = TICK_PORT;
  line.ipv6 = ipv6;
  line.vlan = -1;
  config.closed = true;
  config.window = 1;
  stream.schedule.arrival.rate_millihertz = 1000;
  config.quiet_ns = 200;
  stream.ticks = {7, 0.9, {"AAPL", "MSFT", "GOOG", "AMZN"}, 1000, 10000, match == Match::price};
  stream.source_port = config.io.send_port;
  stream.flows = 1;
  config.ledger = {4096, 1'000'000'000, match, false, {STRATEGY_threshold, {10000, 100, 1, 0}, {}, 0}};
  config.late_threshold_ns = 3000;
  return config;
}

struct Outcome {
  uint64_t sent, due, delivered;
};

// A whole run, on a thread of its own as always. The role has its figures afterwards.
Outcome run(GeneratorRole& role, const DeviceOptions& options) {
  Outcome outcome{};
  bool failed = false;
  role.open([&] {
    DeviceIo io(role, options);
    auto loop = std::make_unique<GenerateLoop<DeviceIo>>(role, io);
    if (!role.opened({})) return;
    loop->run();
    outcome = {io.sent, io.due, io.delivered};
    failed = io.failed;
  });
  std::promise<void> ended;
  role.start([&ended](const auto&) { ended.set_value(); });
  bool over = ended.get_future().wait_for(std::chrono::seconds(120)) == std::future_status::ready;
  role.close();  // when it is not over, this ends it
  expect(over, "the run comes to its end");
  expect(!failed, "the device is content");
  return outcome;
}

// What holds after every run, however it went.
void check_identities(const GeneratorRole& role, const Outcome& outcome) {
  const LedgerCounters& is = role.ledger.counters();
  expect_equal(is.sent.get() + is.warmup_sent.get(), outcome.sent, "sent, as the device counts");
  expect_equal(is.sent.get(), role.counters.sent.get(), "sent, as the loop counts");
  expect_equal(role.lateness.count(), is.sent.get(), "lateness of each");
  expect_equal(role.counters.frames_in.get(), outcome.delivered, "frames received, as the device counts");
  if (!role.config.io.receives) return;
  uint64_t answered = is.correct.get() + is.wrong.get() + is.late.get();
  expect_equal(is.sent.get(), is.quiet.get() + answered + is.missing.get() + is.forgotten.get(),
               "each tick has one verdict");
  expect_equal(is.received.get(), answered + is.duplicate.get() + is.unexpected.get() + is.unjudged.get(),
               "each order has one verdict");
  expect_equal(role.ledger.latency_actual().count(), answered, "the latency of each answer");
  expect_equal(role.ledger.latency_planned().count(), answered, "from the planned time as well");
  expect_equal(role.ledger.waiting(), 0, "nothing waits");
}

void right_order(const Tick& tick, uint8_t* order) {
  write_order(order, tick.symbol, tick.price + 1, 100, 0, 1, tick.timestamp);
}

void push_orders(MemoryIo& memory, const GeneratorConfig& config, const uint8_t* orders, uint32_t length) {
  uint8_t bytes[MAX_FRAME];
  FrameFields fields = fields_between(false, config.streams[0].lines[0].ipv6, config.io.vlan);
  fields.payload = orders;
  fields.payload_length = length;
  Frame frame{bytes, build(fields, bytes), false, 0};
  expect(memory.push(frame), "room in the ring");
}

DeviceOptions perfect(const GeneratorConfig& config) {
  DeviceOptions options;
  options.on_tick = [&config](MemoryIo& memory, const Tick& tick) {
    if (tick.price >= 10000) return;
    uint8_t order[TRADING_ORDER_SIZE];
    right_order(tick, order);
    push_orders(memory, config, order, sizeof order);
  };
  return options;
}

void check_perfect(const GeneratorConfig& config, uint64_t fickle) {
  GeneratorRole role(config);
  DeviceOptions options = perfect(role.config);
  options.fickle = fickle;
  Outcome outcome = run(role, options);
  check_identities(role, outcome);
  const LedgerCounters& is = role.ledger.counters();
  expect(outcome.due > 0, "ticks to answer");
  expect_equal(is.correct.get() + is.warmup_answered.get(), outcome.due, "every answer is correct");
  expect_equal(is.received.get(), is.correct.get(), "and nothing else came");
  expect_equal(role.counters.foreign.get() + total(role.counters.refused), 0, "nor any other frame");
  expect_equal(is.reordered.get(), 0, "all in order");
  if (config.count != 0) expect_equal(is.sent.get(), config.count, "as many as were asked for");
}

void closed_loop(Chance& chance) {
  for (Match match : {Match::clordid, Match::price, Match::fifo}) {
    for (uint32_t window : {1u, 4u, 64u}) {
      GeneratorConfig config = generator_config(match, window == 4);
      config.window = window;
      config.count = 5000;
      config.warmup_ns = 200'000;
      config.io.vlan = config.streams[0].lines[0].vlan = window == 64 ? 100 : -1;
      check_perfect(config, 0);
      check_perfect(config, chance.next() | 1);
    }
  }
}

// 200,000 ticks a second for 50 ms are 10,000 planned ticks: each is sent, or counted as not sent.
void open_loop(Chance& chance) {
  GeneratorConfig config = generator_config(Match::clordid);
  config.closed = false;
  config.streams[0].schedule.arrival.rate_millihertz = 200'000'000;
  config.warmup_ns = 5'000'000;
  config.duration_ns = 50'000'000;
  for (uint64_t fickle : {uint64_t{0}, chance.next() | 1}) {
    GeneratorRole role(config);
    DeviceOptions options = perfect(role.config);
    options.fickle = fickle;
    Outcome outcome = run(role, options);
    check_identities(role, outcome);
    expect_equal(role.counters.sent.get() + role.counters.unsent.get(), 10'000, "planned ticks");
    expect_equal(role.ledger.counters().warmup_sent.get(), 1000, "ticks of the warm-up");
  }
}

void count(Chance&) {
  GeneratorConfig config = generator_config(Match::clordid);
  config.closed = false;
  config.streams[0].schedule.arrival.rate_millihertz =
      1'000'000'000'000;  // hopeless: always behind, always in batches
  for (uint64_t count : {1u, 15u, 16u, 17u, 1000u}) {
    config.count = count;
    check_perfect(config, 0);
  }
}

// With room in the window all the time, each tick may go when the one before it has gone: what it is late is
// the gap between the two, and all gaps together are the run.
void wide_window(Chance&) {
  GeneratorConfig config = generator_config(Match::clordid);
  config.window = 64;
  config.streams[0].ticks.trigger_ratio = 1;
  config.duration_ns = 20'000'000;
  GeneratorRole role(config);
  check_identities(role, run(role, perfect(role.config)));
  uint64_t measured_ns = role.counters.measured_ns.get();
  // A second for what other programs take away; were each tick late by all that went before, it would be
  // minutes.
  expect(role.lateness.sum() <= 2 * measured_ns + 1'000'000'000,
         "the lateness of all ticks is no more than the run");
  expect(measured_ns < config.duration_ns + 10'000'000'000, "the run ends when its time is over");
}

void only_sends(Chance&) {
  GeneratorConfig config = generator_config(Match::clordid);
  config.closed = false;
  config.io.receives = false;
  config.streams[0].schedule.arrival.rate_millihertz = 1'000'000'000;
  config.count = 20'000;
  GeneratorRole role(config);
  Outcome outcome = run(role, {});
  check_identities(role, outcome);
  expect_equal(role.ledger.counters().quiet.get() + role.ledger.counters().missing.get(), 0, "no verdicts");
}

void silent_device(Chance&) {
  for (Match match : {Match::clordid, Match::price, Match::fifo}) {
    GeneratorConfig config = generator_config(match);
    config.window = 8;
    config.count = 2000;
    config.ledger.timeout_ns = 10'000;
    GeneratorRole role(config);
    Outcome outcome = run(role, {});
    check_identities(role, outcome);
    expect_equal(role.ledger.counters().missing.get(), outcome.due, "all that was due is missing");
  }
}

// The ring of the ledger is smaller than what is sent within the timeout: the window still must not run dry.
void small_ledger(Chance&) {
  GeneratorConfig config = generator_config(Match::clordid);
  config.window = 4;
  config.count = 20'000;
  config.quiet_ns = 0;
  config.streams[0].ticks.trigger_ratio = 0.5;
  config.ledger.capacity = 64;
  config.ledger.timeout_ns = 1'000'000'000;
  GeneratorRole role(config);
  DeviceOptions options = perfect(role.config);
  auto answer = options.on_tick;
  uint64_t ticks = 0;
  options.on_tick = [&](MemoryIo& memory, const Tick& tick) {
    if (tick.price >= 10000) return;
    if (++ticks % 500 != 0) answer(memory, tick);
  };
  Outcome outcome = run(role, options);
  check_identities(role, outcome);
  expect(role.counters.measured_ns.get() < 950'000'000, "no tick's timeout was waited for");
  const LedgerCounters& is = role.ledger.counters();
  expect(is.forgotten.get() > 0, "ticks whose time was not over when the ring came round");
  expect_equal(is.forgotten.get() + is.missing.get() + is.warmup_faults.get(), ticks / 500, "all of them");
}

void link_gone(Chance&) {
  GeneratorConfig config = generator_config(Match::clordid);
  config.closed = false;
  config.streams[0].schedule.arrival.rate_millihertz = 200'000'000;
  config.duration_ns = 20'000'000;
  config.ledger.timeout_ns = 1'000'000'000;  // so late it sends; later than that the schedule would be moved
  config.warmup_ns = 2'000'000;              // 400 ticks, of which none is among those that were not sent
  for (uint64_t accepts : {1000, 100}) {
    GeneratorRole role(config);
    DeviceOptions options = perfect(role.config);
    options.accepts = accepts;
    Outcome outcome = run(role, options);
    check_identities(role, outcome);
    expect_equal(outcome.sent, accepts, "what the link took");
    expect_equal(role.counters.sent.get() + role.counters.unsent.get(), 4000, "measured ticks");
  }
}

// A busy network: there is a frame at every poll, for somebody else, and it does not cease when the run is
// over.
void never_quiet(Chance&) {
  GeneratorConfig config = generator_config(Match::clordid);
  config.streams[0].ticks.trigger_ratio = 1;
  config.duration_ns = 20'000'000;
  config.ledger.timeout_ns = 1'000'000;
  GeneratorRole role(config);
  DeviceOptions options;
  options.pauses = false;
  options.on_poll = [](MemoryIo& memory) {
    uint8_t bytes[MAX_FRAME];
    FrameFields fields = fields_between(true, false, -1);
    expect(memory.push({bytes, build(fields, bytes), false, 0}), "room in the ring");
  };
  Outcome outcome = run(role, options);
  check_identities(role, outcome);
  expect_equal(role.counters.foreign.get(), outcome.delivered, "frames for somebody else");
  expect_equal(role.ledger.counters().missing.get(), outcome.due, "all that was due is missing");
}

void stopped(Chance&) {
  GeneratorConfig config = generator_config(Match::clordid);  // no count, no duration
  GeneratorRole role(config);
  DeviceOptions options = perfect(role.config);
  auto answer = options.on_tick;
  uint64_t ticks = 0;
  options.on_tick = [&](MemoryIo& memory, const Tick& tick) {
    answer(memory, tick);
    if (++ticks == 1000) role.stop();
  };
  Outcome outcome = run(role, options);
  check_identities(role, outcome);
  expect_equal(outcome.sent, 1000, "none after the stop");
  expect_equal(role.ledger.counters().correct.get(), outcome.due, "what was in flight is still judged");
}

// Keeps the last ticks, and answers with whatever chance makes of their orders.
class Lunatic {
 public:
  Lunatic(Chance& chance, const GeneratorConfig& config) : chance_(chance), config_(config) {}

  void on_tick(const Tick& tick) { recent_[ticks_++ % 64] = tick; }

  void on_poll(MemoryIo& memory) {
    for (uint32_t i = chance_.below(32); i > 0 && memory.pending() < 512; i--) push(memory);
  }

  uint64_t accepted = 0;  // frames that hold orders for the generator, by the reference
  uint64_t orders = 0;    // in them
  uint64_t pushed = 0;

 private:
  uint32_t order_frame(uint8_t* frame) {
    uint8_t payload[1400];
    FrameFields fields = fields_between(false, chance_.one_in(4), config_.io.vlan);
    uint32_t count = chance_.one_in(8) ? chance_.below(chance_.one_in(16) ? 33 : 4) : 1;
    for (uint32_t i = 0; i < count; i++) {
      uint8_t* order = payload + i * TRADING_ORDER_SIZE;
      uint64_t back = 1 + chance_.below(chance_.one_in(4) ? 64 : 3);
      right_order(recent_[(ticks_ - std::min(ticks_, back)) % 64], order);
      if (chance_.one_in(4)) order[chance_.below(TRADING_ORDER_SIZE)] = chance_.byte();
    }
    uint32_t rest = chance_.one_in(16) ? chance_.below(TRADING_ORDER_SIZE) : 0;
    chance_.fill(payload + count * TRADING_ORDER_SIZE, rest);
    if (chance_.one_in(16)) fields.destination_port ^= 1;
    if (chance_.one_in(16)) fields.destination[3] ^= 1;
    fields.payload = payload;
    fields.payload_length = count * TRADING_ORDER_SIZE + rest;
    return build(fields, frame);
  }

  void push(MemoryIo& memory) {
    uint32_t at = chance_.below(2);
    lengths_[at] = order_frame(bytes_[at]);
    uint32_t length = lengths_[at];
    memcpy(bytes_[2], bytes_[at], length);
    if (chance_.one_in(2)) length = mutate(chance_, bytes_[2], length, bytes_[1 - at], lengths_[1 - at]);
    Frame frame{bytes_[2], length, chance_.one_in(8), chance_.one_in(4) ? chance_.any_size() : 0};
    if (!memory.push(frame)) return;
    pushed++;
    ParseOptions options{config_.io.vlan, !frame.checksums_verified};
    Reading reading = read_frame(frame.data, length, options);
    if (reading.defects != 0 || be16(frame.data + reading.udp + 2) != config_.io.local_port) return;
    const uint8_t* to = frame.data + reading.ip + (reading.ipv6 ? 24 : 16);
    if (memcmp(to, reading.ipv6 ? GENERATOR6 : GENERATOR4, reading.ipv6 ? 16 : 4) != 0) return;
    accepted++;
    orders += reading.payload_length() / TRADING_ORDER_SIZE;
  }

  Chance& chance_;
  const GeneratorConfig& config_;
  Tick recent_[64] = {};
  uint64_t ticks_ = 0;
  uint8_t bytes_[3][MAX_FRAME];
  uint32_t lengths_[2] = {};
};

void by_chance(Chance& chance, Match match, bool stamped, uint64_t frames) {
  GeneratorConfig config = generator_config(match, true);
  config.window = 16;
  config.ledger.capacity = 256;
  config.ledger.timeout_ns = 20'000;
  config.ledger.stamped = stamped;
  GeneratorRole role(config);
  Lunatic device(chance, role.config);
  DeviceOptions options;
  options.on_tick = [&](MemoryIo&, const Tick& tick) { device.on_tick(tick); };
  options.on_poll = [&](MemoryIo& memory) {
    // No more at once than the loop takes in a turn: an answer that waits is one to a tick long forgotten.
    if (device.pushed < frames) {
      if (memory.pending() < 8) device.on_poll(memory);
    } else if (memory.pending() == 0) {
      role.stop();
    }
  };
  options.on_stamps = [&](std::span<TxStamp> stamps) {
    uint32_t count = chance.below(static_cast<uint32_t>(stamps.size()) + 1);
    for (uint32_t i = 0; i < count; i++) {
      uint32_t index = static_cast<uint32_t>(role.counters.sent.get()) - chance.below(40);
      stamps[i] = {chance.one_in(16) ? chance.word() : index, chance.any_size()};
    }
    return count;
  };
  Outcome outcome = run(role, options);
  check_identities(role, outcome);
  const LedgerCounters& is = role.ledger.counters();
  const GeneratorCounters& counters = role.counters;
  expect_equal(outcome.delivered, device.pushed, "every frame was delivered");
  expect_equal(counters.frames_in.get(), total(counters.refused) + counters.foreign.get() + device.accepted,
               "each frame is counted once");
  expect_equal(is.received.get(), device.orders, "each order in them");
  expect(is.correct.get() > 0 && is.wrong.get() + is.unexpected.get() > 0 && counters.foreign.get() > 0 &&
             is.partial_orders.get() > 0,
         "chance reached the ledger");
  if (stamped)
    expect_equal(is.stamped.get() + is.unstamped.get(), role.ledger.latency_actual().count(), "stamps");
}

void chance_clordid(Chance& chance) { by_chance(chance, Match::clordid, false, 900'000); }
void chance_stamped(Chance& chance) { by_chance(chance, Match::clordid, true, 700'000); }
void chance_price(Chance& chance) { by_chance(chance, Match::price, false, 500'000); }
void chance_fifo(Chance& chance) { by_chance(chance, Match::fifo, true, 500'000); }

// The rate is doubled while it runs: all that both rates add up to is planned, and sent or counted.
void rate_changed(Chance&) {
  GeneratorConfig config = generator_config(Match::clordid);
  config.closed = false;
  config.rate_millihertz = config.streams[0].schedule.arrival.rate_millihertz = 100'000'000;
  config.duration_ns = 200'000'000;
  config.ledger.timeout_ns = 5'000'000;
  GeneratorRole role(config);
  DeviceOptions options = perfect(role.config);
  options.on_tick = [&role, answer = options.on_tick, ticks = 0](MemoryIo& memory, const Tick& tick) mutable {
    if (++ticks == 1000) role.changes.ask_rate(200'000'000);
    answer(memory, tick);
  };
  Outcome outcome = run(role, options);
  check_identities(role, outcome);
  expect_equal(role.changes.made().size(), 1, "changes");
  const RunChanges::Made& made = role.changes.made()[0];
  expect(!made.window && made.from == 100'000'000 && made.to == 200'000'000, "the rate, from and to");
  uint64_t at_ns = made.at_ns - role.measured_from_ns;
  expect(at_ns >= 9'980'000 && at_ns < config.duration_ns, "with the thousandth tick, or a little later");
  uint64_t planned = at_ns / 10'000 + (config.duration_ns - at_ns) / 5'000;
  uint64_t found = role.counters.sent.get() + role.counters.unsent.get();
  expect(found >= planned - 1 && found <= planned + 2, "ticks by both rates");
}

// Nobody answers: as many ticks wait as the window has room for. It is made wider, and then smaller.
void window_changed(Chance&) {
  GeneratorConfig config = generator_config(Match::clordid);
  config.streams[0].ticks.trigger_ratio = 1;
  config.window = 4;
  config.duration_ns = 100'000'000;
  config.ledger.timeout_ns = 200'000'000;
  GeneratorRole role(config);
  DeviceOptions options;
  options.on_tick = [&role, ticks = 0](MemoryIo&, const Tick&) mutable {
    if (++ticks == 3) role.changes.ask_window(10);
    if (ticks == 9) role.changes.ask_window(2);
  };
  Outcome outcome = run(role, options);
  check_identities(role, outcome);
  expect(outcome.due >= 9 && outcome.due <= 10, "no more than there was room for");
  expect_equal(role.changes.made().size(), 2, "changes");
  expect_equal(role.changes.made()[1].from, 10, "the window before");
  expect_equal(role.changes.made()[1].to, 2, "and after");
}

const Tests TESTS{
    {"generate: closed loop, a perfect device, IPv4, IPv6, VLAN", closed_loop},
    {"generate: closed loop, a window that never fills", wide_window},
    {"generate: open loop, each planned tick is sent or counted", open_loop},
    {"generate: open loop, exactly as many as asked for", count},
    {"generate: only sends", only_sends},
    {"generate: a silent device", silent_device},
    {"generate: a ledger smaller than the timeout", small_ledger},
    {"generate: a link that takes nothing any more", link_gone},
    {"generate: a network that is never quiet", never_quiet},
    {"generate: stopped", stopped},
    {"generate: another rate while it runs", rate_changed},
    {"generate: another window while it runs", window_changed},
    {"generate: frames by chance, matched by clOrdId", chance_clordid},
    {"generate: frames by chance, with timestamps", chance_stamped},
    {"generate: frames by chance, matched by price", chance_price},
    {"generate: frames by chance, first in first out", chance_fifo},
};

}  // namespace
}  // namespace carom::test
