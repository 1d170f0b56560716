// For libFuzzer: the parser and the responder's loop on whatever it comes up with.
//   make -C native/test fuzz SECONDS=60
// Input: one byte of settings, then frames, each behind two bytes: its length, and in the highest bit whether
// its checksums are to be put right, as no fuzzer finds those by itself.
#include <memory>

#include "loop/respond.h"
#include "strategy/runner.h"
#include "test/loop_support.h"
#include "test/memory_io.h"

namespace carom::test {
namespace {

using Loop = RespondLoop<MemoryIo, STRATEGY_threshold>;

struct Target {
  explicit Target(uint32_t settings) : role(config(settings)), loop(new Loop(role, io)) {}

  static ResponderConfig config(uint32_t settings) {
    ResponderConfig config{};
    config.io = io_config(true, (settings & 1) != 0);
    config.io.vlan = (settings & 2) != 0 ? 100 : -1;
    config.io.has_group = true;
    memcpy(config.io.group, GROUP4, 16);
    config.strategy = {STRATEGY_threshold, {10000, 100, 1, 0}, {}, 0};
    config.response.port = ORDER_PORT;
    return config;
  }

  ResponderRole role;
  MemoryIo io{{1, 128, MAX_FRAME, FrameTemplate::MIN_BUFFER, true}};
  std::unique_ptr<Loop> loop;
};

void require(bool condition) {
  if (!condition) __builtin_trap();
}

void check_parse(const Frame& frame, const ParseOptions& options) {
  Datagram datagram{};
  ParseResult result = parse_frame(frame.data, frame.length, options, datagram);
  Reading reading = read_frame(frame.data, frame.length, options);
  require(result == ParseResult::ok ? reading.defects == 0 : reading.has(result));
  if (result != ParseResult::ok) return;
  require(datagram.payload >= frame.data);
  require(datagram.payload + datagram.payload_length <= frame.data + frame.length);
}

void check(Target& target) {
  const ResponderCounters& is = target.role.counters;
  uint64_t refused = total(is.refused) + is.wrong_mac.get() + is.wrong_address.get() + is.wrong_group.get() +
                     is.wrong_port.get() + is.unanswerable.get();
  require(is.frames.get() == is.datagrams.get() + refused);
  require(is.ticks.get() == is.orders.get() + is.quiet_ticks.get() + is.orders_unsent.get());
  for (const Frame& order : target.io.sent()) {
    require(read_frame(order.data, order.length, {target.role.config.io.vlan, true, -1}).defects == 0);
  }
  target.io.clear_sent();
}

void feed(const uint8_t* data, size_t size) {
  static std::unique_ptr<Target> targets[4];
  if (size == 0) return;
  uint32_t settings = *data++;
  size--;
  std::unique_ptr<Target>& target = targets[settings & 3];
  if (!target) target = std::make_unique<Target>(settings & 3);
  for (int frames = 0; frames < 32 && size >= 2; frames++) {
    uint32_t length = (data[0] & 7u) << 8 | data[1];
    bool right = (data[0] & 0x80) != 0;
    bool verified = (data[0] & 0x40) != 0;
    data += 2;
    size -= 2;
    if (length > size) length = static_cast<uint32_t>(size);
    Frame frame{const_cast<uint8_t*>(data), length, (settings & 4) != 0 ? 100 : -1, verified, 0};
    require(target->io.push(frame));
    data += length;
    size -= length;
    uint32_t count = target->io.rx_peek(target->loop->rx());
    Frame& pushed = target->loop->rx()[0];
    if (right) repair(pushed.data, pushed.length);
    check_parse(pushed, {target->role.config.io.vlan, !verified, pushed.stripped_vlan});
    target->loop->process(count, 1);
    check(*target);
  }
}

}  // namespace
}  // namespace carom::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  carom::test::feed(data, size);
  return 0;
}
