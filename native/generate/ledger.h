// The ledger: what became of every tick. A ring of the last ticks sent, in the order of sending; each order
// that comes in is tied to its tick and judged, and gets exactly one verdict. Nothing leaves it uncounted.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "core/counters.h"
#include "core/histogram.h"
#include "core/parts.h"
#include "core/passages.h"
#include "core/turn_watch.h"
#include "generate/ledger_entry.h"
#include "generate/recent.h"
#include "generate/refreshes.h"
#include "io/packet_io.h"
#include "order/native_order.h"
#include "strategy/runner.h"

namespace carom {

enum class Match : uint8_t { clordid, price, fifo };
enum class Verdict : uint8_t { correct, wrong, missing, duplicate, unexpected, late, unjudged };

// A tick on its way, and its number in the ledger.
struct FedTick {
  Tick tick;
  uint32_t entry;
};

struct LedgerConfig {
  uint32_t capacity;  // ticks remembered, a power of two
  uint64_t timeout_ns;
  Match match;
  bool stamped;  // kernel or hardware timestamps are wanted
  StrategyConfig strategy;
  bool in_steps = false;  // ticks are planned, and depart later (plan, depart)
  uint32_t streams = 1;   // whose figures are kept apart as well when there are several
  PartsConfig parts = {};
  uint64_t path_ns = 0;  // of a round trip by such stamps, what is not the device's: subtracted
};

// Each tick of the measured part is counted once in sent, and once in one of those behind it.
struct LedgerCounters {
  Counter sent;
  Counter quiet;      // must not be answered
  Counter correct;    // answered, in time and right
  Counter wrong;      // answered by an order that is not the one that had to come
  Counter late;       // answered right, after the timeout
  Counter missing;    // had to be answered and was not, so far
  Counter withheld;   // lost or spoilt on purpose: the device can't know it
  Counter forgotten;  // the ring came round before its time was over: nobody knows what became of it
  // Each order is counted once in received, and once in correct, wrong, late or one of these.
  Counter received;
  Counter duplicate;        // the tick had its answer already
  Counter unexpected;       // no tick, or one that must not be answered
  Counter unjudged;         // it may be the answer to a tick that was forgotten
  Counter answered_copies;  // right answers to the copies of a tick that was sent several times on purpose
  // About them.
  Counter partial_orders;  // datagrams with bytes behind the last whole order
  Counter reordered;       // answers that came after the answer of a later tick
  Counter stamped;         // round trips with both timestamps of the kernel or the NIC
  Counter unstamped;       // those without, or with ones that can't be: taken from the TSC
  // The warm-up, which is in none of the others.
  Counter warmup_sent;
  Counter warmup_answered;  // right and in time
  Counter warmup_faults;    // any other verdict
};

// The same of one stream. An order that belongs to no tick belongs to no stream.
struct StreamLedger {
  LedgerCounters counters;
  Histogram latency_planned;
  Histogram latency_actual;
};

// An order that was not right, or a tick whose order did not come: kept for the report.
struct Example {
  Verdict verdict;
  bool has_tick;
  bool has_expected;
  bool has_received;
  uint8_t tick[MARKET_DATA_SIZE];
  uint8_t expected[TRADING_ORDER_SIZE];
  uint8_t received[TRADING_ORDER_SIZE];
};

// What became of an order, for whoever follows them one by one.
struct Judgement {
  uint64_t number;      // of the tick
  uint64_t latency_ns;  // since it was sent; 0 when it was not
  uint64_t symbol;      // of the order, as price, quantity and side
  uint64_t expected_symbol;
  uint32_t price;
  uint32_t quantity;
  uint8_t side;
  Verdict verdict;
  bool has_tick;
  bool measured;
  bool is_copy;  // a right answer to a copy that was sent on purpose
  Decision expected;
};

// Those of one datagram.
struct Judgements {
  static constexpr uint32_t MOST = 64;

