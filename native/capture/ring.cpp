#include "capture/ring.h"

#include <arpa/inet.h>
#include <sys/mman.h>

#include "core/error.h"

namespace carom {

// Populated: a page fault in the hot loop would cost more than all else that a capture does there.
CaptureRing::CaptureRing(size_t bytes) : indices_(bytes) {
  void* memory =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) throw system_error("take memory for a capture", errno, "try a smaller buffer");
  memory_ = static_cast<uint8_t*>(memory);
}

CaptureRing::~CaptureRing() { munmap(memory_, indices_.capacity()); }

const CaptureRecord* CaptureRing::peek() noexcept {
  while (indices_.available() != 0) {
    const CaptureRecord* record = oldest();
    if (record->captured != FILLER) return record;
    release();
  }
  return nullptr;
}

void CaptureRing::release() noexcept { indices_.release(oldest()->size); }

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
