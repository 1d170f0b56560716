// The trace of a responder: what became of single packets, sampled into a ring that the control plane
// empties. While nobody asks for it, it costs one comparison a batch.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/counters.h"
#include "core/handover.h"
#include "core/spsc_ring.h"
#include "filter/packet_filter.h"
#include "io/packet_io.h"
#include "strategy/runner.h"

namespace carom {

struct TraceRecord {
  static constexpr uint32_t HEAD = 128;

  uint64_t time_ns;   // when it was taken up, since the epoch
  uint64_t spent_ns;  // on this packet, until its order was made; without the batch's system call
  const char* outcome;
  const char* why;  // "" when the outcome says all
  uint32_t length;
  uint32_t queue;
  uint32_t ticks;
  uint32_t orders;
  Tick tick;  // the first one
  Decision decision;
  uint32_t head_length;
  uint8_t head[HEAD];  // the first bytes of the frame
};

// What a tracer wants: at most so many packets a second, and only those of a filter.
struct TraceRequest {
  // Throws Error (usage) for an expression that libpcap does not take.
  TraceRequest(uint32_t packets_per_second, const std::string& expression)
      : per_second(packets_per_second),
        interval_ns(1'000'000'000 / packets_per_second),
        ahead_ns((std::clamp(packets_per_second / 10, 1u, BURST_MAX) - 1) * interval_ns),
        filter(expression) {}

  static constexpr uint32_t BURST_MAX = 32;  // packets that may be traced back to back

  uint32_t per_second;
  uint64_t interval_ns;
  uint64_t ahead_ns;  // how far what is traced may be ahead of the pace
  PacketFilter filter;
};

class Trace {
 public:
  static constexpr size_t CAPACITY = 4096;  // records, a power of two

  // By the control plane. Null ends it.
  void request(std::unique_ptr<const TraceRequest> request) {
    if (request && !records_) records_.emplace(CAPACITY);  // before the loop hears of a request
    requests_.offer(std::move(request));
  }

  // Takes out what is there, oldest first.
  std::vector<TraceRecord> take() {
    std::vector<TraceRecord> taken;
    if (records_) records_->take_all([&](const TraceRecord& record) { taken.push_back(record); });
    return taken;
  }

  const TraceRequest* wanted() const noexcept { return requests_.wanted(); }

  // By the control plane: whether every packet from now on is seen by the request.
  bool is_on() const noexcept {
    return requests_.wanted() != nullptr && (!follows_late.load() || requests_.is_taken_up());
  }

  // By the loop: follows a change of the request; null while there is none.
  const TraceRequest* follow() noexcept { return follow(requests_.wanted()); }

  // Follows one that wanted() gave, once whatever is below knows of it.
  const TraceRequest* follow(const TraceRequest* now) noexcept {
    if (now != current_) [[unlikely]] {
      current_ = now;
      due_ns_ = 0;  // the pace of the one before may reach far ahead
      requests_.use(now);
    }
    return now;
  }

  // Whether this frame is to be traced now.
  bool wants(const uint8_t* frame, uint32_t captured, uint32_t length, uint64_t now_ns) noexcept {
    if (now_ns + current_->ahead_ns < due_ns_) return false;
    return current_->filter.matches(frame, captured, length);
  }

  void put(const TraceRecord& record, uint64_t now_ns) noexcept {
    due_ns_ = std::max(due_ns_, now_ns) + current_->interval_ns;
    if (!records_->put([&](TraceRecord& place) { place = record; })) ++lost;
  }

  // The loop looks for requests now and then, not before each packet: those are decided below it.
  std::atomic<bool> follows_late{false};
  Counter lost;  // records for which the ring had no room

 private:
  Handover<TraceRequest> requests_;
  const TraceRequest* current_ = nullptr;  // the loop's
  uint64_t due_ns_ = 0;
  std::optional<SpscRing<TraceRecord>> records_;  // there from the first request on
};

}  // namespace carom
