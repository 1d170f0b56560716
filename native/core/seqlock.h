// A value that one thread writes and any thread reads whole, without a lock: the writer never waits, a reader
// tries again when it met a write.
//
// Memory order (Boehm, "Can seqlocks get along with programming language memory models?", MSPC 2012): the
// version is odd while a write goes on. Each word is stored with release, after the odd version, and loaded
// with acquire, before the version is looked at again: a reader that got any word of a later write also sees
// that the version has moved. Words are atomics, not plain memory with fences, as only then is there no data
// race (and ThreadSanitizer can tell).
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace carom {

template <class Value>
class Seqlock {
  static_assert(std::is_trivially_copyable_v<Value>);

 public:
  explicit Seqlock(const Value& value = Value{}) noexcept { write(value); }

  // By the one thread that writes, or by several that take turns.
  void write(const Value& value) noexcept {
    std::array<uint64_t, WORDS> words{};
    memcpy(words.data(), &value, sizeof value);
    uint64_t version = version_.load(std::memory_order_relaxed);
    version_.store(version + 1, std::memory_order_relaxed);
    for (size_t i = 0; i < WORDS; i++) words_[i].store(words[i], std::memory_order_release);
    version_.store(version + 2, std::memory_order_release);
  }

  Value read() const noexcept {
    uint64_t version;
    return read(version);
  }

  // Says, too, which version it is: another one after each write.
  Value read(uint64_t& version) const noexcept {
    std::array<uint64_t, WORDS> words;
    uint64_t after;
    do {
      version = version_.load(std::memory_order_acquire);
      for (size_t i = 0; i < WORDS; i++) words[i] = words_[i].load(std::memory_order_acquire);
      after = version_.load(std::memory_order_relaxed);
    } while (version != after || version % 2 != 0);
    Value value;
    memcpy(&value, words.data(), sizeof value);
    return value;
  }

  // Of the last write that has ended, for the one who writes.
  uint64_t version() const noexcept { return version_.load(std::memory_order_acquire); }

  // Whether something has been written, or is being written, since that version: one load.
  bool has_changed(uint64_t version) const noexcept {
    return version_.load(std::memory_order_relaxed) != version;
  }

 private:
  static constexpr size_t WORDS = (sizeof(Value) + 7) / 8;

  std::atomic<uint64_t> version_{0};
  std::array<std::atomic<uint64_t>, WORDS> words_{};
};

}  // namespace carom
