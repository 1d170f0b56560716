// What one thread hands to another: the ring, the seqlock and the handover, each with both threads at work.
// Run under ThreadSanitizer as well (make -C native/test tsan), which knows of a race even where none was
// lost.
#include <algorithm>
#include <array>
#include <memory>
#include <thread>

#include "capture/ring.h"
#include "core/handover.h"
#include "core/seqlock.h"
#include "core/spsc_ring.h"
#include "test/test.h"

namespace carom::test {
namespace {

constexpr uint64_t ITEMS = 200'000;

// More than a word, so that one that is half written would be seen.
struct Item {
  uint64_t number;
  std::array<uint64_t, 5> squares;

  static Item of(uint64_t number) {
    Item item{number, {}};
    item.squares.fill(number * number);
    return item;
  }
  bool is_whole() const {
    return std::all_of(squares.begin(), squares.end(), [&](uint64_t s) { return s == number * number; });
  }
};

void ring_capacity(Chance&) {
  SpscRing<int> ring(4);
  for (int round = 0; round < 3; round++) {
    for (int i = 0; i < 4; i++) expect(ring.put([&](int& place) { place = i; }), "there is room");
    expect(!ring.put([](int&) { expect(false, "nothing is written where there is no room"); }),
           "and then none");
    int next = 0;
    expect_equal(ring.take_all([&](const int& item) { expect_equal(item, next++, "the order"); }), 4, "all");
    expect_equal(ring.take_all([](const int&) {}), 0, "each once");
  }
}

void ring_between_threads(Chance&) {
  SpscRing<Item> ring(64);
  std::thread producer([&] {
    for (uint64_t i = 0; i < ITEMS; i++) {
      while (!ring.put([&](Item& place) { place = Item::of(i); })) std::this_thread::yield();
    }
  });
  uint64_t next = 0;
  while (next < ITEMS) {
    uint64_t count = ring.take_all([&](const Item& item) {
      expect_equal(item.number, next++, "the order");
      expect(item.is_whole(), "an item is whole");
    });
    if (count == 0) std::this_thread::yield();
  }
  producer.join();
}

// Records of many sizes, which the end of the ring cuts short in many ways.
void bytes_between_threads(Chance& chance) {
  CaptureRing ring(1 << 12);
  uint64_t seed = chance.next();
  auto length_of = [](Chance& lengths) { return 1 + lengths.below(700); };
  std::thread producer([&] {
    Chance lengths(seed);
    std::array<uint8_t, 700> frame;
    for (uint64_t i = 0; i < ITEMS / 4; i++) {
      uint32_t length = length_of(lengths);
      std::fill_n(frame.begin(), length, static_cast<uint8_t>(i));
      CaptureHead head{.time_ns = i, .length = length, .tag = -1, .tag_protocol = 0, .direction = {}};
      while (!ring.put(head, {frame.data(), length}, UINT32_MAX)) std::this_thread::yield();
    }
  });
  Chance lengths(seed);
  for (uint64_t i = 0; i < ITEMS / 4; i++) {
    const CaptureRecord* record;
    while ((record = ring.peek()) == nullptr) std::this_thread::yield();
    expect_equal(record->time_ns, i, "the order");
    expect_equal(record->captured, length_of(lengths), "the length");
    bool same = std::all_of(record->frame(), record->frame() + record->captured,
                            [&](uint8_t byte) { return byte == static_cast<uint8_t>(i); });
    expect(same, "the bytes");
    ring.release();
  }
  producer.join();
}

void seqlock_between_threads(Chance&) {
  Seqlock<Item> lock(Item::of(0));
  std::thread writer([&] {
    for (uint64_t i = 1; i <= ITEMS; i++) lock.write(Item::of(i));
  });
  uint64_t last = 0;
  while (last < ITEMS) {
    uint64_t version;
    Item item = lock.read(version);
    expect(item.is_whole(), "a value is whole");
    expect(item.number >= last, "and none comes back");
    if (item.number == ITEMS) expect(!lock.has_changed(version), "nothing changes after the last write");
    if (item.number == last) std::this_thread::yield();
    last = item.number;
  }
  writer.join();
}

// An object that is used after it went would be poisoned, and AddressSanitizer's, too.
void handover_between_threads(Chance&) {
  struct Object {
    explicit Object(uint64_t n) : number(n) {}
    ~Object() { number = UINT64_MAX; }
    uint64_t number;
  };
  constexpr uint64_t OBJECTS = 20'000;
  Handover<Object> handover;
  std::thread user([&] {
    const Object* current = nullptr;
    uint64_t last = 0;
    while (last < OBJECTS) {
      const Object* now = handover.wanted();
      if (now != current) handover.use(current = now);
      if (current == nullptr) continue;
      expect(current->number >= last && current->number <= OBJECTS, "an object in use is there");
      last = current->number;
    }
  });
  for (uint64_t i = 1; i <= OBJECTS; i++) handover.offer(std::make_unique<const Object>(i));
  user.join();
}

const Tests tests{
    {"threads: a ring's capacity", ring_capacity},
    {"threads: items through a ring", ring_between_threads},
    {"threads: records of any size through a ring of bytes", bytes_between_threads},
    {"threads: a value behind a seqlock", seqlock_between_threads},
    {"threads: objects handed over", handover_between_threads},
};

}  // namespace
}  // namespace carom::test
