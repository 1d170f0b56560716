// The ledger against a naive one: both get the same sequence by chance, and agree after every step.
#include <cstring>
#include <memory>
#include <vector>

#include "generate/ledger.h"
#include "generate/tick_source.h"
#include "test/ledger_model.h"
#include "test/test.h"

namespace carom::test {
namespace {

constexpr uint64_t TIMEOUT_NS = 3000;
constexpr uint32_t CAPACITY = 64;

void same(const Histogram& histogram, const LedgerModel::Figures& figures, const char* what) {
  expect_equal(histogram.count(), figures.count, what);
  expect_equal(histogram.sum(), figures.sum, what);
  expect_equal(histogram.min(), figures.min, what);
  expect_equal(histogram.max(), figures.max, what);
}

void agree(const Ledger& ledger, const LedgerModel& model) {
  const LedgerCounters& is = ledger.counters();
  const Counts& must = model.counts;
  expect_equal(is.sent.get(), must.sent, "sent");
  expect_equal(is.quiet.get(), must.quiet, "quiet");
  expect_equal(is.correct.get(), must.correct, "correct");
  expect_equal(is.wrong.get(), must.wrong, "wrong");
  expect_equal(is.late.get(), must.late, "late");
  expect_equal(is.missing.get(), must.missing, "missing");
  expect_equal(is.received.get(), must.received, "received");
  expect_equal(is.duplicate.get(), must.duplicate, "duplicate");
  expect_equal(is.unexpected.get(), must.unexpected, "unexpected");
  expect_equal(is.partial_orders.get(), must.partial_orders, "partial_orders");
  expect_equal(is.reordered.get(), must.reordered, "reordered");
  expect_equal(is.stamped.get(), must.stamped, "stamped");
  expect_equal(is.unstamped.get(), must.unstamped, "unstamped");
  expect_equal(is.warmup_sent.get(), must.warmup_sent, "warmup_sent");
  expect_equal(is.warmup_answered.get(), must.warmup_answered, "warmup_answered");
  expect_equal(is.warmup_faults.get(), must.warmup_faults, "warmup_faults");
  expect_equal(is.withheld.get(), must.withheld, "withheld");
  expect_equal(is.forgotten.get(), must.forgotten, "forgotten");
  expect_equal(is.unjudged.get(), must.unjudged, "unjudged");
  expect_equal(is.answered_copies.get(), must.answered_copies, "answered_copies");
  expect_equal(ledger.waiting(), model.waiting(false), "waiting");
  expect_equal(ledger.stamps_due(), model.stamps_due, "stamps_due");
  same(ledger.latency_actual(), model.actual, "latency_actual");
  same(ledger.latency_planned(), model.planned, "latency_planned");
  same(ledger.warmup(), model.warmup, "warmup");
  // The two identities that the report is built on.
  expect_equal(is.sent.get(),
               is.quiet.get() + is.correct.get() + is.wrong.get() + is.late.get() + is.missing.get() +
                   is.withheld.get() + is.forgotten.get() + model.waiting(true),
               "each tick is counted once");
  expect_equal(is.received.get(),
               is.correct.get() + is.wrong.get() + is.late.get() + is.duplicate.get() + is.unexpected.get() +
                   is.answered_copies.get() + is.unjudged.get(),
               "each order is counted once");
}

// The figures of each stream, where there are several.
void streams_agree(const Ledger& ledger, const LedgerModel& model) {
  for (uint32_t stream = 0; stream < ledger.streams().size(); stream++) {
    const StreamLedger& is = ledger.streams()[stream];
    const Counts& must = model.by_stream[stream];
    expect_equal(is.counters.sent.get(), must.sent, "a stream's sent");
    expect_equal(is.counters.quiet.get(), must.quiet, "a stream's quiet");
    expect_equal(is.counters.withheld.get(), must.withheld, "a stream's withheld");
    expect_equal(is.counters.correct.get(), must.correct, "a stream's correct");
    expect_equal(is.counters.wrong.get(), must.wrong, "a stream's wrong");
    expect_equal(is.counters.late.get(), must.late, "a stream's late");
    expect_equal(is.counters.missing.get(), must.missing, "a stream's missing");
    expect_equal(is.counters.duplicate.get(), must.duplicate, "a stream's duplicate");
    expect_equal(is.counters.unexpected.get(), must.unexpected, "a stream's unexpected");
    expect_equal(is.counters.reordered.get(), must.reordered, "a stream's reordered");
    same(is.latency_actual, model.actual_by_stream[stream], "a stream's latency_actual");
    same(is.latency_planned, model.planned_by_stream[stream], "a stream's latency_planned");
  }
}

// One sequence by chance: what happens, to both ledgers at the same time.
class Story {
 public:
  Story(Chance& chance, Match match, bool stamped, StrategyConfig strategy, bool in_steps = false)
      : chance_(chance),
        config_{CAPACITY,
                TIMEOUT_NS,
                match,
                stamped,
                std::move(strategy),
                in_steps,
                in_steps ? MODEL_STREAMS : 1},
        ledger(config_),
        model(config_),
        source_({chance.next(),
                 0.75,
                 {"AAPL", "MSFT", "GOOG"},
                 match == Match::price ? 80u : 1000u,
                 config_.strategy.settings.threshold,
                 match == Match::price}) {
    ledger.use_own_memory();
  }

