// Slots of memory, each with an inaccessible page behind it: a frame that ends at the end of its slot can't
// be overread without a crash, in a plain build as well. Under ASan, what lies in front of it is out of
// bounds, too.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <new>

#if defined(__SANITIZE_ADDRESS__)
#define CAROM_TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CAROM_TEST_ASAN 1
#endif
#endif
#ifdef CAROM_TEST_ASAN
#include <sanitizer/asan_interface.h>
#endif

namespace carom::test {

class GuardedMemory {
 public:
  // `guarded` false leaves the pages out and packs the slots.
  GuardedMemory(uint32_t slot_count, uint32_t slot_size, bool guarded) {
    size_t page = static_cast<size_t>(getpagesize());
    size_t usable = guarded ? (slot_size + page - 1) / page * page : slot_size;
    stride_ = guarded ? usable + page : usable;
    usable_ = usable;
    size_ = stride_ * slot_count;
    void* memory = mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    memory_ = static_cast<uint8_t*>(memory);
    if (!guarded) return;
    for (uint32_t i = 0; i < slot_count; i++) {
      // Each page takes two of the process's mappings; vm.max_map_count allows 65,530 of them.
      if (mprotect(end(i), page, PROT_NONE) != 0) throw std::bad_alloc();
    }
  }

  ~GuardedMemory() {
    unpoison(memory_, size_);
    munmap(memory_, size_);
  }
  GuardedMemory(const GuardedMemory&) = delete;
  GuardedMemory& operator=(const GuardedMemory&) = delete;

  uint8_t* begin(uint32_t slot) const noexcept { return memory_ + slot * stride_; }
  uint8_t* end(uint32_t slot) const noexcept { return begin(slot) + usable_; }

  // The last `length` bytes of the slot; the others are out of bounds from now on.
  uint8_t* last(uint32_t slot, uint32_t length) const noexcept {
    uint8_t* from = end(slot) - length;
    poison(begin(slot), static_cast<size_t>(from - begin(slot)));
    unpoison(from, length);
    return from;
  }

 private:
#ifdef CAROM_TEST_ASAN
  static void poison(const void* from, size_t size) noexcept { __asan_poison_memory_region(from, size); }
  static void unpoison(const void* from, size_t size) noexcept { __asan_unpoison_memory_region(from, size); }
#else
  static void poison(const void*, size_t) noexcept {}
  static void unpoison(const void*, size_t) noexcept {}
#endif

  uint8_t* memory_ = nullptr;
  size_t size_ = 0;
  size_t stride_ = 0;
  size_t usable_ = 0;
};

}  // namespace carom::test
