// What the generator's threads of one run share: timestamps that tell whose a tick is, orders that are handed
// over, a common start, and an end that waits for all.
#include "loop/siblings.h"

#include <chrono>
#include <future>
#include <set>
#include <thread>

#include "generate/timestamps.h"
#include "test/device_io.h"

namespace carom::test {
namespace {

void timestamps(Chance& chance) {
  for (uint32_t threads : {1u, 2u, 3u, 16u}) {
    std::set<uint64_t> all;
    for (uint32_t thread = 0; thread < threads; thread++) {
      Timestamps own(thread, threads);
      uint64_t planned_ns = 1'700'000'000'000'000'000;
      uint64_t last = 0;
      for (int i = 0; i < 5000; i++) {
        planned_ns += chance.one_in(2) ? 0 : chance.below(200);
        uint64_t value = own.next(planned_ns);
        expect(value > last, "timestamps grow");
        expect_equal(value % threads, thread % threads, "the remainder tells the thread");
        if (planned_ns > last) expect(value - planned_ns < threads, "and they are near the planned time");
        expect(all.insert(value).second, "no two threads have the same");
        last = value;
      }
    }
  }
}

void order_with(uint64_t timestamp, uint8_t* order) {
  memset(order, 0, TRADING_ORDER_SIZE);
  write_hex(reinterpret_cast<char*>(order) + offsetof(trading_order, cl_ord_id), timestamp);
}

void ring(Chance&) {
  Siblings siblings(3);
  uint8_t order[TRADING_ORDER_SIZE];
  for (uint64_t i = 0; i < Siblings::CAPACITY; i++) {
    order_with(i, order);
    expect_equal(siblings.owner(order), i % 3, "the owner");
    expect(siblings.give(0, 1, order, i, 2 * i), "there is room");
  }
  expect(!siblings.give(0, 1, order, 0, 0), "and then there is none");
  expect(siblings.give(2, 1, order, 7, 8), "but from another thread");
  uint64_t taken = 0;
  siblings.take(1, [&](const HandedOrder& handed) {
    if (taken < Siblings::CAPACITY) {
      order_with(taken, order);
      expect_equal(handed.received_ns, taken, "when it was received");
      expect_equal(handed.stamp_ns, 2 * taken, "its stamp");
      expect(memcmp(handed.bytes, order, sizeof order) == 0, "its bytes");
    }
    taken++;
  });
  expect_equal(taken, Siblings::CAPACITY + 1, "all are taken, once");
  siblings.take(0, [](const HandedOrder&) { expect(false, "nothing is for the others"); });
  expect(siblings.give(0, 1, order, 0, 0), "there is room again");
}

void start_and_end(Chance&) {
  Siblings siblings(2);
  uint64_t start_ns = siblings.start_ns(1000);
  expect_equal(start_ns, 1000, "the first one to ask sets the time");
  expect_equal(siblings.start_ns(5000), start_ns, "and it is the other one's, too");
  siblings.settled();
  expect(!siblings.all_settled(), "one of two");
  siblings.settled();
  expect(siblings.all_settled(), "both");
}

// A million orders from one thread to another while both are at work.
void under_load(Chance&) {
  constexpr uint64_t ORDERS = 1'000'000;
  Siblings siblings(2);
  std::thread giver([&] {
    uint8_t order[TRADING_ORDER_SIZE];
    for (uint64_t i = 0; i < ORDERS; i++) {
      order_with(i, order);
      while (!siblings.give(0, 1, order, i, i)) std::this_thread::yield();
    }
  });
  uint64_t next = 0;
  bool in_order = true;
  while (next < ORDERS) {
    siblings.take(1, [&](const HandedOrder& handed) {
      uint64_t number =
          read_hex(reinterpret_cast<const char*>(handed.bytes) + offsetof(trading_order, cl_ord_id));
      in_order &= handed.received_ns == next && number == next;
      next++;
    });
    std::this_thread::yield();
  }
  giver.join();
  expect(in_order, "each one whole, once, in their order");
}

GeneratorConfig thread_config(uint32_t thread, uint32_t threads) {
  GeneratorConfig config{};
  config.io = io_config(false, false);
  StreamConfig& stream = config.streams.emplace_back();
  LineConfig& line = stream.lines.emplace_back();
  memcpy(line.destination.mac, GROUP4_MAC, 6);
  memcpy(line.destination.address, GROUP4, 16);
  line.destination.port = TICK_PORT;
  line.vlan = static_cast<int32_t>(thread) * 7 - 1;  // the first one untagged
  stream.schedule.arrival.rate_millihertz = 50'000'000;
  stream.ticks = {7 + thread, 0.9, {"AAPL", "MSFT"}, 1000, 10000, false};
  stream.source_port = config.io.send_port;
  stream.flows = 1;
  config.count = 2000;
  config.ledger = {
      4096, 1'000'000'000, Match::clordid, false, {STRATEGY_threshold, {10000, 100, 1, 0}, {}, 0}};
  config.late_threshold_ns = 3000;
  config.thread = thread;
  config.threads = threads;
  config.vlans = {-1, 6};
  return config;
}

// Two threads, and a network that brings every order to the other one.
void crossed(Chance&) {
  std::vector<std::unique_ptr<GeneratorRole>> roles;
  for (uint32_t thread = 0; thread < 2; thread++) {
    roles.push_back(std::make_unique<GeneratorRole>(thread_config(thread, 2)));
    if (thread > 0) roles[thread]->siblings = roles[0]->siblings;
  }
  std::mutex mutex;
  std::vector<Tick> on_the_way[2];
  DeviceOptions options[2];
  std::promise<void> ended[2];
  bool failed[2] = {};
  for (size_t own = 0; own < 2; own++) {
    options[own].on_tick = [&, own](MemoryIo&, const Tick& tick) {
      if (tick.price >= 10000) return;
      std::lock_guard lock(mutex);
      on_the_way[1 - own].push_back(tick);
    };
    options[own].on_poll = [&, own](MemoryIo& memory) {
      std::lock_guard lock(mutex);
      if (on_the_way[own].empty()) return;
      const Tick tick = on_the_way[own].back();
      on_the_way[own].pop_back();
      uint8_t order[TRADING_ORDER_SIZE];
      write_order(order, tick.symbol, tick.price + 1, 100, 0, 1, tick.timestamp);
      FrameFields fields = fields_between(false, false, static_cast<int32_t>(1 - own) * 7 - 1);
      fields.payload = order;
      fields.payload_length = sizeof order;
      uint8_t frame[256];
      memory.push(Frame{frame, build(fields, frame), false, 0});
    };
    roles[own]->open([&, own] {
      DeviceIo io(*roles[own], options[own]);
      auto loop = std::make_unique<GenerateLoop<DeviceIo>>(*roles[own], io);
      if (!roles[own]->opened({})) return;
      loop->run();
      failed[own] = io.failed;
    });
  }
  for (size_t own = 0; own < 2; own++) roles[own]->start([&, own](const auto&) { ended[own].set_value(); });
  for (size_t own = 0; own < 2; own++) {
    bool over = ended[own].get_future().wait_for(std::chrono::seconds(120)) == std::future_status::ready;
    for (const auto& role : roles) {
      if (!over) role->close();
    }
    expect(over, "the run comes to its end");
    expect(!failed[own], "the device is content");
  }
  for (size_t own = 0; own < 2; own++) {
    roles[own]->close();
    const LedgerCounters& is = roles[own]->ledger.counters();
    expect_equal(is.sent.get(), 2000, "sent");
    expect_equal(is.correct.get() + is.quiet.get(), 2000, "each one right");
    expect_equal(roles[own]->counters.handed_in.get(), is.correct.get(), "all by way of the other thread");
    expect_equal(roles[own]->counters.handed.get(), roles[1 - own]->counters.handed_in.get(), "none is lost");
    expect_equal(roles[own]->counters.handed_lost.get(), 0, "nor finds no room");
  }
}

const Tests TESTS{
    {"siblings: timestamps tell the thread, and no two are the same", timestamps},
    {"siblings: orders go from each to each, until there is no room", ring},
    {"siblings: one start for all, and one end", start_and_end},
    {"siblings: a million orders between two threads at work", under_load},
    {"siblings: orders that come by the other thread are judged right", crossed},
};

}  // namespace
}  // namespace carom::test