  std::array<Judgement, MOST> list;
  uint32_t count;
  uint32_t more;  // that found no room
};

class Ledger {
 public:
  static constexpr size_t EXAMPLES = 32;  // of each verdict, the first ones
  static constexpr size_t SLOWEST = 1000;

  // What an eBPF program that sends and settles from the same memory has done so far.
  struct Below {
    uint64_t taken;   // entries, warm-up included
    uint64_t passed;  // of them, those that were not sent because they were late
    uint64_t due;     // of them, those to be answered
    uint64_t measured;
    uint64_t quiet;  // of these, those not to be answered
    uint64_t answered;
    uint64_t warmup_answered;
    uint64_t reordered;
  };

  // What the ledger has of a tick.
  struct Expectation {
    uint64_t number;
    bool is_known;
    bool is_due;  // an answer
    bool is_withheld;
    bool is_measured;
  };

  explicit Ledger(const LedgerConfig& config);

  // Before the first tick: its own memory, or memory of `capacity` of each that an eBPF program shares.
  void use_own_memory();
  // Where it keeps the stamps of the ticks that are followed, when they are told.
  void log_stamps(PassageLog* log) noexcept { stamp_log_ = log; }
  void use(ledger_entry* entries, ledger_due* dues) noexcept;

  uint32_t capacity() const noexcept { return config_.capacity; }

  // A tick that must be answered and is overtaken by the ring before its time is over is forgotten, and
  // counted. A tick has been handed to the wire; `measured` is false in the warm-up. Returns whether an order
  // must come back.
  bool sent(const Tick& tick, uint64_t planned_ns, uint64_t sent_ns, bool measured) noexcept;  // of stream 0

  // The same where nobody waits for answers: it is counted, and forgotten.
  void sent_only(bool measured, uint32_t stream, bool withheld = false) noexcept {
    count(measured ? &LedgerCounters::sent : &LedgerCounters::warmup_sent, stream);
    if (measured && withheld) count(&LedgerCounters::withheld, stream);
  }

  // The same in steps, for ticks that leave in another order than that of their timestamps. First it gets its
  // entry, whose number is returned; timestamps grow from call to call.
  uint32_t plan(const Tick& tick, uint32_t stream) noexcept;

  // Then it was sent, so that the device can answer it; so many times, if it was sent as often.
  void depart(uint32_t number, uint32_t stream, uint64_t planned_ns, uint64_t sent_ns, bool measured,
              uint8_t answers) noexcept;

  // Or it never will be, on purpose, so that nothing may come back.
  void withhold(uint32_t number, uint32_t stream, bool measured) noexcept;

  // A frame was handed to the wire, with these ticks for the first time: what left() is told is about frames.
  // Called for each frame, or for none.
  void frame(std::span<const FedTick> ticks) noexcept;

  // A tick that the program is to send; it gives it its timestamp.
  void prepare(const Tick& tick, uint64_t planned_ns, uint32_t headers) noexcept;

  // The same where nobody waits for answers.
  void prepare_only(const Tick& tick, uint64_t planned_ns, uint32_t headers) noexcept {
    entry(next_++) = {planned_ns, 0, 0, 0, tick, headers, {{LEDGER_PLANNED, 0, 0, 0}}};
    unsent_++;
  }

  // Leads from the clock of what is sent and received to the one of intervals, where they are two.
  void set_shift(int64_t shift_ns) noexcept { shift_ns_ = shift_ns; }

  // Takes over what the program has done since the last call. `shift_ns` leads from the program's clock to
  // the one of intervals.
  void follow(const Below& now, int64_t shift_ns) noexcept;

  // The program's round trips, to be added to the others.
  Histogram& latency_planned() noexcept { return latency_planned_; }
  Histogram& latency_actual() noexcept { return latency_actual_; }
  Histogram& warmup() noexcept { return warmup_; }
  HistogramParts& parts() noexcept { return parts_; }

