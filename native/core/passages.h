// When ticks passed a role: for a run whose round trips are to be split into their parts. A tick is chosen by
// its timestamp, so that all roles choose the same ones. Memory is taken at start; once it is full, no more.
#pragma once

#include <bit>
#include <cstdint>
#include <vector>

namespace carom {

// In ns; by the timeline of core/clock.h where nothing else is said.
struct Passage {
  uint64_t tick;       // its timestamp
  uint64_t begin_ns;   // taken up; for an answer at the generator, when the order was made, by its timestamp
  uint64_t handed_ns;  // handed to the backend
  uint64_t returned_ns;  // the backend is done with it
};

class PassageLog {
 public:
  static constexpr size_t CAPACITY = 1 << 17;

  // One tick of `every`, a power of two, is kept; 0: none.
  explicit PassageLog(uint32_t every)
      : shift_(every == 0 ? 0 : 64 - std::countr_zero(every)), on_(every != 0) {
    if (on_) passages_.resize(CAPACITY);
  }

  bool on() const noexcept { return on_; }

  bool wants(uint64_t tick) const noexcept {
    return on_ && used_ < CAPACITY && (shift_ == 64 || (tick * 0x9e3779b97f4a7c15ull) >> shift_ == 0);
  }

  void add(const Passage& passage) noexcept {
    if (used_ < CAPACITY) passages_[used_++] = passage;
  }

  // Those added since the last time.
  void handed(uint64_t now_ns) noexcept {
    for (size_t i = returned_; i < used_; i++) passages_[i].handed_ns = now_ns;
  }
  void returned(uint64_t now_ns) noexcept {
    while (returned_ < used_) passages_[returned_++].returned_ns = now_ns;
  }

  // After the loop.
  std::vector<Passage> passages() const {
    return {passages_.begin(), passages_.begin() + static_cast<ptrdiff_t>(used_)};
  }

 private:
  int shift_;
  bool on_;
  size_t used_ = 0;
  size_t returned_ = 0;
  std::vector<Passage> passages_;
};

}  // namespace carom
