// The ledger beside a program that sends and settles from the same memory, as bpf/generate.bpf.c does: the
// same story told to a naive ledger, which knows of no such program.
#include <vector>

#include "generate/ledger.h"
#include "generate/tick_source.h"
#include "test/ledger_model.h"
#include "test/test.h"

namespace carom::test {
namespace {

constexpr uint64_t TIMEOUT_NS = 3000;
constexpr uint32_t CAPACITY = 1024;
constexpr int64_t SHIFT_NS = 5'000'000;
const StrategyConfig STRATEGY{STRATEGY_threshold, {10000, 100, 1, 0}, {}, 0};

class Story {
 public:
  explicit Story(Chance& chance)
      : chance_(chance),
        config_{CAPACITY, TIMEOUT_NS, Match::clordid, false, STRATEGY},
        ledger(config_),
        model(config_),
        entries_(CAPACITY),
        dues_(CAPACITY),
        source_({chance.next(), 0.75, {"AAPL", "MSFT"}, 1000, 10000, false}) {
    ledger.use(entries_.data(), dues_.data());
  }

  void step() {
    now_ns_ += chance_.below(150);
    switch (chance_.below(8)) {
      case 0:
      case 1:
        prepare();
        break;
      case 2:
      case 3:
        send();
        break;
      case 4:
        settle_below();
        break;
      case 5:
        settle_above();
        break;
      case 6:
        expire();
        break;
      default:
        look();
    }
  }

  // What was sent and what came of it, as the ledger knows it.
  void look() {
    ledger.follow(below_, SHIFT_NS);
    const LedgerCounters& is = ledger.counters();
    const Counts& must = model.counts;
    expect_equal(is.sent.get(), must.sent, "sent");
    expect_equal(is.quiet.get(), must.quiet, "quiet");
    expect_equal(is.correct.get(), must.correct, "correct");
    expect_equal(is.wrong.get(), must.wrong, "wrong");
    expect_equal(is.late.get(), must.late, "late");
    expect_equal(is.missing.get(), must.missing, "missing");
    expect_equal(is.duplicate.get(), must.duplicate, "duplicate");
    expect_equal(is.unexpected.get(), must.unexpected, "unexpected");
    expect_equal(is.received.get(), must.received, "received");
    expect_equal(is.warmup_sent.get(), must.warmup_sent, "warmup_sent");
    expect_equal(is.warmup_answered.get(), must.warmup_answered, "warmup_answered");
    expect_equal(is.warmup_faults.get(), must.warmup_faults, "warmup_faults");
    expect_equal(ledger.waiting(), model.waiting(false), "waiting");
    expect_equal(ledger.latency_actual().count() + recorded_below_, model.actual.count, "round trips");
    expect_equal(is.stamped.get(), model.actual.count, "all of them by the program's clock");
  }

  void close() {
    ledger.follow(below_, SHIFT_NS);
    ledger.abandon();
    ledger.close();
    model.close();
    for (const Interval& slow : ledger.slowest().intervals())
      expect(slow.start_ns >= SHIFT_NS && slow.end_ns <= now_ns_ + SHIFT_NS, "on the other clock");
  }

  Chance& chance_;
  const LedgerConfig config_;
  Ledger ledger;
  LedgerModel model;

 private:
  ledger_entry& entry(uint64_t number) { return entries_[number % CAPACITY]; }

  void prepare() {
    for (uint32_t i = chance_.below(4); i > 0 && prepared_.size() < 50; i--) {
      Tick tick = source_.next();
      ledger.prepare(tick, 0, 7);
      prepared_.push_back(tick);
    }
  }

  // As the sending program does.
  void send() {
    for (uint32_t i = chance_.below(3); i > 0 && !prepared_.empty(); i--) {
      Tick tick = prepared_.front();
      prepared_.erase(prepared_.begin());
      ledger_entry& slot = entry(below_.taken);
      expect_equal(slot.next, 7, "the headers");
      tick.timestamp = timestamp_ += 1 + chance_.below(300);
      bool due = dues_[below_.taken % CAPACITY].decision.order != 0;
      bool measured = below_.taken >= 300;
      slot.planned_ns = now_ns_ - chance_.below(100);
      slot.sent_ns = now_ns_;
      slot.tick.timestamp = tick.timestamp;
      slot.status.state = static_cast<uint8_t>(due ? LEDGER_WAITING : LEDGER_QUIET);
      slot.status.measured = measured;
      below_.taken++;
      below_.due += due;
      below_.measured += measured;
      below_.quiet += measured && !due;
      model.sent(tick, slot.planned_ns, now_ns_, measured);
    }
  }

  const LedgerModel::Sent* any_sent() {
    if (below_.taken == 0) return nullptr;
    auto found = model.ticks.find(below_.taken - 1 - chance_.below(30));
    return found == model.ticks.end() ? nullptr : &found->second;
  }

