// The ledger a second time: naive, with a map of every tick that is remembered and nothing clever, as the
// comments of generate/ledger.h and formats.md say it must be.
#pragma once

#include <cinttypes>
#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "generate/ledger.h"
#include "test/strategy_model.h"
#include "test/test.h"

namespace carom::test {

struct Counts {
  uint64_t sent, quiet, correct, wrong, late, missing, received, duplicate, unexpected, partial_orders,
      reordered, stamped, unstamped, warmup_sent, warmup_answered, warmup_faults, withheld, answered_copies,
      forgotten, unjudged;
};

constexpr uint32_t MODEL_STREAMS = 3;

class LedgerModel {
 public:
  explicit LedgerModel(const LedgerConfig& config) : config_(config), strategy_(config.strategy) {}

  struct Sent {
    Tick tick;
    uint64_t planned_ns, sent_ns;
    bool measured;
    Decision due;  // what must come back
    enum { OPEN, MISSING, ANSWERED, PLANNED, WITHHELD } state = OPEN;
    uint32_t copies = 0;  // answers that may follow the first one
    uint32_t stream = 0;
    uint64_t received_ns = 0;
    uint64_t rx_stamp_ns = 0;
    uint64_t tx_stamp_ns = 0;
    bool recorded = false;
  };

  struct Figures {
    uint64_t count = 0, sum = 0, min = 0, max = 0;
    void record(uint64_t value) {
      min = count == 0 || value < min ? value : min;
      max = value > max ? value : max;
      sum += value;
      count++;
    }
  };

  void sent(const Tick& tick, uint64_t planned_ns, uint64_t sent_ns, bool measured) {
    seen_ns_ = sent_ns;
    if (ticks.size() == config_.capacity) forget_oldest();
    Decision due = strategy_.decide(tick);
    ticks[next] = {tick, planned_ns, sent_ns, measured, due};
    next++;
    if (config_.stamped) stamps_due++;
    add(measured ? &Counts::sent : &Counts::warmup_sent, 0);
    if (!due.order && measured) add(&Counts::quiet, 0);
  }

  // The same in steps. Returns the tick's number.
  uint64_t plan(const Tick& tick, uint32_t stream) {
    if (ticks.size() == config_.capacity) forget_oldest();
    ticks[next] = {tick, 0, 0, false, {}, Sent::PLANNED, 0, stream};
    return next++;
  }

  void depart(uint64_t number, uint32_t stream, uint64_t planned_ns, uint64_t sent_ns, bool measured,
              uint32_t answers) {
    seen_ns_ = sent_ns;
    add(measured ? &Counts::sent : &Counts::warmup_sent, stream);
    if (!ticks.contains(number)) return add(measured ? &Counts::forgotten : &Counts::warmup_faults, stream);
    Sent& sent = ticks[number];
    sent = {sent.tick,  planned_ns,  sent_ns, measured, strategy_.decide(sent.tick),
            Sent::OPEN, answers - 1, stream};
    if (!sent.due.order && measured) add(&Counts::quiet, stream);
  }

  void withhold(uint64_t number, uint32_t stream, bool measured) {
    add(measured ? &Counts::sent : &Counts::warmup_sent, stream);
    if (measured) add(&Counts::withheld, stream);
    if (!ticks.contains(number)) return;
    ticks[number].state = Sent::WITHHELD;
    ticks[number].measured = measured;
  }

  uint32_t received(const uint8_t* payload, uint32_t length, uint64_t now_ns, uint64_t stamp_ns) {
    seen_ns_ = now_ns;
    uint32_t settled = 0;
    for (; length >= 41; payload += 41, length -= 41) settled += judge(payload, now_ns, stamp_ns);
    if (length != 0) counts.partial_orders++;
    return settled;
  }

  void left(const TxStamp& stamp) {
    for (auto& [number, sent] : ticks) {
      if (static_cast<uint32_t>(number) != stamp.index) continue;
      if (stamps_due > 0) stamps_due--;
      // Once an answer's time is recorded, that is final.
      sent.tx_stamp_ns = stamp.stamp_ns;
      if (sent.state == Sent::ANSWERED && !sent.recorded) record(sent);
    }
  }

