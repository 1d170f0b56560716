// The way from the thread that has a frame to the thread that writes it: a ring of bytes with one writer and
// one reader, in which records of any size follow each other. What finds no room is counted, and the next
// record says how many went before it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>

#include "capture/pcapng.h"
#include "core/counters.h"
#include "core/spsc_ring.h"

namespace carom {

// Its bytes follow: the captured ones of the frame, then from the next multiple of 8 on what the one who put
// it there has to say of it.
struct CaptureRecord {
  uint32_t size;  // of all of it
  uint32_t captured;
  uint64_t time_ns;  // since the epoch
  uint64_t dropped;  // frames that are missing before this one
  uint32_t length;   // of the frame on the wire
  uint32_t note_size;
  PcapngDirection direction;
  PcapngReception reception;
  uint16_t kind;  // of the note, for whoever reads it
  uint32_t pad;

  static constexpr uint32_t padded(uint32_t size) noexcept { return (size + 7) & ~uint32_t{7}; }

  uint8_t* frame() noexcept { return reinterpret_cast<uint8_t*>(this + 1); }
  const uint8_t* frame() const noexcept { return reinterpret_cast<const uint8_t*>(this + 1); }
  uint8_t* note() noexcept { return frame() + padded(captured); }
  const uint8_t* note() const noexcept { return frame() + padded(captured); }
};

static_assert(sizeof(CaptureRecord) % 8 == 0);

// What is known of a frame besides its bytes.
struct CaptureHead {
  uint64_t time_ns;
  uint32_t length;  // on the wire, with the tag
  int32_t tag;      // VLAN tag control information that the kernel took out; it is put back. -1: none
  uint16_t tag_protocol;
  PcapngDirection direction;
  PcapngReception reception = PcapngReception::unknown;
  uint16_t kind = 0;
};

class CaptureRing {
 public:
  static constexpr uint32_t ADDRESSES_SIZE = 12;  // in front of a VLAN tag
  static constexpr uint32_t TAG_SIZE = 4;

  // Throws Error when there is no memory for so many bytes, a power of two.
  explicit CaptureRing(size_t bytes);
  ~CaptureRing();
  CaptureRing(const CaptureRing&) = delete;
  CaptureRing& operator=(const CaptureRing&) = delete;

  // By the one who has the frames. At most `snap_length` bytes are kept. False when there is no room.
  bool put(const CaptureHead& head, std::span<const uint8_t> frame, uint32_t snap_length,
           std::span<const uint8_t> note = {}) noexcept {
    auto size = static_cast<uint32_t>(frame.size());
    bool tagged = head.tag >= 0 && size >= ADDRESSES_SIZE;
    uint32_t captured = std::min(size + (tagged ? TAG_SIZE : 0), snap_length);
    auto note_size = static_cast<uint32_t>(note.size());
    uint32_t whole = static_cast<uint32_t>(sizeof(CaptureRecord)) + CaptureRecord::padded(captured) +
                     CaptureRecord::padded(note_size);
    CaptureRecord* record = reserve(whole);
    if (record == nullptr) [[unlikely]] {
      ++dropped;
      missed_++;
      return false;
    }
    *record = {whole,     captured,       head.time_ns,   missed_,   head.length,
               note_size, head.direction, head.reception, head.kind, 0};
    missed_ = 0;
    if (tagged) {
      put_tagged(record->frame(), captured, head, frame);
    } else if (captured != 0) {
      memcpy(record->frame(), frame.data(), captured);
    }
    if (note_size != 0) memcpy(record->note(), note.data(), note_size);
    indices_.publish(filled_ + whole);
    return true;
  }

  // Frames that are missing here for another reason.
  void skip(uint64_t count) noexcept { missed_ += count; }

  // By the writer: the oldest record, null when there is none; it stays until it is released.
  const CaptureRecord* peek() noexcept;
  void release() noexcept;

  // The first `captured` bytes of a frame with its tag back where it was; the frame has both addresses.
  static void put_tagged(uint8_t* to, uint32_t captured, const CaptureHead& head,
                         std::span<const uint8_t> frame) noexcept;

  Counter dropped;  // frames that found no room

 private:
  static constexpr uint32_t FILLER = UINT32_MAX;  // in place of captured: nothing, up to the end of the ring

  const CaptureRecord* oldest() const noexcept {
    return reinterpret_cast<const CaptureRecord*>(memory_ + indices_.place(indices_.consumed()));
  }

  // Where a record of that size goes, in one piece: null when there is no room. `filled_` is then what it
  // leaves empty before it, at the end of the ring.
  CaptureRecord* reserve(uint32_t size) noexcept {
    uint64_t at = indices_.place(indices_.produced());
    uint64_t left = indices_.capacity() - at;
    filled_ = left < size ? left : 0;
    if (!indices_.has_room(filled_ + size)) return nullptr;
    if (filled_ == 0) return reinterpret_cast<CaptureRecord*>(memory_ + at);
    uint32_t filler[2] = {static_cast<uint32_t>(left), FILLER};
    memcpy(memory_ + at, filler, sizeof filler);
    return reinterpret_cast<CaptureRecord*>(memory_);
  }

  uint8_t* memory_;
  SpscIndices indices_;  // in bytes
  uint64_t filled_ = 0;
  uint64_t missed_ = 0;  // frames since the last record
};

}  // namespace carom
