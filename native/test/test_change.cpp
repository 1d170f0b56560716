// A responder's settings that change while it runs: each packet meets all of a change or nothing of it, and
// what is left behind is not used any more.
#include <algorithm>
#include <atomic>
#include <exception>
#include <memory>
#include <thread>

#include "test/respond_support.h"

namespace carom::test {
namespace {

constexpr MemoryIoOptions MEMORY{16, 1024, MAX_FRAME, FrameTemplate::MIN_BUFFER, true};

// Between two batches it changes the settings, or does not; after each it looks at what came out.
class ChangingIo {
 public:
  static constexpr std::string_view NAME = "changing";

  ChangingIo(ResponderRole& role, Chance& chance) : role_(role), chance_(chance), config_(role.config) {}

  uint32_t rx_peek(std::span<Frame> frames) noexcept {
    try {
      check_sent();
      if (batches == 20'000) {
        role_.stop();
        return 0;
      }
      if (chance_.one_in(3)) return change();
      batches++;
      push();
    } catch (const std::exception&) {
      failed = true;
      role_.stop();
      return 0;
    }
    return memory_.rx_peek(frames);
  }
  void rx_release(uint32_t count) noexcept { memory_.rx_release(count); }
  uint32_t tx_reserve(std::span<Frame> frames) noexcept { return memory_.tx_reserve(frames); }
  uint32_t tx_submit(std::span<const Frame> frames) noexcept { return memory_.tx_submit(frames); }
  uint32_t tx_stamps(std::span<TxStamp>) noexcept { return 0; }
  void settle() noexcept {}
  static bool filters() noexcept { return false; }
  const std::vector<std::string>& notes() const { return memory_.notes(); }

  uint64_t batches = 0;
  uint64_t frames = 0;
  uint64_t orders = 0;
  uint64_t disabled = 0;
  bool failed = false;

 private:
  uint32_t change() {
    enabled_ = !chance_.one_in(4);
    config_.strategy.settings.threshold = 9985 + chance_.below(20);
    config_.strategy.settings.price_offset = static_cast<int32_t>(chance_.below(5));
    config_.strategy.settings.quantity = chance_.below(1000);
    config_.strategy.settings.side = static_cast<uint8_t>(chance_.below(2));
    role_.change({enabled_, config_.strategy, {}});
    return 0;
  }

  void push() {
    uint8_t bytes[MAX_FRAME];
    for (uint32_t i = 1 + chance_.below(8); i > 0; i--) {
      Frame frame{bytes, tick_frame(chance_, config_, bytes), false, 0};
      expect(memory_.push(frame), "room in the ring");
      frames++;
      disabled += !enabled_;
      if (enabled_) expected_.push_back(expectation(frame, config_, 0));
    }
  }

  void check_sent() {
    size_t at = 0;
    for (const Expected& expected : expected_) {
      for (size_t i = 0; i < expected.orders.size(); i++, at++) {
        expect(at < memory_.sent().size(), "an order for every tick that must have one");
        const Frame& frame = memory_.sent()[at];
        expect_equal(frame.length, expected.lengths[i], "length of an order's frame");
        const uint8_t* is = frame.data + frame.length - TRADING_ORDER_SIZE;
        const uint8_t* must = expected.orders[i].data() + frame.length - TRADING_ORDER_SIZE;
        expect(memcmp(is, must, 17) == 0 && memcmp(is + 25, must + 25, 16) == 0, "by the settings in force");
      }
    }
    expect_equal(memory_.sent().size(), at, "orders sent");
    orders += at;
    expected_.clear();
    memory_.clear_sent();
  }