  // The process did not run until now: what was on its way then has that much longer.
  void paused(uint64_t now_ns, uint64_t length_ns) noexcept {
    pause_end_ns_ = now_ns;
    pause_ns_ = length_ns;
  }

  // What was planned and has not departed never will.
  void abandon() noexcept;

  // A datagram of orders came in. Returns how many ticks have got their answer by it.
  uint32_t received(const uint8_t* payload, uint32_t length, uint64_t now_ns, uint64_t stamp_ns) noexcept;

  // Each judgement from now on is added to these; null for none.
  void tell(Judgements* judgements) noexcept { judgements_ = judgements; }

  Expectation expectation(uint64_t timestamp) noexcept;

  // When an earlier tick left, by the kernel or the NIC.
  void left(const TxStamp& stamp) noexcept;

  // Ticks whose time is over are missing from now on. Returns how many have become so since the last call, by
  // their time or because the ring came round.
  uint32_t expire(uint64_t now_ns) noexcept;

  // The last word: what waits for a timestamp gets the TSC's, the missing become examples.
  void close() noexcept;

  uint64_t waiting() const noexcept {
    return waiting_;
  }  // ticks whose answer is due and not there, nor missing
  uint64_t first_open() const noexcept { return first_open_; }  // grows as ticks are settled
  uint64_t stamps_due() const noexcept { return stamps_due_; }

  const LedgerCounters& counters() const noexcept { return counters_; }
  const Histogram& latency_planned() const noexcept { return latency_planned_; }
  const Histogram& latency_actual() const noexcept { return latency_actual_; }
  const Histogram& warmup() const noexcept { return warmup_; }
  const HistogramParts& parts() const noexcept { return parts_; }
  const LargestIntervals& slowest() const noexcept { return slowest_; }
  const std::vector<Example>& examples() const noexcept { return examples_; }
  // May be taken from while the loop runs.
  Recent<Example>& recent() noexcept { return recent_; }
  Refreshes& refreshes() noexcept { return refreshes_; }
  const Refreshes& refreshes() const noexcept { return refreshes_; }
  const std::vector<StreamLedger>& streams() const noexcept { return streams_; }  // empty: there is one

 private:
  using Entry = ledger_entry;

  // The ticks that a frame brought for the first time: of the first one the number, the others follow.
  struct FrameTicks {
    uint32_t first;
    uint32_t count;
  };

  struct Order;