  uint32_t expire(uint64_t now_ns) {
    seen_ns_ = now_ns;
    uint32_t expired = lapped;
    lapped = 0;
    for (auto& [number, sent] : ticks) {
      // Departing out of order, a tick is looked at when all with earlier timestamps have had their time.
      bool in_time = sent.state == Sent::PLANNED ||
                     (sent.state == Sent::OPEN && now_ns <= sent.sent_ns + config_.timeout_ns);
      if (config_.in_steps && in_time) break;
      if (!waits(sent) || now_ns <= sent.sent_ns + config_.timeout_ns) continue;
      miss(sent);
      expired++;
    }
    return expired;
  }

  void close() {
    for (auto& [number, sent] : ticks) {
      if (waits(sent)) miss(sent);
      if (sent.state == Sent::ANSWERED && !sent.recorded) record_unstamped(sent);
    }
  }

  uint64_t waiting(bool measured_only) const {
    uint64_t count = 0;
    for (const auto& [number, sent] : ticks) count += waits(sent) && (sent.measured || !measured_only);
    return count;
  }

  std::map<uint64_t, Sent> ticks;  // by number; the last `capacity` ones
  uint64_t next = 0;
  uint64_t stamps_due = 0;
  uint32_t lapped = 0;  // became missing by being forgotten, since the last expire()
  Counts counts{};
  Figures planned, actual, warmup;
  Counts by_stream[MODEL_STREAMS] = {};
  Figures planned_by_stream[MODEL_STREAMS], actual_by_stream[MODEL_STREAMS];

 private:
  void add(uint64_t Counts::*counter, uint32_t stream, uint64_t more = 1) {
    counts.*counter += more;
    by_stream[stream].*counter += more;
  }

  static bool waits(const Sent& sent) { return sent.due.order && sent.state == Sent::OPEN; }

  // Which tick an order answers, or null.
  Sent* find(const uint8_t* order) {
    uint64_t symbol;
    uint32_t price;
    memcpy(&symbol, order, 8);
    memcpy(&price, order + 8, 4);
    for (auto& [number, sent] : ticks) {
      if (config_.match == Match::clordid) {
        char id[17];
        snprintf(id, sizeof id, "%016" PRIx64, uint64_t{sent.tick.timestamp});
        if (memcmp(id, order + 25, 16) == 0) return &sent;
      } else {
        bool fits = waits(sent) && sent.tick.symbol == symbol;
        if (config_.match == Match::price) fits = fits && sent.due.price == price;
        if (fits) return &sent;  // the oldest
      }
    }
    return nullptr;
  }

  bool right(const uint8_t* order, const Sent& sent) const {
    uint8_t expected[17];
    memcpy(expected, &sent.tick.symbol, 8);
    memcpy(expected + 8, &sent.due.price, 4);
    memcpy(expected + 12, &sent.due.quantity, 4);
    expected[16] = sent.due.side;
    return memcmp(order, expected, 17) == 0;
  }

