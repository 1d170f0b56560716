// The latest ticks of a capture by their timestamps: exactly so many, and no more memory than there are
// ticks.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace carom {

class TickMemory {
 public:
  static constexpr uint32_t MOST = 1 << 20;

  struct Tick {
    uint64_t timestamp;
    uint64_t time_ns : 63;
    uint64_t answered : 1;
  };

  // Null when there is no such tick among the latest. Good until the next add().
  Tick* find(uint64_t timestamp) noexcept {
    if (slots_.empty()) return nullptr;
    uint32_t slot = slots_[slot_of(timestamp)];
    return slot == FREE ? nullptr : &ticks_[slot];
  }

  // One that is not there; the oldest goes when there are enough.
  void add(uint64_t timestamp, uint64_t time_ns) {
    uint32_t at = next_;
    if (ticks_.size() < MOST) {
      if (2 * (ticks_.size() + 1) > slots_.size()) grow();
      ticks_.push_back({});
    } else {
      remove(slot_of(ticks_[at].timestamp));
    }
    ticks_[at] = {timestamp, time_ns & (UINT64_MAX >> 1), 0};
    slots_[slot_of(timestamp)] = at;
    next_ = (at + 1) % MOST;
  }

 private:
  static constexpr uint32_t FREE = UINT32_MAX;
  static constexpr uint32_t SMALLEST = 1 << 8;

  size_t home(uint64_t timestamp) const noexcept {
    unsigned __int128 product = static_cast<unsigned __int128>(timestamp ^ seed_) * 0x9e3779b97f4a7c15ull;
    return static_cast<size_t>(product ^ product >> 64) & (slots_.size() - 1);
  }

  // Where it is, or where it would be.
  size_t slot_of(uint64_t timestamp) const noexcept {
    size_t slot = home(timestamp);
    while (slots_[slot] != FREE && ticks_[slots_[slot]].timestamp != timestamp) slot = after(slot);
    return slot;
  }

  size_t after(size_t slot) const noexcept { return (slot + 1) & (slots_.size() - 1); }

  // What is behind it moves up, unless it would come before its home: no mark of the dead is left (Knuth,
  // The Art of Computer Programming, 6.4, algorithm R).
  void remove(size_t hole) noexcept {
    size_t mask = slots_.size() - 1;
    for (size_t slot = after(hole); slots_[slot] != FREE; slot = after(slot)) {
      size_t from_home = (slot - home(ticks_[slots_[slot]].timestamp)) & mask;
      if (from_home < ((slot - hole) & mask)) continue;
      slots_[hole] = slots_[slot];
      hole = slot;
    }
    slots_[hole] = FREE;
  }

  void grow() {
    slots_.assign(slots_.empty() ? SMALLEST : 2 * slots_.size(), FREE);
    for (uint32_t i = 0; i < ticks_.size(); i++) slots_[slot_of(ticks_[i].timestamp)] = i;
  }

  std::vector<Tick> ticks_;      // a ring, once there are enough
  std::vector<uint32_t> slots_;  // by timestamp: an index
  uint32_t next_ = 0;
  uint64_t seed_ = uint64_t{std::random_device{}()} << 32 | std::random_device{}();  // as in TopTable
};

}  // namespace carom