  Entry& entry(uint64_t number) noexcept { return entries_[number & mask_]; }
  uint64_t oldest() const noexcept { return next_ > mask_ + 1 ? next_ - mask_ - 1 : 0; }
  uint64_t extend(uint32_t low) const noexcept {
    return next_ - static_cast<uint32_t>(static_cast<uint32_t>(next_) - low);
  }
  // Of the tick that is in an entry of the ring.
  uint64_t number_of(uint64_t slot) const noexcept { return next_ - 1 - ((next_ - 1 - slot) & mask_); }
  // Until when an answer is in time.
  uint64_t deadline_ns(const Entry& entry) const noexcept {
    return entry.sent_ns + config_.timeout_ns + (entry.sent_ns < pause_end_ns_ ? pause_ns_ : 0);
  }
  Entry* find(const Order& order) noexcept;
  Entry* find_timestamp(uint64_t timestamp) noexcept;
  Entry* take_waiting(const Order& order) noexcept;
  bool judge(const Order& order, uint64_t now_ns, uint64_t stamp_ns) noexcept;
  bool is_right(const Order& order, const Entry& entry) const noexcept;
  [[gnu::noinline, gnu::cold]] void note(Verdict verdict, const Order& order, const Entry* entry,
                                         uint64_t now_ns, bool is_copy) noexcept;
  const Decision& due(const Entry& entry) const noexcept {
    return due_[static_cast<size_t>(&entry - entries_)].decision;
  }
  // Where two sides may settle an entry, one of them does.
  static bool settle(Entry& entry, ledger_state from, ledger_state to) noexcept {
    ledger_status before = entry.status;
    if (before.state != from) return false;
    ledger_status after = before;
    after.state = static_cast<uint8_t>(to);
    uint32_t expected = std::bit_cast<uint32_t>(before);
    return __atomic_compare_exchange_n(&entry.word, &expected, std::bit_cast<uint32_t>(after), false,
                                       __ATOMIC_ACQ_REL, __ATOMIC_RELAXED);
  }
  Entry& claim() noexcept;
  bool miss(Entry& entry, Counter LedgerCounters::*counter) noexcept;
  bool may_be_forgotten(const Order& order) const noexcept;
  void count(Counter LedgerCounters::*counter, uint32_t stream) noexcept {
    ++(counters_.*counter);
    if (!streams_.empty()) ++(streams_[stream].counters.*counter);
  }
  bool begin(Entry& slot, uint64_t number, bool measured) noexcept;
  void stamp(Entry& slot, uint64_t stamp_ns) noexcept;
  void answered(Entry& entry, uint64_t now_ns, uint64_t stamp_ns) noexcept;
  void record(Entry& entry, uint64_t rx_stamp_ns, uint64_t tx_stamp_ns) noexcept;
  bool expire_one(Entry& entry) noexcept;
  void forget(uint64_t timestamp) noexcept;
  void leave(const Entry& entry) noexcept;
  void offer(const Entry& entry) noexcept;
  void forgive(const Entry& entry) noexcept;
  void lap(Entry& entry) noexcept;
  [[gnu::noinline]] void keep(Verdict verdict, const Entry* entry, const uint8_t* received) noexcept;
  void fill(Example& example, Verdict verdict, const Entry* entry, const uint8_t* received) const noexcept;

  LedgerConfig config_;
  StrategyRules rules_;
  StrategyRunner strategy_;
  uint64_t mask_;
  std::vector<Entry> own_entries_;
  std::vector<ledger_due> own_due_;
  Entry* entries_ = nullptr;
  ledger_due* due_ = nullptr;  // of each entry: what must come back. Decided once, in the order of sending
  Below below_{};
  int64_t shift_ns_ = 0;
  uint64_t pause_end_ns_ = 0;  // of the last one
  uint64_t pause_ns_ = 0;
  std::vector<FrameTicks> frames_;  // a ring of the last frames; empty when a frame is a tick
  uint64_t frames_sent_ = 0;
  uint64_t next_ = 0;        // number of the next tick
  uint64_t unsent_ = 0;      // of them, at the end, have no timestamp yet
  uint64_t first_open_ = 0;  // all before it are settled or timed out
  uint64_t waiting_ = 0;
  uint64_t stamps_due_ = 0;
  uint64_t seen_ns_ = 0;         // what time it was when it was told last
  uint64_t forgotten_ = 0;       // ticks, warm-up included
  uint64_t forgotten_from_ = 0;  // timestamps of the first and the last of them
  uint64_t forgotten_to_ = 0;
  uint32_t lapped_ = 0;  // became missing, or forgotten, when the ring came round, since the last expire()
  uint64_t newest_answered_ = 0;  // timestamp of the newest tick that was answered
  uint32_t waiting_head_ = 0;     // the list of those waiting, oldest first; only when not matched by clOrdId
  uint32_t waiting_tail_ = 0;
  LedgerCounters counters_;
  Histogram latency_planned_;
  Histogram latency_actual_;
  Histogram warmup_;
  HistogramParts parts_;
  LargestIntervals slowest_{SLOWEST};
  std::vector<StreamLedger> streams_;
  std::vector<Example> examples_;
  size_t examples_by_verdict_[7] = {};
  Recent<Example> recent_;
  Refreshes refreshes_;
  Judgements* judgements_ = nullptr;
  PassageLog* stamp_log_ = nullptr;
};

}  // namespace carom
