// The ledger, case by case: what is told of late, what is drawn, a pause, a ring that comes round too early.
#include <cstring>
#include <vector>

#include "generate/ledger.h"
#include "test/test.h"

namespace carom::test {
namespace {

constexpr uint64_t TIMEOUT_NS = 3000;
constexpr uint32_t CAPACITY = 64;

const StrategyConfig DEFAULT{STRATEGY_threshold, {10000, 100, 1, 0}, {}, 0};

// What went wrong is there as soon as it has, missing ticks at their deadline; of a flood only the first
// ones, until they are taken.
void recent(Chance&) {
  Ledger ledger({4096, 1000, Match::clordid, false, DEFAULT});
  ledger.use_own_memory();
  Tick tick{};
  tick.symbol = 0x2020'2020'4c50'4141;
  tick.price = 9000;
  for (uint64_t i = 1; i <= 3; i++) {
    tick.timestamp = i;
    ledger.sent(tick, 10 * i, 10 * i, true);
  }
  uint8_t order[TRADING_ORDER_SIZE];
  write_order(order, tick.symbol, 8000, 100, 0, 1, 2);
  ledger.received(order, sizeof order, 50, 0);
  std::vector<Example> found = ledger.recent().take();
  expect_equal(found.size(), 1, "one was wrong");
  expect(found[0].verdict == Verdict::wrong && memcmp(found[0].received, order, sizeof order) == 0,
         "that one");
  ledger.expire(1025);
  found = ledger.recent().take();
  expect_equal(found.size(), 1, "the first one's time is over, the third one's is not");
  expect(found[0].verdict == Verdict::missing && found[0].has_expected && !found[0].has_received, "missing");
  expect_equal(ledger.recent().take().size(), 0, "each once");
  for (int i = 0; i < 1000; i++) ledger.received(order, sizeof order, 60, 0);
  expect_equal(ledger.recent().take().size(), Recent<Example>::CAPACITY, "of a flood");
  ledger.received(order, sizeof order, 70, 0);
  expect_equal(ledger.recent().take().size(), 1, "and again when there is room");
}

// A round trip overlaps a refresh that is going on when it ends, or that ended after it began.
void refreshes(Chance&) {
  Ledger ledger({4096, 1'000'000, Match::clordid, false, DEFAULT});
  ledger.use_own_memory();
  uint64_t overlapping = 0;
  uint64_t number = 0;
  auto round_trip = [&](uint64_t from_ns, uint64_t to_ns, bool overlaps, bool measured = true) {
    Tick tick{};
    tick.symbol = 0x2020'2020'4c50'4141;
    tick.price = 9000;
    tick.timestamp = ++number;
    ledger.sent(tick, from_ns, from_ns, measured);
    uint8_t order[TRADING_ORDER_SIZE];
    write_order(order, tick.symbol, 9001, 100, 0, 1, number);
    expect_equal(ledger.received(order, sizeof order, to_ns, 0), 1, "it is an answer");
    overlapping += overlaps;
    expect_equal(ledger.refreshes().overlapping().count(), overlapping,
                 "round trips that overlapped a refresh");
  };
  round_trip(100, 200, false);
  ledger.refreshes().begin(250);
  round_trip(210, 300, true);
  round_trip(260, 290, true);
  round_trip(265, 295, false, false);  // of the warm-up
  ledger.refreshes().end(350);
  round_trip(340, 400, true);
  round_trip(350, 410, false);
  ledger.refreshes().end(900);  // without a beginning: nothing
  round_trip(500, 600, false);
  expect_equal(ledger.refreshes().count(), 1, "refreshes");
  expect_equal(ledger.refreshes().total_ns(), 100, "their time");
  expect_equal(ledger.latency_actual().count(), 6, "all round trips");
}

// What was on its way in a pause has that much longer; what was sent after it has not.
void pause(Chance&) {
  Ledger ledger({CAPACITY, TIMEOUT_NS, Match::clordid, false, DEFAULT});
  ledger.use_own_memory();
  auto send = [&](uint64_t timestamp, uint64_t now_ns) {
    ledger.sent(Tick{{symbol_word("AAPL"), 9000, 100, timestamp}}, now_ns, now_ns, true);
  };
  auto answer = [&](uint64_t timestamp, uint64_t now_ns) {
    uint8_t order[TRADING_ORDER_SIZE];
    write_order(order, symbol_word("AAPL"), 9001, 100, 0, 0, timestamp);
    ledger.received(order, sizeof order, now_ns, 0);
  };
  send(1, 1000);
  send(2, 1001);
  ledger.paused(1100 + 50'000, 50'000);
  send(3, 52'000);
  expect_equal(ledger.expire(1001 + TIMEOUT_NS + 49'000), 0, "expired in the pause");
  answer(1, 1000 + TIMEOUT_NS + 50'000);
  expect_equal(ledger.counters().correct.get(), 1, "in time, but for the pause");
  expect_equal(ledger.expire(1002 + TIMEOUT_NS + 50'000), 1, "expired after it");
  answer(3, 52'001 + TIMEOUT_NS);
  expect_equal(ledger.counters().late.get(), 1, "late, as ever");
}

// The ring comes round before the time of what is in it is over: that is neither missing, nor are its orders
// unexpected.
void forgotten(Chance&) {
  for (bool steps : {false, true}) {
    LedgerConfig config{CAPACITY, TIMEOUT_NS, Match::clordid, false, DEFAULT};
    config.in_steps = steps;
    Ledger ledger(config);
    ledger.use_own_memory();
    constexpr uint64_t COUNT = CAPACITY + 10;
    for (uint64_t n = 1; n <= COUNT; n++) {
      Tick tick{{symbol_word("AAPL"), 9000, 100, 1000 + n}};
      if (steps) {
        ledger.depart(ledger.plan(tick, 0), 0, n, n, true, 1);
      } else {
        ledger.sent(tick, n, n, true);
      }
    }
    const LedgerCounters& is = ledger.counters();
    expect_equal(is.forgotten.get(), 10, "ticks that the ring has no room for");
    expect_equal(ledger.expire(COUNT), 10, "their places in the window are free");
    auto answer = [&](uint64_t timestamp, uint64_t now_ns) {
      uint8_t order[TRADING_ORDER_SIZE];
      write_order(order, symbol_word("AAPL"), 9001, 100, 0, 0, timestamp);
      ledger.received(order, sizeof order, now_ns, 0);
    };
    for (uint64_t n = 0; n <= COUNT + 1; n++) answer(1000 + n, COUNT);
    expect_equal(is.unjudged.get(), 10, "their orders");
    expect_equal(is.correct.get(), CAPACITY, "the others");
    expect_equal(is.unexpected.get(), 2, "before the first, and behind the last");
    expect_equal(is.missing.get(), 0, "missing");
    // Once their time is over, those without an answer are missing when the ring comes round.
    for (uint64_t n = 1; n <= 2 * CAPACITY; n++) {
      Tick tick{{symbol_word("AAPL"), 9000, 100, 5000 + n}};
      ledger.sent(tick, n * 2 * TIMEOUT_NS, n * 2 * TIMEOUT_NS, true);
    }
    expect_equal(is.forgotten.get(), 10, "no others");
    expect_equal(is.missing.get(), CAPACITY, "missing in time");
  }
}

const Tests TESTS{
    {"ledger: what went wrong of late", recent},
    {"ledger: round trips while a user interface is drawn", refreshes},
    {"ledger: a pause", pause},
    {"ledger: ticks that the ring overtakes are forgotten, not missing", forgotten},
};

}  // namespace
}  // namespace carom::test
