// An object that one thread makes and another uses: the user takes up the newest between two packets, and
// what it has left goes with the next one offered.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

namespace carom {

template <class T>
class Handover {
 public:
  // By the one thread that makes them. Null is nothing to use.
  void offer(std::unique_ptr<const T> object) {
    // Once the user uses the newest, it will never look at an older one again. Before that it may be about to
    // take up any of them, and all stay. That it uses nothing does not say since when.
    const T* before = wanted();
    if (before != nullptr && in_use_.load(std::memory_order_acquire) == before) {
      std::erase_if(kept_, [&](const auto& old) { return old.get() != before; });
    }
    wanted_.store(object.get(), std::memory_order_release);
    if (object) kept_.push_back(std::move(object));
  }

  const T* wanted() const noexcept { return wanted_.load(std::memory_order_acquire); }

  // Whether the user has taken up the newest one.
  bool is_taken_up() const noexcept { return in_use_.load(std::memory_order_acquire) == wanted(); }

  // By the thread that uses them: what it uses from now on, and that what it used before may go.
  void use(const T* object) noexcept { in_use_.store(object, std::memory_order_release); }

 private:
  std::vector<std::unique_ptr<const T>> kept_;
  std::atomic<const T*> wanted_{nullptr};
  std::atomic<const T*> in_use_{nullptr};
};

}  // namespace carom
