// What came most often, in a memory that does not grow: when the table is full, the half with the fewest
// frames goes into one sum of others. What is frequent from some point on is found all the same.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <type_traits>
#include <vector>

namespace carom {

struct FrameCount {
  uint64_t frames = 0;
  uint64_t bytes = 0;
};

// Key: bytes that all count. Value: has frames, by which entries are compared, and add(Value).
template <class Key, class Value>
class TopTable {
  static_assert(std::has_unique_object_representations_v<Key>);

 public:
  struct Entry {
    Key key;
    Value value;
    bool used;
  };

  // `capacity`: a power of two; so many entries at the most.
  explicit TopTable(uint32_t capacity) : capacity_(capacity), seed_(std::random_device{}()) {}

  // The value of a key; a new one is added. Good until the next call.
  Value& at(const Key& key) {
    if (slots_.empty()) rebuild({}, std::min(SMALLEST, capacity_));
    Entry* entry = find(key);
    if (entry->used) return entry->value;
    if (2 * size_t{count_} == slots_.size()) {
      if (count_ == capacity_) {
        prune();
      } else {
        rebuild(used(), 2 * count_);
      }
      entry = find(key);
    }
    count_++;
    *entry = {key, {}, true};
    return entry->value;
  }

  uint32_t count() const noexcept { return count_; }
  const Value& others() const noexcept { return others_; }
  uint64_t dropped() const noexcept { return dropped_; }  // entries; one may have come again

  // The most frequent first; of two alike, the one whose bytes are the lower.
  std::vector<Entry> top(size_t most) const {
    std::vector<Entry> result = used();
    size_t count = std::min(most, result.size());
    std::partial_sort(result.begin(), result.begin() + static_cast<ptrdiff_t>(count), result.end(), precedes);
    result.resize(count);
    return result;
  }

  // Every value that is still there, together.
  Value sum() const {
    Value result{};
    for (const Entry& entry : slots_) {
      if (entry.used) result.add(entry.value);
    }
    return result;
  }

 private:
  static constexpr uint32_t SMALLEST = 64;

  static bool precedes(const Entry& a, const Entry& b) noexcept {
    if (a.value.frames != b.value.frames) return a.value.frames > b.value.frames;
    return memcmp(&a.key, &b.key, sizeof(Key)) < 0;
  }

  std::vector<Entry> used() const {
    std::vector<Entry> result;
    for (const Entry& entry : slots_) {
      if (entry.used) result.push_back(entry);
    }
    return result;
  }

  Entry* find(const Key& key) noexcept {
    size_t mask = slots_.size() - 1;
    size_t at = hash(key) & mask;
    while (slots_[at].used && memcmp(&slots_[at].key, &key, sizeof(Key)) != 0) at = (at + 1) & mask;
    return &slots_[at];
  }

  // Seeded by chance, so that no capture can be made whose keys all fall on one slot.
  size_t hash(const Key& key) const noexcept {
    uint8_t bytes[(sizeof(Key) + 7) / 8 * 8] = {};
    memcpy(bytes, &key, sizeof(Key));
    uint64_t value = seed_;
    for (size_t i = 0; i < sizeof bytes; i += 8) {
      uint64_t word;
      memcpy(&word, bytes + i, 8);
      value = (value ^ word) * 0x9e3779b97f4a7c15ull;
      value ^= value >> 29;
    }
    return static_cast<size_t>(value ^ value >> 32);
  }

  void prune() {
    std::vector<Entry> all = used();
    auto middle = all.begin() + static_cast<ptrdiff_t>(all.size() / 2);
    std::nth_element(all.begin(), middle, all.end(), precedes);
    for (auto entry = middle; entry != all.end(); ++entry) others_.add(entry->value);
    dropped_ += static_cast<uint64_t>(all.end() - middle);
    all.erase(middle, all.end());
    rebuild(all, capacity_);
  }

  // With room for so many.
  void rebuild(const std::vector<Entry>& entries, uint32_t room) {
    slots_.assign(2 * size_t{room}, Entry{});
    for (const Entry& entry : entries) *find(entry.key) = entry;
    count_ = static_cast<uint32_t>(entries.size());
  }

  uint32_t capacity_;
  uint64_t seed_;
  std::vector<Entry> slots_;
  uint32_t count_ = 0;
  Value others_{};
  uint64_t dropped_ = 0;
};

}  // namespace carom
