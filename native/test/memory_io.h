// Backend `memory`: frames from a test or a benchmark and back to it, on one thread, without a network. A
// ring of received frames that push() fills, and the frames sent, in order, until clear_sent().
#pragma once

#include <bit>
#include <cassert>
#include <cstring>
#include <memory>

#include "io/packet_io.h"
#include "test/guarded_memory.h"

namespace carom {

struct MemoryIoOptions {
  uint32_t rx_capacity = MAX_BATCH;  // frames, a power of two
  uint32_t tx_capacity = MAX_BATCH;  // frames that may be sent before clear_sent()
  uint32_t rx_size = 2048;           // bytes of the longest frame
  uint32_t tx_size = 128;            // bytes of each buffer to write into
  bool guarded = false;              // each buffer ends at an inaccessible page: for tests; packed is faster
};

class MemoryIo {
 public:
  static constexpr std::string_view NAME = "memory";

  explicit MemoryIo(const MemoryIoOptions& options = {})
      : options_(options),
        rx_memory_(options.rx_capacity, options.rx_size, options.guarded),
        tx_memory_(options.tx_capacity, options.tx_size, options.guarded),
        rx_(new Frame[options.rx_capacity]),
        sent_(new Frame[options.tx_capacity]) {
    assert(std::has_single_bit(options.rx_capacity));
  }

  // Where to write the next frame to receive; null when `rx_capacity` of them have not been released.
  uint8_t* push(uint32_t length) noexcept {
    if (length > options_.rx_size || pushed_ - released_ == options_.rx_capacity) return nullptr;
    uint32_t slot = pushed_++ & (options_.rx_capacity - 1);
    rx_[slot] = {rx_memory_.last(slot, length), length, false, 0};
    return rx_[slot].data;
  }

  // Takes a copy of the frame; its `data` is only read.
  bool push(const Frame& frame) noexcept {
    uint8_t* data = push(frame.length);
    if (data == nullptr) return false;
    if (frame.length != 0) memcpy(data, frame.data, frame.length);
    Frame& kept = rx_[(pushed_ - 1) & (options_.rx_capacity - 1)];
    kept = frame;
    kept.data = data;
    return true;
  }

  // The frames that the ring holds are received once more, the oldest first: a benchmark pushes only once.
  void repeat() noexcept {
    released_ = peeked_ = pushed_ < options_.rx_capacity ? 0 : pushed_ - options_.rx_capacity;
  }

  // Pushed and not peeked at.
  uint32_t pending() const noexcept { return pushed_ - peeked_; }

  std::span<const Frame> sent() const noexcept { return {sent_.get(), sent_count_}; }
  void clear_sent() noexcept { sent_count_ = 0; }

  uint32_t rx_peek(std::span<Frame> frames) noexcept {
    uint32_t count = pending() < frames.size() ? pending() : static_cast<uint32_t>(frames.size());
    for (uint32_t i = 0; i < count; i++) frames[i] = rx_[(peeked_ + i) & (options_.rx_capacity - 1)];
    peeked_ += count;
    return count;
  }

  void rx_release(uint32_t count) noexcept {
    // A benchmark may hand frames to a loop that never were in this ring.
    released_ += count < peeked_ - released_ ? count : peeked_ - released_;
  }

  uint32_t tx_reserve(std::span<Frame> frames) noexcept {
    uint32_t room = options_.tx_capacity - sent_count_;
    uint32_t count = room < frames.size() ? room : static_cast<uint32_t>(frames.size());
    for (uint32_t i = 0; i < count; i++) {
      frames[i] = {tx_memory_.last(sent_count_ + i, options_.tx_size), options_.tx_size, false, 0};
    }
    return count;
  }

  uint32_t tx_submit(std::span<const Frame> frames) noexcept {
    for (const Frame& frame : frames) {
      assert(frame.data == tx_memory_.end(sent_count_) - options_.tx_size &&
             frame.length <= options_.tx_size);
      sent_[sent_count_++] = frame;
    }
    return static_cast<uint32_t>(frames.size());
  }

  uint32_t tx_stamps(std::span<TxStamp>) noexcept { return 0; }
  void settle() noexcept {}
  static bool filters() noexcept { return false; }
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  MemoryIoOptions options_;
  test::GuardedMemory rx_memory_;
  test::GuardedMemory tx_memory_;
  std::unique_ptr<Frame[]> rx_;
  std::unique_ptr<Frame[]> sent_;
  uint32_t pushed_ = 0;  // these three run freely: only their differences count
  uint32_t peeked_ = 0;
  uint32_t released_ = 0;
  uint32_t sent_count_ = 0;
  std::vector<std::string> notes_;
};

static_assert(PacketIo<MemoryIo>);

}  // namespace carom