  void step() {
    now_ns_ += chance_.one_in(50) ? chance_.below(3 * TIMEOUT_NS) : chance_.below(120);
    switch (chance_.below(16)) {
      case 0:
        expire();
        break;
      case 1:
      case 2:
      case 3:
        if (config_.stamped) stamp();
        break;
      case 4:
      case 5:
      case 6:
      case 7:
        answer();
        break;
      default:
        config_.in_steps ? step_on() : send();
    }
    agree(ledger, model);
    streams_agree(ledger, model);
  }

  Chance& chance_;
  const LedgerConfig config_;
  Ledger ledger;
  LedgerModel model;

 private:
  void send() {
    // Once in a while so many that the ring comes round with ticks still waiting in it.
    uint32_t count = chance_.one_in(200) ? CAPACITY + chance_.below(CAPACITY) : 1 + chance_.below(3);
    for (uint32_t i = 0; i < count; i++) {
      Tick tick = source_.next();
      timestamp_ += 1 + chance_.any_size() % 1000;
      tick.timestamp = timestamp_;
      uint64_t planned_ns = chance_.one_in(2) ? now_ns_ : now_ns_ - chance_.below(500);
      bool measured = sent_++ >= 500;
      ledger.sent(tick, planned_ns, now_ns_, measured);
      model.sent(tick, planned_ns, now_ns_, measured);
    }
  }

  // Ticks are planned in their order, and depart, or are withheld, in any.
  void step_on() {
    if (pending_.size() < 20 && !chance_.one_in(3)) {
      Tick tick = source_.next();
      timestamp_ += 1 + chance_.any_size() % 1000;
      tick.timestamp = timestamp_;
      uint32_t stream = chance_.below(MODEL_STREAMS);
      uint32_t low = ledger.plan(tick, stream);
      uint64_t number = model.plan(tick, stream);
      expect_equal(low, static_cast<uint32_t>(number), "numbers");
      pending_.push_back({number, stream});
      return;
    }
    // Now and then the ring comes round with some that have not departed.
    size_t index = chance_.one_in(4) ? 0 : chance_.below(static_cast<uint32_t>(pending_.size()));
    if (pending_.empty() || (index == 0 && chance_.one_in(2))) return;
    auto [number, stream] = pending_[index];
    pending_.erase(pending_.begin() + static_cast<ptrdiff_t>(index));
    bool measured = sent_++ >= 500;
    uint32_t low = static_cast<uint32_t>(number);
    if (chance_.one_in(5)) {
      ledger.withhold(low, stream, measured);
      model.withhold(number, stream, measured);
    } else {
      uint8_t answers = static_cast<uint8_t>(1 + chance_.below(3));
      uint64_t planned_ns = now_ns_ - chance_.below(500);
      ledger.depart(low, stream, planned_ns, now_ns_, measured, answers);
      model.depart(number, stream, planned_ns, now_ns_, measured, answers);
    }
  }

  void expire() {
    // The loop's clock may be read a little before the send.
    uint64_t at_ns = chance_.one_in(4) ? now_ns_ - chance_.below(100) : now_ns_;
    expect_equal(ledger.expire(at_ns), model.expire(at_ns), "how many expired");
  }

