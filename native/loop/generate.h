// The generator's hot loop: what is planned out, orders in, each one timed and judged. Which loop it is, is
// chosen once.
#pragma once

#include <variant>

#include "generate/replay.h"
#include "loop/generate_fed.h"
#include "loop/generate_plain.h"

namespace carom {

template <PacketIo Io>
class GenerateLoop {
 public:
  GenerateLoop(GeneratorRole& role, Io& io) {
    const GeneratorConfig& config = role.config;
    Ledger* ledger = config.io.receives ? &role.ledger : nullptr;
    if (config.replay) {
      loop_.template emplace<FedLoop<Io, Replay>>(role, io, *config.replay, *role.replay, ledger);
    } else if (is_plain(config.streams)) {
      loop_.template emplace<PlainLoop<Io>>(role, io);
    } else {
      loop_.template emplace<FedLoop<Io, Feed>>(role, io, config.streams, config.feed, config.io.link,
                                                config.io.ttl, role.lines, ledger);
    }
  }

  void run() noexcept {
    std::visit(
        [](auto& loop) {
          if constexpr (requires { loop.run(); }) loop.run();
        },
        loop_);
  }

 private:
  std::variant<std::monostate, PlainLoop<Io>, FedLoop<Io, Feed>, FedLoop<Io, Replay>> loop_;
};

}  // namespace carom
