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
  wanted_.store(live.get(), std::memory_order_release);
  // The loop may still be with the one it uses; all others it will never look at again.
  const Live* used = in_use_.load(std::memory_order_acquire);
  std::erase_if(lives_, [&](const auto& old) { return old.get() != used; });
  lives_.push_back(std::move(live));
}

}  // namespace carom