  // As the judging program does: only an order that is right, in time, and the first one.
  void settle_below() {
    const LedgerModel::Sent* sent = any_sent();
    if (sent == nullptr) return;
    ledger_entry* slot = nullptr;
    for (uint64_t back = 1; back <= 40 && back <= below_.taken && slot == nullptr; back++) {
      if (entry(below_.taken - back).tick.timestamp == sent->tick.timestamp)
        slot = &entry(below_.taken - back);
    }
    if (slot == nullptr || slot->status.state != LEDGER_WAITING || now_ns_ > slot->sent_ns + TIMEOUT_NS)
      return;
    slot->received_ns = now_ns_;
    slot->status.state = LEDGER_ANSWERED_BELOW;
    below_.answered++;
    below_.warmup_answered += slot->status.measured == 0;
    recorded_below_ += slot->status.measured;
    uint8_t order[TRADING_ORDER_SIZE];
    write_order(order, sent->tick.symbol, sent->due.price, 100, 0, 1, sent->tick.timestamp);
    model.received(order, sizeof order, now_ns_, 0);
  }

  void settle_above() {
    const LedgerModel::Sent* sent = any_sent();
    if (sent == nullptr) return;
    uint8_t order[TRADING_ORDER_SIZE];
    uint32_t wrong = chance_.one_in(3) ? 1 : 0;
    write_order(order, sent->tick.symbol, sent->tick.price + 1 + wrong, 100, 0, 1, sent->tick.timestamp);
    ledger.follow(below_, SHIFT_NS);
    expect_equal(ledger.received(order, sizeof order, now_ns_, 0),
                 model.received(order, sizeof order, now_ns_, 0), "how many are settled");
  }

  void expire() {
    ledger.follow(below_, SHIFT_NS);
    expect_equal(ledger.expire(now_ns_), model.expire(now_ns_), "how many expired");
  }

  std::vector<ledger_entry> entries_;
  std::vector<ledger_due> dues_;
  TickSource source_;
  Ledger::Below below_{};
  std::vector<Tick> prepared_;  // and not sent
  uint64_t now_ns_ = 1'000'000;
  uint64_t timestamp_ = 1'700'000'000'000'000'000;
  uint64_t recorded_below_ = 0;
};

void story(Chance& chance) {
  for (int round = 0; round < 8; round++) {
    Story story(chance);
    for (int i = 0; i < 30'000; i++) story.step();
    story.look();
    story.close();
    const Counts& counts = story.model.counts;
    expect(counts.correct > 0 && counts.wrong > 0 && counts.missing > 0 && counts.late > 0 &&
               counts.duplicate > 0 && counts.unexpected > 0 && counts.warmup_answered > 0,
           "chance reached every verdict");
    expect_equal(story.ledger.counters().missing.get(), counts.missing, "missing, at the end");
    expect_equal(story.ledger.waiting(), 0, "nothing waits after the last word");
    expect(!story.ledger.slowest().intervals().empty(), "and the slowest are known");
  }
}

// Counts that a program made are the same as if each value had been recorded, but for the squares.
void histograms(Chance& chance) {
  std::vector<uint64_t> counts(Histogram::SIZE);
  Histogram whole;
  Histogram added;
  uint64_t sum = 0, least = UINT64_MAX, most = 0;
  for (int i = 0; i < 100'000; i++) {
    uint64_t value =
        chance.any_size() % 2 == 0 ? chance.below(5000) : chance.any_size() % (Histogram::HIGHEST * 2);
    whole.record(value);
    if (i % 3 == 0) {
      added.record(value);
      continue;
    }
    counts[Histogram::index_of(std::min(value, Histogram::HIGHEST))]++;
    sum += value;
    least = std::min(least, value);
    most = std::max(most, value);
  }
  added.add(counts.data(), sum, least, most);
  for (uint32_t i = 0; i < Histogram::SIZE; i++)
    expect_equal(added.count_at(i), whole.count_at(i), "a count");
  expect_equal(added.count(), whole.count(), "count");
  expect_equal(added.sum(), whole.sum(), "sum");
  expect_equal(added.min(), whole.min(), "min");
  expect_equal(added.max(), whole.max(), "max");
  Histogram none;
  none.add(std::vector<uint64_t>(Histogram::SIZE).data(), 0, UINT64_MAX, 0);
  expect_equal(none.count(), 0, "nothing added");
}

// A bucket's middle lies within it.
void middles(Chance& chance) {
  for (int i = 0; i < 100'000; i++) {
    uint64_t value = chance.any_size() % Histogram::HIGHEST;
    uint32_t index = Histogram::index_of(value);
    double middle = Histogram::middle_of(index);
    expect_equal(Histogram::index_of(static_cast<uint64_t>(middle)), index, "the place of its middle");
    expect(
        middle >= static_cast<double>(value) * 0.999 - 1 && middle <= static_cast<double>(value) * 1.001 + 1,
        "near the value");
  }
}

const Tests tests{{"below story", story}, {"below histograms", histograms}, {"below middles", middles}};

}  // namespace
}  // namespace carom::test
