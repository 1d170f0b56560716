// How a batch of frames lies in memory. The engines read any record that says where a frame is and how long
// it is, so that nothing is copied on the way in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace carom {

// Where the fields lie in a record. `captured_at` and `length_at` may be the same: of 32 bits each.
struct FrameLayout {
  uint32_t stride;       // bytes from one record to the next
  uint32_t data_at;      // of the pointer to the frame
  uint32_t captured_at;  // of the bytes that are there
  uint32_t length_at;    // of the bytes that the frame had
};

constexpr uint32_t STRIDE_MAX = 64;
constexpr uint32_t FRAME_BYTES_MAX = INT32_MAX;  // engines add to offsets without a thought of overflow

// A record, where the caller has none of its own.
struct FilterFrame {
  const uint8_t* data;
  uint32_t captured;
  uint32_t length;
};

constexpr FrameLayout FILTER_FRAME{sizeof(FilterFrame), offsetof(FilterFrame, data),
                                   offsetof(FilterFrame, captured), offsetof(FilterFrame, length)};

// The record at an index, whatever its layout.
inline FilterFrame frame_at(const void* frames, uint32_t index, const FrameLayout& layout) noexcept {
  const uint8_t* record = static_cast<const uint8_t*>(frames) + size_t{index} * layout.stride;
  FilterFrame frame;
  memcpy(&frame.data, record + layout.data_at, sizeof frame.data);
  memcpy(&frame.captured, record + layout.captured_at, sizeof frame.captured);
  memcpy(&frame.length, record + layout.length_at, sizeof frame.length);
  return frame;
}

}  // namespace carom