  bool judge(const uint8_t* order, uint64_t now_ns, uint64_t stamp_ns) {
    Sent* sent = find(order);
    bool measured = sent != nullptr && sent->measured;
    if (sent == nullptr) {  // of no stream
      counts.received++;
      (may_be_forgotten(order) ? counts.unjudged : counts.unexpected)++;
      return false;
    }
    if (measured) add(&Counts::received, sent->stream);
    auto fault = [&](uint64_t Counts::*counter) {
      add(measured ? counter : &Counts::warmup_faults, sent->stream);
    };
    if (!sent->due.order) return fault(&Counts::unexpected), false;
    if (sent->state == Sent::ANSWERED) {
      if (sent->copies == 0 || !right(order, *sent)) return fault(&Counts::duplicate), false;
      sent->copies--;
      if (measured) add(&Counts::answered_copies, sent->stream);
      return false;
    }
    bool was_missing = sent->state == Sent::MISSING;
    if (was_missing) add(measured ? &Counts::missing : &Counts::warmup_faults, sent->stream, UINT64_MAX);
    if (!right(order, *sent)) {
      fault(&Counts::wrong);
    } else if (now_ns > sent->sent_ns + config_.timeout_ns) {
      fault(&Counts::late);
    } else {
      add(measured ? &Counts::correct : &Counts::warmup_answered, sent->stream);
    }
    if (sent->tick.timestamp < newest_answered_) add(&Counts::reordered, sent->stream);
    newest_answered_ = std::max<uint64_t>(newest_answered_, sent->tick.timestamp);
    sent->state = Sent::ANSWERED;
    sent->received_ns = now_ns;
    sent->rx_stamp_ns = stamp_ns;
    if (!config_.stamped || stamp_ns == 0) {
      record_unstamped(*sent);
    } else if (sent->tx_stamp_ns != 0) {
      record(*sent);
    }
    return !was_missing;
  }

  // With both stamps; those that lie outside what the TSC saw, by more than 2 us, can't be.
  void record(Sent& sent) {
    uint64_t by_tsc_ns = sent.received_ns - sent.sent_ns;
    int64_t by_stamps_ns = static_cast<int64_t>(sent.rx_stamp_ns - sent.tx_stamp_ns);
    if (by_stamps_ns < 0 || static_cast<uint64_t>(by_stamps_ns) > by_tsc_ns + 2000)
      return record_unstamped(sent);
    if (sent.measured) counts.stamped++;
    put(sent, static_cast<uint64_t>(by_stamps_ns));
  }

  void record_unstamped(Sent& sent) {
    if (config_.stamped && sent.measured) counts.unstamped++;
    put(sent, sent.received_ns - sent.sent_ns);
  }

  void put(Sent& sent, uint64_t actual_ns) {
    sent.recorded = true;
    if (!sent.measured) return warmup.record(actual_ns);
    uint64_t late_ns = sent.sent_ns > sent.planned_ns ? sent.sent_ns - sent.planned_ns : 0;
    actual.record(actual_ns);
    planned.record(actual_ns + late_ns);
    actual_by_stream[sent.stream].record(actual_ns);
    planned_by_stream[sent.stream].record(actual_ns + late_ns);
  }

  void miss(Sent& sent, uint64_t Counts::*counter = &Counts::missing) {
    sent.state = Sent::MISSING;
    add(sent.measured ? counter : &Counts::warmup_faults, sent.stream);
  }

  // Its clOrdId lies among those of the forgotten; or, where none is echoed, not all of them have come yet.
  bool may_be_forgotten(const uint8_t* order) const {
    if (forgotten_.empty()) return false;
    if (config_.match != Match::clordid) return counts.unjudged < forgotten_.size();
    std::string id(reinterpret_cast<const char*>(order) + 25, 16);
    if (id.find_first_not_of("0123456789abcdef") != id.npos) return false;
    uint64_t timestamp = strtoull(id.c_str(), nullptr, 16);
    return timestamp >= forgotten_.front() && timestamp <= forgotten_.back();
  }

  void forget_oldest() {
    Sent& sent = ticks.begin()->second;
    bool in_time = seen_ns_ <= sent.sent_ns + config_.timeout_ns;
    if (sent.state == Sent::PLANNED || (waits(sent) && in_time)) forgotten_.push_back(sent.tick.timestamp);
    if (waits(sent)) {
      miss(sent, in_time ? &Counts::forgotten : &Counts::missing);
      lapped++;
    }
    if (sent.state == Sent::ANSWERED && !sent.recorded) record_unstamped(sent);
    ticks.erase(ticks.begin());
  }

  LedgerConfig config_;
  StrategyModel strategy_;
  uint64_t newest_answered_ = 0;
  uint64_t seen_ns_ = 0;
  std::vector<uint64_t> forgotten_;  // their timestamps
};

}  // namespace carom::test