  void stamp() {
    if (model.next == 0) return;
    uint32_t back = chance_.one_in(8) ? chance_.below(2 * CAPACITY) : chance_.below(12);  // out of order
    TxStamp stamp{static_cast<uint32_t>(model.next) - back, 0};  // 0 back: not sent yet
    auto found = model.ticks.find(stamp.index);
    uint64_t sent_ns = found == model.ticks.end() ? now_ns_ : found->second.sent_ns;
    stamp.stamp_ns = STAMP_BASE + sent_ns + chance_.below(200);
    if (chance_.one_in(10)) stamp.stamp_ns += chance_.below(20'000);  // a clock that was stepped
    if (chance_.one_in(10)) stamp.stamp_ns -= chance_.below(20'000);
    if (!config_.stamped) return;
    ledger.left(stamp);
    model.left(stamp);
  }

  // The order that a tick must have; what isn't in it yet is chance.
  void right_order(const LedgerModel::Sent& sent, uint8_t* order) {
    Decision due = sent.due;
    if (!due.order) due = {sent.tick.price, 100, 0, 0, 0, 0};
    write_order(order, sent.tick.symbol, due.price, due.quantity, due.side, chance_.next(),
                sent.tick.timestamp);
  }

  void any_order(uint8_t* order) {
    if (model.ticks.empty() || chance_.one_in(20)) {
      chance_.fill(order, TRADING_ORDER_SIZE);
      return;
    }
    uint64_t back = 1 + chance_.below(chance_.one_in(3) ? CAPACITY : 6);
    auto found = model.ticks.find(model.next - back);
    if (found == model.ticks.end()) found = model.ticks.begin();
    if (!chance_.one_in(4)) {
      while (!found->second.due.order && found != model.ticks.begin()) found--;
    }
    right_order(found->second, order);
    char* id = reinterpret_cast<char*>(order) + 25;
    switch (chance_.below(14)) {
      case 0:  // one field wrong
        order[chance_.below(17)] ^= static_cast<uint8_t>(1 + chance_.below(255));
        break;
      case 1:
        order[16] ^= 1;
        break;
      case 2:
        for (int i = 0; i < 16; i++) id[i] = static_cast<char>(id[i] >= 'a' ? id[i] - 32 : id[i]);
        break;
      case 3:
        write_hex(id, chance_.one_in(2) ? timestamp_ + chance_.below(5) : found->second.tick.timestamp - 1);
        break;
      case 4:
        id[chance_.below(16)] = static_cast<char>(chance_.byte());
        break;
      default:
        break;
    }
  }

  void answer() {
    uint8_t datagram[5 * TRADING_ORDER_SIZE];
    uint32_t orders = chance_.one_in(4) ? chance_.below(4) : 1;
    for (uint32_t i = 0; i < orders; i++) {
      any_order(datagram + i * TRADING_ORDER_SIZE);
      if (i > 0 && chance_.one_in(3)) memcpy(datagram + i * TRADING_ORDER_SIZE, datagram, TRADING_ORDER_SIZE);
    }
    uint32_t length = orders * TRADING_ORDER_SIZE;
    if (chance_.one_in(8)) {
      chance_.fill(datagram + length, TRADING_ORDER_SIZE - 1);
      length += chance_.below(TRADING_ORDER_SIZE);
    }
    uint64_t stamp_ns = STAMP_BASE + now_ns_ - chance_.below(100);
    if (chance_.one_in(6)) stamp_ns = 0;
    // A copy of just this size: an order read beyond its end is found by ASan.
    std::unique_ptr<uint8_t[]> exact(new uint8_t[length]);
    memcpy(exact.get(), datagram, length);
    expect_equal(ledger.received(exact.get(), length, now_ns_, stamp_ns),
                 model.received(exact.get(), length, now_ns_, stamp_ns), "how many are settled");
  }

  static constexpr uint64_t STAMP_BASE = 1'700'000'000'000'000'000;

  TickSource source_;
  uint64_t now_ns_ = 1'000'000;
  uint64_t timestamp_ = chance_.next() >> 1;
  uint64_t sent_ = 0;
  std::vector<std::pair<uint64_t, uint32_t>> pending_;  // planned, and not departed: number and stream
};

void check_examples(const Ledger& ledger) {
  size_t by_verdict[7] = {};
  for (const Example& example : ledger.examples()) {
    by_verdict[static_cast<size_t>(example.verdict)]++;
    bool is_missing = example.verdict == Verdict::missing;
    expect(example.verdict != Verdict::correct, "no example of what is right");
    expect(example.has_received != is_missing, "what came, unless nothing did");
    bool is_free = example.verdict == Verdict::unexpected || example.verdict == Verdict::unjudged;
    if (!is_free) expect(example.has_tick, "the tick");
    if (example.has_tick && example.verdict != Verdict::unexpected) {
      expect(example.has_expected, "what should have come");
      expect(memcmp(example.expected, example.tick, 8) == 0, "for the tick's symbol");
    }
  }
  for (size_t i = 1; i < 7; i++) expect(by_verdict[i] <= Ledger::EXAMPLES, "a bounded number of each");
}

void compare(Chance& chance, Match match, bool stamped, StrategyConfig strategy, int steps,
             bool in_steps = false) {
  uint64_t warmup_answered = 0;
  for (int round = 0; round < 4; round++) {
    Story story(chance, match, stamped, strategy, in_steps);
    for (int i = 0; i < steps / 4; i++) story.step();
    story.ledger.abandon();
    story.ledger.close();
    story.model.close();
    agree(story.ledger, story.model);
    expect_equal(story.ledger.waiting(), 0, "nothing waits after the last word");
    check_examples(story.ledger);
    const Counts& counts = story.model.counts;
    warmup_answered += counts.warmup_answered;
    expect(counts.correct > 0 && counts.wrong > 0 && counts.missing > 0 && counts.unexpected > 0 &&
               counts.late > 0 && counts.reordered > 0 && counts.quiet > 0,
           "chance reached every verdict");
    if (match == Match::clordid) expect(counts.duplicate > 0, "duplicates, too");
    if (in_steps) expect(counts.withheld > 0 && counts.answered_copies > 0, "and what is done on purpose");
    if (stamped) expect(counts.stamped > 0 && counts.unstamped > 0, "with stamps, and without");
  }
  expect(warmup_answered > 0, "and right answers in the warm-up");
}

const StrategyConfig DEFAULT{STRATEGY_threshold, {10000, 100, 1, 0}, {}, 0};
const StrategyConfig SOME{
    STRATEGY_threshold, {5000, 7, -4500, 1}, {"AAPL", "GOOG"}, 0};  // prices below 4500 give no order

void clordid(Chance& chance) {
  compare(chance, Match::clordid, false, DEFAULT, 300'000);
  compare(chance, Match::clordid, false, SOME, 200'000);
}
void clordid_stamped(Chance& chance) { compare(chance, Match::clordid, true, DEFAULT, 300'000); }
void price(Chance& chance) {
  compare(chance, Match::price, false, DEFAULT, 200'000);
  compare(chance, Match::price, true, SOME, 200'000);
}
void fifo(Chance& chance) {
  compare(chance, Match::fifo, false, DEFAULT, 200'000);
  compare(chance, Match::fifo, true, SOME, 200'000);
}

// What must come back follows from all ticks before: the ledger has to have decided in the order of sending.
void strategies(Chance& chance) {
  strategy_settings settings{10000, 7, -3, 1, 43691, 16384, 7, 700};
  for (Match match : {Match::clordid, Match::fifo}) {
    compare(chance, match, false, {STRATEGY_echo, settings, {"AAPL", "GOOG"}, 0}, 60'000);
    compare(chance, match, true, {STRATEGY_crossover, settings, {}, 3}, 100'000);
    compare(chance, match, false, {STRATEGY_crossover, settings, {}, 2}, 100'000);
    compare(chance, match, false, {STRATEGY_crossover, settings, {"MSFT", "GOOG"}, 3}, 100'000);
    compare(chance, match, true, {STRATEGY_book, settings, {}, 2}, 150'000);
    compare(chance, match, false, {STRATEGY_book, settings, {}, 100}, 150'000);
  }
}

// What is done on purpose: planned in order, departing in any, withheld, answered several times.
void in_steps(Chance& chance) {
  compare(chance, Match::clordid, false, DEFAULT, 300'000, true);
  compare(chance, Match::clordid, false, {STRATEGY_book, {10000, 7, -3, 1, 43691, 16384, 7, 700}, {}, 100},
          200'000, true);
}

// A closed loop counts on it: each tick that must be answered gives its place in the window back exactly
// once.
void window(Chance& chance) {
  for (Match match : {Match::clordid, Match::price, Match::fifo}) {
    Story story(chance, match, false, DEFAULT);
    for (int i = 0; i < 20'000; i++) story.step();
    uint64_t due = 0, settled = 0;
    Ledger ledger({CAPACITY, TIMEOUT_NS, match, false, DEFAULT});
    ledger.use_own_memory();
    for (uint64_t n = 1; n <= 10 * CAPACITY; n++) {
      Tick tick{{symbol_word("AAPL"), static_cast<uint32_t>(n % 2 == 0 ? 9000 + n % 80 : 10000), 100, n}};
      due += n % 2 == 0;
      ledger.sent(tick, n, n, true);
      if (n % 100 == 0) settled += ledger.expire(n);  // nothing is late: the ring comes round too early
    }
    settled += ledger.expire(1'000'000);
    expect_equal(settled, due, "ticks that were missed and gave their place back");
  }
}

const Tests TESTS{
    {"ledger: as a naive one, matched by clOrdId", clordid},
    {"ledger: as a naive one, matched by clOrdId, with timestamps", clordid_stamped},
    {"ledger: as a naive one, matched by price", price},
    {"ledger: as a naive one, first in first out", fifo},
    {"ledger: as a naive one, every strategy", strategies},
    {"ledger: as a naive one, ticks that depart out of order, or never", in_steps},
    {"ledger: every tick that waited gives its place in the window back", window},
};

}  // namespace
}  // namespace carom::test
