// The responder's loop on frames from memory: a million of them by chance, each in exactly one counter, and
// every order that comes out is the one that had to.
#include <memory>
#include <vector>

#include "test/respond_support.h"

namespace carom::test {
namespace {

template <StrategyId ID>
using LoopOf = RespondLoop<MemoryIo, ID>;
using Loop = LoopOf<STRATEGY_threshold>;

constexpr uint64_t NOW_NS = 123'456'789;
constexpr MemoryIoOptions MEMORY{64, 1024, MAX_FRAME, FrameTemplate::MIN_BUFFER, true};

template <StrategyId ID>
class Responder {
 public:
  explicit Responder(const ResponderConfig& config)
      : role(config), model(config), loop_(new LoopOf<ID>(role, io)) {}

  // A batch through the loop.
  void process(std::vector<Expected>& expected) {
    uint32_t count = io.rx_peek(loop_->rx());
    loop_->process(count, now_ns);
    fed += count;
    size_t at = 0;
    for (const Expected& one : expected) {
      must.ticks += one.ticks;
      must.datagrams += one.for_us;
      must.partial += one.partial;
      must.orders += one.orders.size();
      must.limited += one.limited;
      must.over_limit += one.over_limit;
      for (size_t i = 0; i < one.orders.size(); i++) check_order(at++, one.orders[i].data(), one.lengths[i]);
    }
    expect_equal(io.sent().size(), at, "orders sent");
    io.clear_sent();
    expected.clear();
    agree();
  }

  ResponderRole role;
  MemoryIo io{MEMORY};
  ResponderModel model;
  uint64_t now_ns = NOW_NS;
  uint64_t fed = 0;
  struct {
    uint64_t datagrams, ticks, orders, partial, limited, over_limit;
  } must{};

 private:
  void check_order(size_t at, const uint8_t* expected, uint32_t length) {
    expect(at < io.sent().size(), "an order for every tick that must have one");
    const Frame& frame = io.sent()[at];
    expect_equal(frame.length, length, "length of an order's frame");
    if (memcmp(frame.data, expected, length) != 0) {
      fail("an order is " + hex_dump(frame.data, frame.length) + ", must be " + hex_dump(expected, length),
           __FILE__, __LINE__);
    }
    expect_equal(read_frame(frame.data, frame.length, {role.config.io.vlan, true}).defects, 0, "defects");
  }

  void agree() const {
    const ResponderCounters& is = role.counters;
    expect_equal(is.frames.get(), fed, "frames");
    expect_equal(is.datagrams.get(), must.datagrams, "datagrams");
    expect_equal(is.ticks.get(), must.ticks, "ticks");
    expect_equal(is.orders.get(), must.orders, "orders");
    expect_equal(is.partial_ticks.get(), must.partial, "partial ticks");
    expect_equal(is.orders_limited.get(), must.limited, "orders not sent to a source that had its answers");
    expect_equal(is.symbol_over_limit.get(), must.over_limit, "ticks of a symbol without room");
    expect_equal(is.orders_unsent.get() + is.undecidable.get(), 0, "unsent orders, undecidable ticks");
    uint64_t refused = total(is.refused) + is.wrong_mac.get() + is.wrong_address.get() +
                       is.wrong_group.get() + is.wrong_port.get() + is.unanswerable.get() + is.disabled.get();
    expect_equal(is.frames.get(), is.datagrams.get() + refused, "each frame is counted once");
    expect_equal(
        is.ticks.get(),
        is.orders.get() + is.quiet_ticks.get() + is.orders_limited.get() + is.symbol_over_limit.get(),
        "each tick is counted once");
  }

