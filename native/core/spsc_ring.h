// A queue from one thread to one other thread, without locks: the only one in carom, whatever is queued.
//
// SpscIndices is its two indices, in units of the user's choice (items, bytes). Each belongs to one thread,
// which alone writes it; they count on for ever, and what an index points to is found modulo the capacity.
// Memory order: the producer writes an item with plain stores, then publishes it with a release store of
// `produced_`; the consumer reads that with acquire before it looks at the item, so that it sees all of it.
// The way back is the same: the consumer releases a place after it has read it, and the producer acquires
// `consumed_` before it writes there again. Each side keeps the other's index as it last saw it and reads the
// shared one again only when that does not suffice, so that a cache line moves between the cores once a
// batch, not once an item.
#pragma once

#include <atomic>
#include <bit>
#include <cassert>
#include <cstdint>
#include <memory>
#include <utility>

namespace carom {

class SpscIndices {
 public:
  explicit SpscIndices(uint64_t capacity) noexcept : capacity_(capacity) {
    assert(std::has_single_bit(capacity));
  }

  uint64_t capacity() const noexcept { return capacity_; }
  uint64_t place(uint64_t index) const noexcept { return index & (capacity_ - 1); }

  // By the producer: where the next unit goes, and whether `count` of them have room.
  uint64_t produced() const noexcept { return produced_.load(std::memory_order_relaxed); }
  bool has_room(uint64_t count) noexcept {
    if (capacity_ - (produced() - consumed_seen_) >= count) [[likely]]
      return true;
    consumed_seen_ = consumed_.load(std::memory_order_acquire);
    return capacity_ - (produced() - consumed_seen_) >= count;
  }
  void publish(uint64_t count) noexcept { produced_.store(produced() + count, std::memory_order_release); }

  // By the consumer: the oldest unit, and how many there are from it on. A number of 0 is always fresh.
  uint64_t consumed() const noexcept { return consumed_.load(std::memory_order_relaxed); }
  uint64_t available() noexcept {
    if (produced_seen_ == consumed()) produced_seen_ = produced_.load(std::memory_order_acquire);
    return produced_seen_ - consumed();
  }
  // The same, with all that is published by now.
  uint64_t available_now() noexcept {
    produced_seen_ = produced_.load(std::memory_order_acquire);
    return produced_seen_ - consumed();
  }
  void release(uint64_t count) noexcept { consumed_.store(consumed() + count, std::memory_order_release); }

 private:
  const uint64_t capacity_;
  alignas(64) std::atomic<uint64_t> produced_{0};
  uint64_t consumed_seen_ = 0;  // the producer's
  alignas(64) std::atomic<uint64_t> consumed_{0};
  uint64_t produced_seen_ = 0;  // the consumer's
};

// A queue of items of one size. Memory is taken at once.
template <class Item>
class SpscRing {
 public:
  // `capacity` items, a power of two.
  explicit SpscRing(uint64_t capacity) : indices_(capacity), items_(new Item[capacity]{}) {}

  uint64_t capacity() const noexcept { return indices_.capacity(); }

  // By the producer: has `fill` write the next item in its place. False when there is no room.
  template <class Fill>
  bool put(Fill fill) noexcept {
    if (!indices_.has_room(1)) [[unlikely]]
      return false;
    fill(items_[indices_.place(indices_.produced())]);
    indices_.publish(1);
    return true;
  }

  // By the consumer: calls `use` with each item that is there now, oldest first, and then gives back their
  // places. Returns how many there were.
  template <class Use>
  uint64_t take_all(Use use) {
    uint64_t count = indices_.available_now();
    if (count == 0) return 0;
    uint64_t first = indices_.consumed();
    for (uint64_t i = 0; i < count; i++) use(std::as_const(items_[indices_.place(first + i)]));
    indices_.release(count);
    return count;
  }

 private:
  SpscIndices indices_;
  std::unique_ptr<Item[]> items_;
};

}  // namespace carom
