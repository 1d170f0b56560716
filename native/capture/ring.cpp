#include "capture/ring.h"

#include <arpa/inet.h>
#include <sys/mman.h>

#include <bit>
#include <cassert>

#include "core/error.h"

namespace carom {

// Populated: a page fault in the hot loop would cost more than all else that a capture does there.
CaptureRing::CaptureRing(size_t bytes) : mask_(bytes - 1) {
  assert(std::has_single_bit(bytes));
  void* memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) throw system_error("take memory for a capture", errno, "try a smaller buffer");
  memory_ = static_cast<uint8_t*>(memory);
}

CaptureRing::~CaptureRing() { munmap(memory_, mask_ + 1); }

const CaptureRecord* CaptureRing::peek() noexcept {
  while (true) {
    uint64_t tail = tail_.load(std::memory_order_relaxed);
    if (tail == head_seen_) {
      head_seen_ = head_.load(std::memory_order_acquire);
      if (tail == head_seen_) return nullptr;
    }
    const auto* record = reinterpret_cast<const CaptureRecord*>(memory_ + (tail & mask_));
    if (record->captured != FILLER) return record;
    release();
  }
}

void CaptureRing::release() noexcept {
  uint64_t tail = tail_.load(std::memory_order_relaxed);
  const auto* record = reinterpret_cast<const CaptureRecord*>(memory_ + (tail & mask_));
  tail_.store(tail + record->size, std::memory_order_release);
}

void CaptureRing::put_tagged(uint8_t* to, uint32_t captured, const CaptureHead& head,
                             std::span<const uint8_t> frame) noexcept {
  uint8_t front[ADDRESSES_SIZE + TAG_SIZE];
  memcpy(front, frame.data(), ADDRESSES_SIZE);
  uint16_t tag[2] = {htons(head.tag_protocol), htons(static_cast<uint16_t>(head.tag))};
  memcpy(front + ADDRESSES_SIZE, tag, sizeof tag);
  uint32_t first = std::min(captured, static_cast<uint32_t>(sizeof front));
  memcpy(to, front, first);
  if (captured > first) memcpy(to + first, frame.data() + ADDRESSES_SIZE, captured - first);
}

}  // namespace carom
