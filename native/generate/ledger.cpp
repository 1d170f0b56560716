#include "generate/ledger.h"

#include <utility>

#include "core/probe.h"

namespace carom {
namespace {

// A stamped round trip lies within the one by the TSC; more than this outside it, and a clock was stepped.
constexpr uint64_t STAMP_SLACK_NS = 2000;

}  // namespace

Ledger::Ledger(const LedgerConfig& config)
    : config_(config),
      rules_(config.strategy),
      strategy_(config.strategy),
      mask_(config.capacity - 1),
      frames_(config.in_steps && config.stamped ? config.capacity : 0),
      parts_(config.parts),
      streams_(config.streams > 1 ? config.streams : 0) {
  examples_.reserve(EXAMPLES * std::size(examples_by_verdict_));
}

void Ledger::use(ledger_entry* entries, ledger_due* dues) noexcept {
  entries_ = entries;
  due_ = dues;
}

void Ledger::use_own_memory() {
  own_entries_.resize(config_.capacity);
  own_due_.resize(config_.capacity);
  use(own_entries_.data(), own_due_.data());
}

Ledger::Entry& Ledger::claim() noexcept {
  Entry& slot = entry(next_);
  if (next_ > mask_) lap(slot);
  __builtin_prefetch(&entry(next_ + 1), 1);
  return slot;
}

bool Ledger::sent(const Tick& tick, uint64_t planned_ns, uint64_t sent_ns, bool measured) noexcept {
  seen_ns_ = sent_ns;
  Entry& slot = claim();
  slot = {planned_ns, sent_ns, 0, 0, tick, 0, {{LEDGER_PLANNED, measured, 0, 0}}};
  if (config_.stamped) stamps_due_++;
  return begin(slot, next_++, measured);
}

// The device gets the tick now: whether an order must come back is decided, and the tick counted.
bool Ledger::begin(Entry& slot, uint64_t number, bool measured) noexcept {
  Decision& decision = due_[number & mask_].decision;
  decision = strategy_.on_tick(rules_, Tick{slot.tick});
  bool due = decision.order != 0;
  slot.status.state = due ? LEDGER_WAITING : LEDGER_QUIET;
  if (due) {
    if (config_.match != Match::clordid) {
      if (waiting_ > 0) entry(extend(waiting_tail_)).next = static_cast<uint32_t>(number);
      if (waiting_ == 0) waiting_head_ = static_cast<uint32_t>(number);
      waiting_tail_ = static_cast<uint32_t>(number);
    }
    waiting_++;
  }
  count(measured ? &LedgerCounters::sent : &LedgerCounters::warmup_sent, slot.status.stream);
  if (measured && !due) count(&LedgerCounters::quiet, slot.status.stream);
  return due;
}

uint32_t Ledger::plan(const Tick& tick, uint32_t stream) noexcept {
  claim() = {0, 0, 0, 0, tick, 0, {{LEDGER_PLANNED, 0, 0, static_cast<uint8_t>(stream)}}};
  due_[next_ & mask_] = {};
  return static_cast<uint32_t>(next_++);
}

void Ledger::depart(uint32_t low, uint32_t stream, uint64_t planned_ns, uint64_t sent_ns, bool measured,
                    uint8_t answers) noexcept {
  seen_ns_ = sent_ns;
  uint64_t number = extend(low);
  // Held back for so long that the ring came round: it can't be judged any more.
  if (number < oldest()) {
    sent_only(measured, stream);
    return count(measured ? &LedgerCounters::forgotten : &LedgerCounters::warmup_faults, stream);
  }
  Entry& slot = entry(number);
  slot.planned_ns = planned_ns;
  slot.sent_ns = sent_ns;
  slot.status.measured = measured;
  slot.status.copies = answers > 0 ? answers - 1 : 0;
  begin(slot, number, measured);
}

void Ledger::withhold(uint32_t low, uint32_t stream, bool measured) noexcept {
  sent_only(measured, stream, true);
  uint64_t number = extend(low);
  if (number < oldest()) return;
  entry(number).status.state = LEDGER_WITHHELD;
  entry(number).status.measured = measured;
}

void Ledger::frame(std::span<const FedTick> ticks) noexcept {
  if (!config_.stamped) return;
  stamps_due_++;
  FrameTicks& sent = frames_[frames_sent_++ & mask_];
  sent = {ticks.empty() ? 0 : ticks[0].entry, static_cast<uint32_t>(ticks.size())};
  for (uint32_t i = 1; i < ticks.size(); i++) {
    uint64_t number = extend(ticks[i - 1].entry);
    if (number >= oldest()) entry(number).next = ticks[i].entry;
  }
}

void Ledger::prepare(const Tick& tick, uint64_t planned_ns, uint32_t headers) noexcept {
  claim() = {planned_ns, 0, 0, 0, tick, headers, {{LEDGER_PLANNED, 0, 0, 0}}};
  due_[next_ & mask_].decision = strategy_.on_tick(rules_, tick);
  next_++;
  unsent_++;
}

void Ledger::follow(const Below& now, int64_t shift_ns) noexcept {
  shift_ns_ = shift_ns;
  unsent_ = next_ - now.taken;
  waiting_ += now.due - below_.due - (now.answered - below_.answered);
  uint64_t warmup_answered = now.warmup_answered - below_.warmup_answered;
  uint64_t answered = now.answered - below_.answered - warmup_answered;
  counters_.sent.set(now.measured);
  counters_.warmup_sent.set(now.taken - now.passed - now.measured);
  counters_.quiet.set(now.quiet);
  counters_.correct.add(answered);
  counters_.received.add(answered);
  counters_.stamped.add(answered);
  counters_.warmup_answered.add(warmup_answered);
  counters_.reordered.add(now.reordered - below_.reordered);
  below_ = now;
}

void Ledger::abandon() noexcept {
  for (uint64_t number = oldest(); number < next_; number++) {
    if (entry(number).status.state == LEDGER_PLANNED) entry(number).status.state = LEDGER_WITHHELD;
  }
}

void Ledger::left(const TxStamp& given) noexcept {
  if (!config_.in_steps) {
    uint64_t number = extend(given.index);
    if (number >= next_ || number < oldest()) return;
    if (stamps_due_ > 0) stamps_due_--;
    stamp(entry(number), given.stamp_ns);
    return;
  }
  if (static_cast<uint32_t>(frames_sent_) - given.index - 1 > mask_) return;
  if (stamps_due_ > 0) stamps_due_--;
  auto [low, count] = frames_[given.index & mask_];
  for (; count > 0; count--) {
    uint64_t number = extend(low);
    if (number >= next_ || number < oldest()) return;
    low = entry(number).next;
    stamp(entry(number), given.stamp_ns);
  }
}

void Ledger::stamp(Entry& slot, uint64_t stamp_ns) noexcept {
  if (stamp_log_ != nullptr && stamp_log_->wants(slot.tick.timestamp)) [[unlikely]]
    stamp_log_->add({slot.tick.timestamp, stamp_ns, slot.sent_ns, 0});
  if (slot.status.state == LEDGER_AWAITING_STAMP) {
    slot.status.state = LEDGER_ANSWERED;
    record(slot, slot.stamp_ns, stamp_ns);
  } else {
    slot.stamp_ns = stamp_ns;
  }
}

void Ledger::record(Entry& entry, uint64_t rx_stamp_ns, uint64_t tx_stamp_ns) noexcept {
  uint64_t actual_ns = entry.received_ns - entry.sent_ns;
  if (rx_stamp_ns != 0 && rx_stamp_ns >= tx_stamp_ns &&
      rx_stamp_ns - tx_stamp_ns <= actual_ns + STAMP_SLACK_NS) {
    actual_ns = rx_stamp_ns - tx_stamp_ns;
    actual_ns -= std::min(actual_ns, config_.path_ns);
    if (entry.status.measured) ++counters_.stamped;
  } else if (own_entries_.empty()) {
    if (entry.status.measured) ++counters_.stamped;  // all times are the program's
  } else if (config_.stamped && entry.status.measured) {
    ++counters_.unstamped;
  }
  if (!entry.status.measured) {
    warmup_.record(actual_ns);
    return;
  }
  // Both from the same stamps: what the planned one has more is how late the tick was sent.
  uint64_t late_ns = entry.sent_ns > entry.planned_ns ? entry.sent_ns - entry.planned_ns : 0;
  latency_actual_.record(actual_ns);
  latency_planned_.record(actual_ns + late_ns);
  refreshes_.record(entry.sent_ns, actual_ns);
  parts_.record(actual_ns + (config_.parts.planned ? late_ns : 0), entry.sent_ns);
  offer(entry);
  if (streams_.empty()) return;
  streams_[entry.status.stream].latency_actual.record(actual_ns);
  streams_[entry.status.stream].latency_planned.record(actual_ns + late_ns);
}

uint32_t Ledger::expire(uint64_t now_ns) noexcept {
  seen_ns_ = now_ns;
  uint32_t expired = std::exchange(lapped_, 0);
  while (first_open_ < next_) {
    Entry& slot = entry(first_open_);
    if (slot.status.state == LEDGER_PLANNED) break;
    bool open = slot.status.state == LEDGER_WAITING || slot.status.state == LEDGER_QUIET;
    if (open && now_ns <= deadline_ns(slot)) break;  // now may be a little before sent
    expired += expire_one(slot);
    leave(slot);
    first_open_++;
  }
  return expired;
}

bool Ledger::expire_one(Entry& slot) noexcept {
  if (!miss(slot, &LedgerCounters::missing)) return false;
  CAROM_PROBE1(tick_missing, slot.tick.timestamp);
  recent_.add([&](Example& example) { fill(example, Verdict::missing, &slot, nullptr); });
  return true;
}

// Its answer is not waited for any more. False if it has come.
bool Ledger::miss(Entry& slot, Counter LedgerCounters::*counter) noexcept {
  if (!settle(slot, LEDGER_WAITING, LEDGER_MISSING)) return false;
  count(slot.status.measured ? counter : &LedgerCounters::warmup_faults, slot.status.stream);
  waiting_--;
  if (config_.match != Match::clordid) waiting_head_ = slot.next;  // the oldest is the first of the list
  return true;
}

// From here on an order that finds no tick may be the answer to this one.
void Ledger::forget(uint64_t timestamp) noexcept {
  if (forgotten_++ == 0) forgotten_from_ = timestamp;
  forgotten_to_ = std::max(forgotten_to_, timestamp);
}

// Nothing more will happen to it: what a program below has settled is looked at now.
void Ledger::leave(const Entry& slot) noexcept {
  if (slot.status.state == LEDGER_ANSWERED_BELOW && slot.status.measured) offer(slot);
}

void Ledger::offer(const Entry& slot) noexcept {
  slowest_.offer(slot.planned_ns + static_cast<uint64_t>(shift_ns_),
                 slot.received_ns + static_cast<uint64_t>(shift_ns_));
}

// The ring comes round: the entry is about to be another tick's.
void Ledger::lap(Entry& slot) noexcept {
  // The next expire() reports it: its place in the window is free.
  if (slot.status.state == LEDGER_PLANNED) {
    forget(slot.tick.timestamp);
  } else if (slot.status.state == LEDGER_WAITING && seen_ns_ <= deadline_ns(slot)) {
    if (miss(slot, &LedgerCounters::forgotten)) {
      lapped_++;
      forget(slot.tick.timestamp);
    }
  } else {
    lapped_ += expire_one(slot);
    if (slot.status.state == LEDGER_MISSING) keep(Verdict::missing, &slot, nullptr);
  }
  if (slot.status.state == LEDGER_AWAITING_STAMP) record(slot, 0, 0);
  if (first_open_ <= next_ - mask_ - 1) {
    leave(slot);
    first_open_ = next_ - mask_;
  }
}

void Ledger::close() noexcept {
  expire(UINT64_MAX);
  for (uint64_t number = oldest(); number < next_; number++) {
    Entry& slot = entry(number);
    if (slot.status.state == LEDGER_MISSING) keep(Verdict::missing, &slot, nullptr);
    if (slot.status.state == LEDGER_AWAITING_STAMP) {
      slot.status.state = LEDGER_ANSWERED;
      record(slot, 0, 0);
    }
  }
}

void Ledger::keep(Verdict verdict, const Entry* entry, const uint8_t* received) noexcept {
  size_t& kept = examples_by_verdict_[static_cast<size_t>(verdict)];
  if (kept == EXAMPLES) return;
  kept++;
  fill(examples_.emplace_back(), verdict, entry, received);  // reserved: does not allocate
}

void Ledger::fill(Example& example, Verdict verdict, const Entry* entry,
                  const uint8_t* received) const noexcept {
  example.verdict = verdict;
  example.has_tick = entry != nullptr;
  example.has_received = received != nullptr;
  example.has_expected = false;
  if (received != nullptr) memcpy(example.received, received, sizeof example.received);
  if (entry == nullptr) return;
  Tick{entry->tick}.write(example.tick);
  const Decision& right = due(*entry);
  example.has_expected = right.order;
  if (!right.order) return;
  write_order(example.expected, entry->tick.symbol, right.price, right.quantity, right.side, 0,
              entry->tick.timestamp);
}

}  // namespace carom
