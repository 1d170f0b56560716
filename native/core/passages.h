// When ticks passed a role: for a run whose round trips are to be split into their parts, on one host or on
// two. A tick is chosen by its timestamp, so that all roles choose the same ones, wherever they are. Memory
// is taken at start; what finds no room in it is counted.
#pragma once

#include <bit>
#include <cstdint>
#include <span>
#include <vector>

namespace carom {

// In ns; by the timeline of core/clock.h where nothing else is said.
struct Passage {
  uint64_t tick;       // its timestamp
  uint64_t begin_ns;   // taken up; for an answer at the generator, when the order was made, by its timestamp
  uint64_t handed_ns;  // handed to the backend; NOT_HANDED for a tick without an order
  // The backend is done with it; for an answer at the generator, the order's timestamp as it came.
  uint64_t returned_ns;
};

class PassageLog {
 public:
  static constexpr uint64_t NOT_HANDED = UINT64_MAX;

  // One tick of `every`, a power of two, is kept; 0: none. There is room for `room` of them.
  PassageLog(uint32_t every, size_t room)
      : shift_(every == 0 ? 0 : 64 - std::countr_zero(every)), on_(every != 0) {
    if (on_) passages_.resize(room);
  }

  bool on() const noexcept { return on_; }

  // Whether a tick is to be added. One that is, and finds no room, is counted.
  bool wants(uint64_t tick) noexcept {
    if (!on_ || (shift_ != 64 && (tick * 0x9e3779b97f4a7c15ull) >> shift_ != 0)) return false;
    if (used_ < passages_.size()) return true;
    dropped_++;
    return false;
  }

  void add(const Passage& passage) noexcept {
    if (used_ < passages_.size()) passages_[used_++] = passage;
  }

  // Those added since the last time.
  void handed(uint64_t now_ns) noexcept {
    for (size_t i = returned_; i < used_; i++) {
      if (passages_[i].handed_ns != NOT_HANDED) passages_[i].handed_ns = now_ns;
    }
  }
  void returned(uint64_t now_ns) noexcept {
    while (returned_ < used_) passages_[returned_++].returned_ns = now_ns;
  }

  // After the loop.
  std::span<const Passage> passages() const noexcept { return {passages_.data(), used_}; }
  uint64_t dropped() const noexcept { return dropped_; }

 private:
  int shift_;
  bool on_;
  size_t used_ = 0;
  size_t returned_ = 0;
  uint64_t dropped_ = 0;
  std::vector<Passage> passages_;
};

}  // namespace carom
