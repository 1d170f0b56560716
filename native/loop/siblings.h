// What the generator's threads of one run share: when they begin, how their schedules are slewed, when all is
// over, and the orders that one of them received and another one has to judge. Which queue an order comes in
// by is the network's choice; whose tick it answers is told by its clOrdId (generate/timestamps.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <cstring>
#include <memory>
#include <vector>

#include "core/spsc_ring.h"
#include "loop/discipline.h"
#include "order/native_order.h"

namespace carom {

// An order, and when it was received.
struct HandedOrder {
  uint64_t received_ns;
  uint64_t stamp_ns;
  uint8_t bytes[TRADING_ORDER_SIZE];
};

class Siblings {
 public:
  static constexpr uint32_t MAX = 16;
  static constexpr uint64_t CAPACITY = 4096;  // orders on their way from one thread to another

  explicit Siblings(uint32_t threads) : threads_(threads) {
    for (uint32_t i = 0; i < threads * threads; i++)
      rings_.push_back(std::make_unique<SpscRing<HandedOrder>>(CAPACITY));
  }

  uint32_t threads() const noexcept { return threads_; }

  // When the first tick may be planned: one time for all, as the thread has it that is first to ask.
  uint64_t start_ns(uint64_t wanted) noexcept {
    uint64_t set = 0;
    return start_ns_.compare_exchange_strong(set, wanted) ? wanted : set;
  }

  // How the schedules of all are slewed: by thread 0.
  SharedSlew& slew() noexcept { return slew_; }

  // Which thread sent the tick that an order answers, if there is one; else, which one is to find out.
  uint32_t owner(const uint8_t* order) const noexcept {
    const char* id = reinterpret_cast<const char*>(order) + offsetof(trading_order, cl_ord_id);
    return static_cast<uint32_t>(read_hex(id) % threads_);
  }

  // False when there is no room. Called by thread `from` alone.
  bool give(uint32_t from, uint32_t to, const uint8_t* order, uint64_t received_ns,
            uint64_t stamp_ns) noexcept {
    return rings_[from * threads_ + to]->put([&](HandedOrder& slot) {
      slot.received_ns = received_ns;
      slot.stamp_ns = stamp_ns;
      memcpy(slot.bytes, order, sizeof slot.bytes);
    });
  }

  // Calls `judge` with each order that was given to thread `to`, which alone calls this.
  template <class Judge>
  void take(uint32_t to, Judge judge) noexcept {
    for (uint32_t from = 0; from < threads_; from++) rings_[from * threads_ + to]->take_all(judge);
  }

  // A thread has nothing to wait for any more; but it goes on receiving for the others until all have said
  // so.
  void settled() noexcept { settled_.fetch_add(1); }
  bool all_settled() const noexcept { return settled_.load() >= threads_; }

 private:
  const uint32_t threads_;
  std::vector<std::unique_ptr<SpscRing<HandedOrder>>> rings_;  // from each to each
  SharedSlew slew_;
  std::atomic<uint64_t> start_ns_{0};
  std::atomic<uint32_t> settled_{0};
};

}  // namespace carom