  ResponderRole& role_;
  Chance& chance_;
  ResponderConfig config_;  // with the settings in force
  bool enabled_ = true;
  std::vector<Expected> expected_;
  MemoryIo memory_{MEMORY};
};

void in_force(Chance& chance) {
  ResponderRole role(responder_config(false));
  std::unique_ptr<ChangingIo> io;
  role.open([&] {
    io = std::make_unique<ChangingIo>(role, chance);
    auto loop = std::make_unique<RespondLoop<ChangingIo, STRATEGY_threshold>>(role, *io);
    if (role.opened({})) loop->run();
  });
  std::atomic<bool> ended = false;
  role.start([&ended](const auto&) { ended = true; });
  while (!ended) usleep(1000);
  role.close();
  expect(!io->failed, "every order is by the settings in force");
  const ResponderCounters& is = role.counters;
  expect_equal(is.frames.get(), io->frames, "frames");
  expect_equal(is.disabled.get(), io->disabled, "frames thrown away");
  expect_equal(is.orders.get(), io->orders, "orders");
  expect(io->orders > 1000 && io->disabled > 1000, "both happened");
}

// Settings that change faster than the loop can take them up: what it takes up must still be there (ASan
// looks).
void hammered(Chance& chance) {
  ResponderRole role(responder_config(false));
  MemoryIo io(MEMORY);
  role.open([&] {
    auto loop = std::make_unique<RespondLoop<MemoryIo, STRATEGY_threshold>>(role, io);
    if (role.opened({})) loop->run();
  });
  role.start({});
  StrategyConfig strategy = role.config.strategy;
  for (int i = 0; i < 100'000; i++) {
    strategy.settings.threshold = chance.below(20'000);
    role.change({true, strategy, {}});
  }
  role.stop();
  role.close();
  expect_equal(role.counters.frames.get(), 0, "frames");
}

// A backend that does its work in the kernel, and a control plane that changes the settings once more at the
// worst moment: while the loop takes up the change before.
class KernelIo {
 public:
  static constexpr std::string_view NAME = "kernel";

  KernelIo(ResponderRole& role, Chance& chance) : role_(role), chance_(chance) {}

  uint32_t rx_peek(std::span<Frame> frames) noexcept {
    memory_.clear_sent();
    if (++turns_ == 2000) role_.stop();
    if (turns_ % 4 == 0) request();
    uint8_t bytes[MAX_FRAME];
    Frame frame{bytes, tick_frame(chance_, role_.config, bytes), false, 0};
    if (turns_ % 2 == 0 || !memory_.push(frame)) return 0;
    return memory_.rx_peek(frames);
  }
  void rx_release(uint32_t count) noexcept { memory_.rx_release(count); }
  uint32_t tx_reserve(std::span<Frame> frames) noexcept { return memory_.tx_reserve(frames); }
  uint32_t tx_submit(std::span<const Frame> frames) noexcept { return memory_.tx_submit(frames); }
  uint32_t tx_stamps(std::span<TxStamp>) noexcept { return 0; }
  void settle() noexcept {}
  static bool filters() noexcept { return false; }
  const std::vector<std::string>& notes() const { return memory_.notes(); }

  void rest() noexcept {}
  void set_epoch_offset() noexcept {}
  KernelTally take_tally() noexcept {
    KernelTally since{chance_.below(4), chance_.below(4), chance_.below(2), chance_.below(2),
                      chance_.below(2)};
    ticks += since.orders + since.quiet + since.limited + since.over_limit;
    disabled += since.disabled;
    return since;
  }
  void sample(uint32_t) noexcept {}
  template <class Take>
  void take_samples(Take take) noexcept {
    if (!chance_.one_in(8)) return;
    respond_sample sample{};
    sample.spent_ns = 100;
    take(sample);
    samples++;
  }
  void change(const KernelSettings& settings) noexcept {
    in_force = settings;
    if (turns_ > 0 && turns_ < 2000 && chance_.one_in(2)) request();
  }

  uint64_t ticks = 0;
  uint64_t disabled = 0;
  uint64_t samples = 0;
  KernelSettings in_force{};

 private:
  void request() {
    StrategyConfig strategy = role_.config.strategy;
    strategy.settings.threshold = 5000 + chance_.below(10'000);
    role_.change({true, strategy, {}});
  }

  ResponderRole& role_;
  Chance& chance_;
  uint32_t turns_ = 0;
  MemoryIo memory_{MEMORY};
};

static_assert(KernelAssisted<KernelIo>);

template <StrategyId ID>
void in_kernel(Chance& chance) {
  ResponderConfig config = responder_config(false);
  config.strategy.id = ID;
  config.strategy.symbol_limit = 100;
  ResponderRole role(config);
  std::unique_ptr<KernelIo> io;
  role.open([&] {
    io = std::make_unique<KernelIo>(role, chance);
    auto loop = std::make_unique<RespondLoop<KernelIo, ID>>(role, *io);
    if (role.opened({})) loop->run();
  });
  std::atomic<bool> ended = false;
  role.start([&ended](const auto&) { ended = true; });
  while (!ended) usleep(1000);
  role.close();
  const ResponderCounters& is = role.counters;
  uint64_t refused = total(is.refused) + is.wrong_mac.get() + is.wrong_address.get() + is.wrong_group.get() +
                     is.wrong_port.get() + is.unanswerable.get() + is.disabled.get();
  expect_equal(is.frames.get(), is.datagrams.get() + refused, "each frame is counted once, wherever");
  expect_equal(is.ticks.get(),
               is.orders.get() + is.quiet_ticks.get() + is.orders_limited.get() + is.symbol_over_limit.get() +
                   is.undecidable.get(),
               "each tick is counted once");
  // What it remembers is in the kernel: of what is handed up, nothing can be decided.
  expect_equal(is.undecidable.get(), STRATEGY_STATES[ID] ? is.ticks.get() - io->ticks : 0,
               "undecidable ticks");
  expect_equal(is.disabled.get(), io->disabled, "what the kernel threw away");
  expect(is.ticks.get() >= io->ticks && io->ticks > 0, "what the kernel did");
  expect_equal(role.processing.count(), io->samples, "its samples are the processing times");
  expect(io->samples > 0, "and there are some");
  expect(!io->in_force.enabled, "nothing is answered after the end");
}

const Tests TESTS{
    {"change: each packet meets the settings in force", in_force},
    {"change: faster than the loop can take them up", hammered},
    {"change: once more, while the loop takes one up", in_kernel<STRATEGY_threshold>},
    {"change: the same where the kernel keeps what is remembered", in_kernel<STRATEGY_crossover>},
};

}  // namespace
}  // namespace carom::test
