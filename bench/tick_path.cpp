// One tick through the responder's whole user-space path: parse with both checksums, address checks,
// strategy, order bytes, headers and checksum. Real frames from memory, without any input or output.
//   tick_path [ROUNDS]
// Prints ns a tick as JSON: the median, the fastest and the slowest of the rounds.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "core/clock.h"
#include "loop/respond.h"
#include "strategy/runner.h"
#include "test/memory_io.h"

namespace {

using namespace carom;

constexpr uint32_t BATCH = 32;
constexpr uint32_t TICKS_A_ROUND = 1 << 21;
constexpr uint32_t DISTINCT = 4096;

ResponderConfig configuration() {
  ResponderConfig config{};
  const uint8_t mac[6] = {0x02, 0xca, 0x40, 0, 0, 2};
  const uint8_t address[4] = {198, 18, 0, 2};
  const uint8_t group[4] = {239, 1, 1, 1};
  memcpy(config.io.link.mac, mac, 6);
  memcpy(config.io.link.address4, address, 4);
  memcpy(config.io.groups.emplace_back().address, group, 4);
  config.io.link.has_address4 = true;
  config.io.link.mtu = 1500;
  config.io.local_port = config.io.send_port = 8080;
  config.io.vlan = -1;
  config.io.ttl = 16;
  config.io.stall_threshold_ns = 1'000'000'000;
  config.strategy.settings.threshold = 10000;
  config.strategy.settings.quantity = 100;
  config.strategy.settings.price_offset = 1;
  config.response.port = 9999;
  return config;
}

// Ticks that all trigger an order, each with its own price, quantity and timestamp.
std::vector<std::vector<uint8_t>> ticks() {
  Endpoint from{{0x02, 0xca, 0x40, 0, 0, 1}, {198, 18, 0, 1}, 9999};
  Endpoint to{{0x01, 0x00, 0x5e, 1, 1, 1}, {239, 1, 1, 1}, 8080};
  FrameTemplate headers(from, to, false, -1, 16, 0, MARKET_DATA_SIZE);
  std::vector<std::vector<uint8_t>> frames;
  for (uint32_t i = 0; i < DISTINCT; i++) {
    std::vector<uint8_t> buffer(FrameTemplate::MIN_BUFFER);
    Tick tick{{symbol_word("AAPL"), 1 + i % 9999, 100, 1'700'000'000'000'000'000 + uint64_t{i} * 1237}};
    tick.write(headers.begin(buffer.data()));
    headers.finish(buffer.data());
    buffer.resize(headers.frame_length());
    frames.push_back(buffer);
  }
  return frames;
}

double round_ns(RespondLoop<MemoryIo, STRATEGY_threshold>& loop, MemoryIo& io,
                std::vector<std::vector<uint8_t>>& frames) {
  const Clock& clock = Clock::get();
  uint64_t begin_ns = clock.now_ns();
  for (uint32_t done = 0; done < TICKS_A_ROUND; done += BATCH) {
    for (uint32_t i = 0; i < BATCH; i++) {
      std::vector<uint8_t>& frame = frames[(done + i) % DISTINCT];
      loop.rx()[i] = {frame.data(), static_cast<uint32_t>(frame.size()), false, 0};
    }
    loop.process(BATCH, begin_ns);
    io.clear_sent();
  }
  return static_cast<double>(clock.now_ns() - begin_ns) / TICKS_A_ROUND;
}

}  // namespace

int main(int count, char** arguments) {
  int rounds = count > 1 ? atoi(arguments[1]) : 15;
  ResponderRole role(configuration());
  MemoryIo io;
  auto loop = std::make_unique<RespondLoop<MemoryIo, STRATEGY_threshold>>(role, io);
  std::vector<std::vector<uint8_t>> frames = ticks();
  std::vector<double> results;
  for (int i = 0; i < rounds + 1; i++) {
    double ns = round_ns(*loop, io, frames);
    if (i > 0) results.push_back(ns);  // the first one warms up
  }
  if (role.counters.orders.get() != uint64_t{TICKS_A_ROUND} * static_cast<uint64_t>(rounds + 1)) {
    fputs("tick_path: not every tick was answered\n", stderr);
    return 1;
  }
  std::sort(results.begin(), results.end());
  printf("{\"median_ns\":%.2f,\"min_ns\":%.2f,\"max_ns\":%.2f,\"ticks\":%u}\n", results[results.size() / 2],
         results.front(), results.back(), TICKS_A_ROUND * static_cast<uint32_t>(rounds));
}
