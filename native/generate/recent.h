// Orders and ticks that were not as expected, for who looks while the run goes on: a queue between the loop
// and the thread that controls it. When it is full, what comes is left out, so that a flood of them costs the
// loop little.
#pragma once

#include <vector>

#include "core/spsc_ring.h"

namespace carom {

template <class Item>
class Recent {
 public:
  static constexpr uint64_t CAPACITY = 64;

  // By the loop. `fill` makes the item in its place.
  template <class Fill>
  void add(Fill fill) noexcept {
    ring_.put(fill);
  }

  // By the controlling thread: takes out what is there, oldest first.
  std::vector<Item> take() {
    std::vector<Item> taken;
    ring_.take_all([&](const Item& item) { taken.push_back(item); });
    return taken;
  }

 private:
  SpscRing<Item> ring_{CAPACITY};
};

}  // namespace carom
