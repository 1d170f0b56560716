// The ledger's other half: an order that comes in is tied to its tick, and judged.
#include "generate/ledger.h"

#include <optional>

#include "core/probe.h"

namespace carom {

// An order as received; `bytes` are its 41.
struct Ledger::Order {
  const uint8_t* bytes;
  uint64_t symbol;
  uint32_t price;
  uint32_t quantity;
  uint8_t side;

  explicit Order(const uint8_t* bytes) noexcept : bytes(bytes), side(bytes[offsetof(trading_order, side)]) {
    memcpy(&symbol, bytes + offsetof(trading_order, symbol), 8);
    memcpy(&price, bytes + offsetof(trading_order, price), 4);
    memcpy(&quantity, bytes + offsetof(trading_order, quantity), 4);
  }

  // That of the tick it answers, by its clOrdId.
  std::optional<uint64_t> timestamp() const noexcept {
    const char* id = reinterpret_cast<const char*>(bytes) + offsetof(trading_order, cl_ord_id);
    uint64_t value = read_hex(id);
    char canonical[16];
    write_hex(canonical, value);
    // "00AB" and "00ab" have one value: only the lower-case text that formats.md asks for is the tick's.
    if (memcmp(canonical, id, sizeof canonical) != 0) return std::nullopt;
    return value;
  }
};

uint32_t Ledger::received(const uint8_t* payload, uint32_t length, uint64_t now_ns,
                          uint64_t stamp_ns) noexcept {
  seen_ns_ = now_ns;
  uint32_t settled = 0;
  uint32_t whole = length / TRADING_ORDER_SIZE;
  if (whole * TRADING_ORDER_SIZE != length) ++counters_.partial_orders;
  for (uint32_t i = 0; i < whole; i++)
    settled += judge(Order(payload + i * TRADING_ORDER_SIZE), now_ns, stamp_ns);
  return settled;
}

// Exactly one verdict for the order; true when a tick that was waited for has its answer.
bool Ledger::judge(const Order& order, uint64_t now_ns, uint64_t stamp_ns) noexcept {
  Entry* found = find(order);
  bool measured = found == nullptr || found->status.measured;
  auto add = [&](Counter LedgerCounters::*counter) {
    if (found != nullptr) return count(counter, found->status.stream);
    ++(counters_.*counter);
  };
  if (measured) add(&LedgerCounters::received);
  auto say = [&](Verdict verdict, bool is_copy = false) {
    if (judgements_ != nullptr) [[unlikely]]
      note(verdict, order, found, now_ns, is_copy);
  };
  auto fault = [&](Verdict verdict, Counter LedgerCounters::*counter) {
    add(measured ? counter : &LedgerCounters::warmup_faults);
    keep(verdict, found, order.bytes);
    recent_.add([&](Example& example) { fill(example, verdict, found, order.bytes); });
    say(verdict);
    CAROM_PROBE3(order_judged, static_cast<uint8_t>(verdict), found != nullptr ? now_ns - found->sent_ns : 0,
                 found != nullptr ? found->tick.timestamp : 0);
    return false;
  };
  if (found == nullptr && forgotten_ != 0 && may_be_forgotten(order)) [[unlikely]]
    return fault(Verdict::unjudged, &LedgerCounters::unjudged);
  if (found == nullptr || found->status.state == LEDGER_QUIET || found->status.state == LEDGER_PLANNED ||
      found->status.state == LEDGER_WITHHELD) {
    return fault(Verdict::unexpected, &LedgerCounters::unexpected);
  }
  if (found->status.state == LEDGER_ANSWERED || found->status.state == LEDGER_AWAITING_STAMP) {
    if (found->status.copies > 0 && is_right(order, *found)) {
      found->status.copies--;
      if (measured) add(&LedgerCounters::answered_copies);
      say(Verdict::correct, true);
      return false;
    }
    return fault(Verdict::duplicate, &LedgerCounters::duplicate);
  }
  bool was_missing = found->status.state == LEDGER_MISSING;
  if (!was_missing && !settle(*found, LEDGER_WAITING, LEDGER_ANSWERED)) {
    return fault(Verdict::duplicate, &LedgerCounters::duplicate);
  }
  if (was_missing) {
    forgive(*found);
  } else {
    waiting_--;
  }
  if (!is_right(order, *found)) {
    fault(Verdict::wrong, &LedgerCounters::wrong);
  } else if (was_missing || now_ns > deadline_ns(*found)) {
    fault(Verdict::late, &LedgerCounters::late);
  } else {
    add(measured ? &LedgerCounters::correct : &LedgerCounters::warmup_answered);
    say(Verdict::correct);
    CAROM_PROBE3(order_judged, static_cast<uint8_t>(Verdict::correct), now_ns - found->sent_ns,
                 found->tick.timestamp);
  }
  if (found->tick.timestamp < newest_answered_) {
    add(&LedgerCounters::reordered);
  } else {
    newest_answered_ = found->tick.timestamp;
  }
  answered(*found, now_ns, stamp_ns);
  return !was_missing;
}

// By its clOrdId; where none is echoed, any order may be, as long as there are no more of them.
bool Ledger::may_be_forgotten(const Order& order) const noexcept {
  if (config_.match != Match::clordid) return counters_.unjudged.get() < forgotten_;
  std::optional<uint64_t> timestamp = order.timestamp();
  return timestamp && *timestamp >= forgotten_from_ && *timestamp <= forgotten_to_;
}

Ledger::Entry* Ledger::find(const Order& order) noexcept {
  if (config_.match != Match::clordid) return take_waiting(order);
  std::optional<uint64_t> timestamp = order.timestamp();
  return timestamp ? find_timestamp(*timestamp) : nullptr;
}

// From the newest backwards in steps that double, then by halves: timestamps grow from entry to entry, and
// the answer of a tick is nearly always to one of the newest.
Ledger::Entry* Ledger::find_timestamp(uint64_t timestamp) noexcept {
  uint64_t low = oldest();
  uint64_t high = next_ - unsent_;  // the entry, if there is one, is in [low, high)
  for (uint64_t step = 1; high - low > step; step *= 2) {
    uint64_t probe = high - step;
    if (entry(probe).tick.timestamp <= timestamp) {
      low = probe;
      break;
    }
    high = probe;
  }
  while (high - low > 1) {
    uint64_t middle = low + (high - low) / 2;
    if (entry(middle).tick.timestamp <= timestamp) {
      low = middle;
    } else {
      high = middle;
    }
  }
  return high > low && entry(low).tick.timestamp == timestamp ? &entry(low) : nullptr;
}

// For a device under test that can't echo clOrdId: the oldest tick that waits and fits, taken off the list.
Ledger::Entry* Ledger::take_waiting(const Order& order) noexcept {
  Entry* before = nullptr;
  uint32_t before_number = 0;
  uint32_t number = waiting_head_;
  for (uint64_t i = 0; i < waiting_; i++) {
    Entry& candidate = entry(extend(number));
    uint32_t next = candidate.next;
    bool fits = candidate.tick.symbol == order.symbol;
    if (config_.match == Match::price) fits = fits && due(candidate).price == order.price;
    if (fits) {
      if (before == nullptr) {
        waiting_head_ = next;
      } else {
        before->next = next;
      }
      if (number == waiting_tail_ && before != nullptr) {
        waiting_tail_ = before_number;
      }
      return &candidate;
    }
    before = &candidate;
    before_number = number;
    number = next;
  }
  return nullptr;
}

bool Ledger::is_right(const Order& order, const Entry& entry) const noexcept {
  const Decision& right = due(entry);
  return order.symbol == entry.tick.symbol && order.price == right.price &&
         order.quantity == right.quantity && order.side == right.side;
}

void Ledger::note(Verdict verdict, const Order& order, const Entry* entry, uint64_t now_ns,
                  bool is_copy) noexcept {
  if (judgements_->count == Judgements::MOST) {
    judgements_->more++;
    return;
  }
  Judgement& judgement = judgements_->list[judgements_->count++];
  judgement = {};
  judgement.verdict = verdict;
  judgement.symbol = order.symbol;
  judgement.price = order.price;
  judgement.quantity = order.quantity;
  judgement.side = order.side;
  judgement.is_copy = is_copy;
  judgement.has_tick = entry != nullptr;
  if (entry == nullptr) return;
  judgement.number = number_of(static_cast<uint64_t>(entry - entries_));
  judgement.measured = entry->status.measured;
  judgement.expected_symbol = entry->tick.symbol;
  judgement.expected = due(*entry);
  if (entry->sent_ns != 0 && now_ns > entry->sent_ns) judgement.latency_ns = now_ns - entry->sent_ns;
}

Ledger::Expectation Ledger::expectation(uint64_t timestamp) noexcept {
  const Entry* found = find_timestamp(timestamp);
  if (found == nullptr) return {};
  return {number_of(static_cast<uint64_t>(found - entries_)), true, due(*found).order != 0,
          found->status.state == LEDGER_WITHHELD, found->status.measured != 0};
}

void Ledger::answered(Entry& entry, uint64_t now_ns, uint64_t stamp_ns) noexcept {
  entry.received_ns = now_ns;
  if (!config_.stamped || stamp_ns == 0) {
    entry.status.state = LEDGER_ANSWERED;
    record(entry, 0, 0);
  } else if (entry.stamp_ns != 0) {
    entry.status.state = LEDGER_ANSWERED;
    record(entry, stamp_ns, entry.stamp_ns);
  } else {
    entry.status.state = LEDGER_AWAITING_STAMP;
    entry.stamp_ns = stamp_ns;
  }
}

// Its order came after all.
void Ledger::forgive(const Entry& slot) noexcept {
  auto counter = slot.status.measured ? &LedgerCounters::missing : &LedgerCounters::warmup_faults;
  (counters_.*counter).subtract(1);
  if (!streams_.empty()) (streams_[slot.status.stream].counters.*counter).subtract(1);
}

}  // namespace carom
