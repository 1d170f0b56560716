// For libFuzzer: the parser and the responder's loop on whatever it comes up with.
//   make -C native/test fuzz SECONDS=60
// Input: one byte of settings, then frames, each behind two bytes: its length, and in the highest bit whether
// its checksums are to be put right, as no fuzzer finds those by itself.
#include <cstdio>
#include <cstdlib>
#include <memory>

#include "loop/respond.h"
#include "strategy/runner.h"
#include "test/memory_io.h"
#include "test/respond_support.h"

namespace carom::test {

void fail(const std::string& what, const char* file, int line) {
  fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
  abort();
}

namespace {

// Bits of the byte of settings: 1 IPv6 group, 2 VLAN, 8 and 16 the strategy, 32 a limit on
// answers.
class Target {
 public:
  explicit Target(uint32_t settings) : role(config(settings)), model(role.config) {}
  virtual ~Target() = default;
  virtual std::span<Frame> rx() = 0;
  virtual void process(uint32_t count, uint64_t now_ns) = 0;

  bool remembers() const { return role.config.strategy.keeps_state() || role.config.limit.interval_ns != 0; }

  static ResponderConfig config(uint32_t settings) {
    ResponderConfig config = responder_config((settings & 1) != 0);
    config.io.vlan = (settings & 2) != 0 ? 100 : -1;
    config.strategy = {
        static_cast<StrategyId>(settings >> 3 & 3), {10000, 100, 1, 0, 43691, 16384, 7, 1 << 20}, {}, 64};
    if ((settings & 32) != 0) config.limit = {1000, 2000};
    return config;
  }

  ResponderRole role;
  ResponderModel model;
  MemoryIo io{{1, 128, MAX_FRAME, FrameTemplate::MIN_BUFFER, true}};
  uint64_t now_ns = 1;
};

template <StrategyId ID>
class TargetOf : public Target {
 public:
  explicit TargetOf(uint32_t settings) : Target(settings), loop_(new RespondLoop<MemoryIo, ID>(role, io)) {}
  std::span<Frame> rx() override { return loop_->rx(); }
  void process(uint32_t count, uint64_t now_ns) override { loop_->process(count, now_ns); }

 private:
  std::unique_ptr<RespondLoop<MemoryIo, ID>> loop_;
};

std::unique_ptr<Target> make_target(uint32_t settings) {
  switch (Target::config(settings).strategy.id) {
#define CAROM_TARGET(name, keeps_state) \
  case STRATEGY_##name:                 \
    return std::make_unique<TargetOf<STRATEGY_##name>>(settings);
    CAROM_STRATEGIES(CAROM_TARGET)
#undef CAROM_TARGET
    case STRATEGY_COUNT:
      break;
  }
  __builtin_trap();
}

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

void check(Target& target, const Expected& expected) {
  const ResponderCounters& is = target.role.counters;
  uint64_t refused = total(is.refused) + is.wrong_mac.get() + is.wrong_address.get() + is.wrong_group.get() +
                     is.wrong_port.get() + is.unanswerable.get();
  require(is.frames.get() == is.datagrams.get() + refused);
  require(is.ticks.get() == is.orders.get() + is.quiet_ticks.get() + is.orders_unsent.get() +
                                is.orders_limited.get() + is.symbol_over_limit.get());
  require(target.io.sent().size() == expected.orders.size());
  for (size_t i = 0; i < expected.orders.size(); i++) {
    const Frame& order = target.io.sent()[i];
    require(read_frame(order.data, order.length, {target.role.config.io.vlan, true}).defects == 0);
    require(order.length == expected.lengths[i]);
    require(memcmp(order.data, expected.orders[i].data(), order.length) == 0);
  }
  target.io.clear_sent();
}

void feed(const uint8_t* data, size_t size) {
  static std::unique_ptr<Target> targets[64];
  if (size == 0) return;
  uint32_t settings = *data++ & 63;
  size--;
  std::unique_ptr<Target>& target = targets[settings];
  if (!target || target->remembers()) target = make_target(settings);  // each input stands for itself
  for (int frames = 0; frames < 32 && size >= 2; frames++) {
    uint32_t length = (data[0] & 7u) << 8 | data[1];
    bool right = (data[0] & 0x80) != 0;
    bool verified = (data[0] & 0x40) != 0;
    data += 2;
    size -= 2;
    if (length > size) length = static_cast<uint32_t>(size);
    Frame frame{const_cast<uint8_t*>(data), length, verified, 0};
    require(target->io.push(frame));
    data += length;
    size -= length;
    uint32_t count = target->io.rx_peek(target->rx());
    Frame& pushed = target->rx()[0];
    if (right) repair(pushed.data, pushed.length);
    check_parse(pushed, {target->role.config.io.vlan, !verified});
    target->now_ns += length;
    Expected expected = expectation(pushed, target->role.config, target->now_ns, target->model);
    target->process(count, target->now_ns);
    check(*target, expected);
  }
}

}  // namespace
}  // namespace carom::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  carom::test::feed(data, size);
  return 0;
}
