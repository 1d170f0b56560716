#include "loop/respond.h"

#include <algorithm>

namespace carom {

void ResponderRole::change(const ResponderSettings& settings) {
  const Live* before = wanted();
  if (fixed_symbols && before != nullptr && before->settings.strategy.symbols != settings.strategy.symbols) {
    throw Error(ErrorCode::usage, "change the symbols", "this backend takes them at start only",
                "start the responder again with the new ones");
  }
  auto live = std::make_unique<Live>(Live{settings, make_strategy(settings.strategy)});
  // Once the loop uses the newest, it will never look at an older one again. Before that it may be about to
  // take up any of them, and all stay.
  if (in_use_.load(std::memory_order_acquire) == before) {
    std::erase_if(lives_, [&](const auto& old) { return old.get() != before; });
  }
  wanted_.store(live.get(), std::memory_order_release);
  lives_.push_back(std::move(live));
}

}  // namespace carom
