// Frames in memory for the benches of the filter and of the responder's path: ticks to several groups and
// ports from several senders, and some that are no UDP. Slots of two cache lines, more than any cache holds.
#pragma once

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "frame/build.h"
#include "strategy/runner.h"

namespace carom {

constexpr uint32_t MARKET_FRAMES = 65536;
constexpr uint32_t MARKET_SLOT = 128;
constexpr uint32_t MARKET_FRAME_BYTES = 66;
constexpr uint32_t MARKET_NETS = 4;
constexpr uint32_t MARKET_HOSTS = 3;  // groups of each net: 239.1.NET.HOST, from 1 on

class MarketFrames {
 public:
  // Ports from 8080 on, and one frame of so many that is TCP; 0: none.
  MarketFrames(uint32_t ports, uint32_t one_tcp_of)
      : slots_(static_cast<uint8_t*>(aligned_alloc(MARKET_SLOT, BYTES))) {
    for (uint32_t i = 0; i < MARKET_FRAMES; i++) write(i, ports, one_tcp_of);
  }

  uint8_t* at(uint32_t index) noexcept { return slots_.get() + size_t{index} * MARKET_SLOT; }

 private:
  static constexpr size_t BYTES = size_t{MARKET_FRAMES} * MARKET_SLOT;

  void write(uint32_t index, uint32_t ports, uint32_t one_tcp_of) {
    Endpoint from{{0x02, 0xca, 0x40, 0, 0, 1}, {198, 18, 0, static_cast<uint8_t>(1 + any(12))}, 9999};
    uint8_t net = static_cast<uint8_t>(1 + any(MARKET_NETS));
    uint8_t host = static_cast<uint8_t>(1 + any(MARKET_HOSTS));
    uint16_t port = static_cast<uint16_t>(8080 + any(ports));
    Endpoint to{{0x01, 0x00, 0x5e, 1, net, host}, {239, 1, net, host}, port};
    FrameTemplate headers(from, to, false, -1, 16, 0, MARKET_DATA_SIZE);
    uint8_t buffer[FrameTemplate::MIN_BUFFER];
    Tick tick{{symbol_word(any(4) == 0 ? "AAPL" : "MSFT"), 1 + any(20000), 100, index}};
    tick.write(headers.begin(buffer));
    headers.finish(buffer);
    if (one_tcp_of != 0 && any(one_tcp_of) == 0) buffer[23] = 6;  // the protocol
    memcpy(at(index), buffer, MARKET_FRAME_BYTES);
  }

  // The same on every run.
  uint32_t any(uint32_t bound) noexcept {
    state_ = state_ * 6364136223846793005u + 1442695040888963407u;
    return static_cast<uint32_t>((state_ >> 33) % bound);
  }

  struct Free {
    void operator()(uint8_t* memory) const noexcept { free(memory); }
  };

  std::unique_ptr<uint8_t[], Free> slots_;
  uint64_t state_ = 1;
};

}  // namespace carom