  std::unique_ptr<LoopOf<ID>> loop_;
};

template <StrategyId ID = STRATEGY_threshold>
void run(Chance& chance, const ResponderConfig& config, int frames) {
  Responder<ID> responder(config);
  std::vector<Expected> expected;
  uint8_t bytes[3][MAX_FRAME];
  uint32_t lengths[2] = {tick_frame(chance, config, bytes[0]), tick_frame(chance, config, bytes[1])};
  while (frames > 0) {
    for (uint32_t i = 1 + chance.below(12); i > 0; i--, frames--) {
      uint32_t at = chance.below(2);
      if (chance.one_in(4)) lengths[at] = tick_frame(chance, config, bytes[at]);
      memcpy(bytes[2], bytes[at], lengths[at]);
      uint32_t length = lengths[at];
      if (chance.one_in(2)) length = mutate(chance, bytes[2], length, bytes[1 - at], lengths[1 - at]);
      Frame frame{bytes[2], length, chance.one_in(4), 0};
      expected.push_back(expectation(frame, config, responder.now_ns, responder.model));
      expect(responder.io.push(frame), "room in the ring");
    }
    responder.process(expected);
    responder.now_ns += chance.one_in(100) ? chance.below(20'000'000) : chance.below(2000);
  }
  const ResponderCounters& is = responder.role.counters;
  expect(is.orders.get() > 20 && is.partial_ticks.get() > 20, "chance reached the ticks");
  if (ID != STRATEGY_echo) expect(is.quiet_ticks.get() > 1000, "and those that give no order");
  expect(is.wrong_mac.get() > 100 && is.wrong_address.get() > 100 && is.wrong_group.get() > 100 &&
             is.wrong_port.get() > 100 && (config.io.link.has_address6 || is.unanswerable.get() > 100),
         "chance reached every reason to refuse a datagram");
  for (ParseResult source : {ParseResult::multicast_source, ParseResult::group_source_mac}) {
    expect(is.refused[static_cast<size_t>(source)].get() > 100, "chance reached the sources that can't be");
  }
  expect((is.orders_limited.get() > 1000) == (config.limit.interval_ns != 0),
         "and the limit, if there is one");
  if (!STRATEGY_STATES[ID]) expect_equal(is.symbol_over_limit.get(), 0, "nothing is remembered");
  if (STRATEGY_STATES[ID] && config.strategy.symbol_limit < 3)
    expect(is.symbol_over_limit.get() > 1000, "and symbols without room");
  expect_equal(is.refused[0].get(), 0, "no frame is refused for being good");
}

void by_chance4(Chance& chance) { run(chance, responder_config(false), 900'000); }

void by_chance6(Chance& chance) {
  ResponderConfig config = responder_config(true);
  config.io.groups = {group_of(GROUP6, true)};
  config.strategy = {STRATEGY_threshold, {9995, 77, -9990, 1}, {}, 0};
  config.strategy.settings.price_offset = 3;
  run(chance, config, 700'000);
}

void by_chance_vlan(Chance& chance) {
  ResponderConfig config = responder_config(true);
  config.io.vlan = 100;
  config.io.ttl = 1;
  config.io.dscp = 46;
  Group other = group_of(GROUP4, false);
  other.address[3] ^= 2;
  config.io.groups = {group_of(GROUP6, true), group_of(GROUP4, false), other};
  run(chance, config, 500'000);
}

void by_chance_fixed(Chance& chance) {
  ResponderConfig config = responder_config(true);
  config.has_response_address = true;
  config.response_ipv6 = true;
  memcpy(config.response.address, GENERATOR6, 16);
  memcpy(config.response.mac, GENERATOR_MAC, 6);
  config.response.port = 1234;
  run(chance, config, 500'000);
}

ResponderConfig with_strategy(StrategyId id, uint32_t symbol_limit) {
  ResponderConfig config = responder_config(true);
  config.strategy.id = id;
  config.strategy.symbol_limit = symbol_limit;
  config.strategy.settings.fast_weight = 43691;  // of 2 and 7 ticks
  config.strategy.settings.slow_weight = 16384;
  config.strategy.settings.slow_ticks = 7;
  config.strategy.settings.spread = 1 << 30;  // a price in eight is any number
  return config;
}

void by_chance_strategies(Chance& chance) {
  run<STRATEGY_echo>(chance, with_strategy(STRATEGY_echo, 0), 200'000);
  run<STRATEGY_crossover>(chance, with_strategy(STRATEGY_crossover, 100), 200'000);
  run<STRATEGY_crossover>(chance, with_strategy(STRATEGY_crossover, 2), 200'000);
  run<STRATEGY_book>(chance, with_strategy(STRATEGY_book, 3), 200'000);
  run<STRATEGY_book>(chance, with_strategy(STRATEGY_book, 2), 200'000);
}

// Sources by the hundred; most ticks come from one of them.
void by_chance_limited(Chance& chance) {
  for (uint64_t tolerance_ns : {0u, 40'000u}) {
    ResponderConfig config = with_strategy(STRATEGY_echo, 0);
    config.limit = {10'000, tolerance_ns};
    run<STRATEGY_echo>(chance, config, 200'000);
    config.strategy.id = STRATEGY_crossover;
    config.strategy.symbol_limit = 2;
    run<STRATEGY_crossover>(chance, config, 200'000);
  }
}

// No room to send: what can't go is counted, and the loop goes on.
void full(Chance& chance) {
  ResponderRole role(responder_config(false));
  MemoryIo io({64, 16, MAX_FRAME, FrameTemplate::MIN_BUFFER, true});
  auto loop = std::make_unique<Loop>(role, io);
  uint8_t bytes[MAX_FRAME];
  for (uint32_t room : {16u, 0u, 16u}) {
    uint64_t before = role.counters.orders.get();
    for (uint32_t pushed = 0; pushed < 20;) {
      Frame frame{bytes, tick_frame(chance, role.config, bytes), true, 0};
      Expected expected = expectation(frame, role.config, NOW_NS);
      if (expected.ticks != 1 || expected.orders.empty()) continue;
      io.push(frame);
      pushed++;
    }
    loop->process(io.rx_peek(loop->rx()), NOW_NS);
    expect_equal(role.counters.orders.get() - before, room, "orders there was room for");
    if (room == 0) io.clear_sent();
  }
  expect_equal(role.counters.orders_unsent.get(), 4 + 20 + 4, "orders there was none for");
  expect_equal(role.counters.ticks.get(), 60, "ticks");
}

// The loop as a role runs it: on its own thread, from start to stop.
void as_a_role(Chance& chance) {
  ResponderRole role(responder_config(false));
  uint8_t bytes[MAX_FRAME];
  uint64_t orders = 0;
  MemoryIo io({64, 1024, MAX_FRAME, FrameTemplate::MIN_BUFFER, true});
  for (int i = 0; i < 64; i++) {
    Frame frame{bytes, tick_frame(chance, role.config, bytes), false, 0};
    orders += expectation(frame, role.config, NOW_NS).orders.size();
    io.push(frame);
  }
  role.open([&] {
    auto loop = std::make_unique<Loop>(role, io);
    if (role.opened({"from memory"})) loop->run();
  });
  expect(role.notes() == std::vector<std::string>{"from memory"}, "notes");
  role.start({});
  while (role.counters.frames.get() < 64 || role.counters.orders.get() < orders) usleep(100);
  role.stop();
  role.close();
  role.close();
  expect_equal(io.sent().size(), orders, "orders");
  expect(orders > 0, "there were some");
}

const Tests TESTS{
    {"respond: frames by chance, IPv4 group", by_chance4},
    {"respond: frames by chance, IPv6 group", by_chance6},
    {"respond: frames by chance, VLAN", by_chance_vlan},
    {"respond: frames by chance, to a fixed address", by_chance_fixed},
    {"respond: frames by chance, every strategy", by_chance_strategies},
    {"respond: frames by chance, a limit on answers", by_chance_limited},
    {"respond: no room to send", full},
    {"respond: on a thread of its own, from start to stop", as_a_role},
};

}  // namespace
}  // namespace carom::test
