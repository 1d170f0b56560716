#include "loop/responder.h"

namespace carom {

void ResponderRole::change(const ResponderSettings& settings) {
  if (live.wanted() != nullptr && fixed_symbols && settings.strategy.symbols != config.strategy.symbols) {
    throw Error(ErrorCode::usage, "change the symbols", "their memory is made at start",
                "start the responder again with the new ones");
  }
  live.offer(std::make_unique<const Live>(settings));
}

}  // namespace carom
