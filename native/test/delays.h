// Delays made on purpose, in the loops as they are: by a strategy and a feed that are slow, by a backend
// whose calls are, and by another thread on the same core. Each maker keeps a record of its own of when it
// delayed.
#pragma once

#include <pthread.h>
#include <sched.h>
#include <time.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "core/thread.h"
#include "loop/generate.h"
#include "test/respond_support.h"

namespace carom::test {

inline uint64_t cpu_time_ns() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

struct Delay {
  Interval interval;
  uint64_t off_ns;  // of it, the thread did not run
  // Since the delay before ended: what the watch has asked for last may be as old, and stops too short to be
  // slow turns add up until it asks again.
  uint64_t off_since_ns = 0;
};

// Delays the thread that calls it: one call in ten, for 60 to 400 µs, until there are enough.
class DelayMaker {
 public:
  DelayMaker(size_t wanted, uint64_t seed) : wanted_(wanted), chance_(seed) { delays_.reserve(wanted); }

  void delay() noexcept {
    const Clock& clock = Clock::get();
    if (calls_ == 0) ended_ = {clock.now_ns(), cpu_time_ns()};
    if (calls_++ % 10 != 9 || is_enough()) return;
    uint64_t cpu_ns = cpu_time_ns();
    uint64_t start_ns = clock.now_ns();
    uint64_t end_ns = start_ns + 60'000 + chance_.below(340'000);
    uint64_t now_ns = start_ns;
    while (now_ns < end_ns) now_ns = clock.now_ns();
    auto off_ns = [](uint64_t took_ns, uint64_t ran_ns) { return took_ns - std::min(took_ns, ran_ns); };
    const Ended before = std::exchange(ended_, {now_ns, cpu_time_ns()});
    delays_.push_back({{start_ns, now_ns},
                       off_ns(now_ns - start_ns, ended_.cpu_ns - cpu_ns),
                       off_ns(now_ns - before.at_ns, ended_.cpu_ns - before.cpu_ns)});
  }

  bool is_enough() const noexcept { return delays_.size() >= wanted_; }
  const std::vector<Delay>& delays() const noexcept { return delays_; }

 private:
  struct Ended {
    uint64_t at_ns = 0;
    uint64_t cpu_ns = 0;
  };

  size_t wanted_;
  Chance chance_;
  uint64_t calls_ = 0;
  Ended ended_;  // the last delay
  std::vector<Delay> delays_;
};

// Which of a loop's parts are slow.
enum class SlowPart { none, strategy, feed, peek, submit, reserve };

inline DelayMaker* maker = nullptr;  // of the loop that runs
inline SlowPart slow_part = SlowPart::none;

inline void delay_in(SlowPart part) noexcept {
  if (part == slow_part) maker->delay();
}

}  // namespace carom::test

namespace carom {

// A strategy of these loops alone.
template <>
inline Decision StrategyRunner::on_tick<STRATEGY_COUNT>(const StrategyRules& rules,
                                                        const Tick& tick) noexcept {
  test::delay_in(test::SlowPart::strategy);
  return on_tick<STRATEGY_threshold>(rules, tick);
}

}  // namespace carom

namespace carom::test {

struct SlowFeed : Feed {
  using Feed::Feed;
  uint32_t write(const Transmission& transmission, uint8_t* frame) const noexcept {
    delay_in(SlowPart::feed);
    return Feed::write(transmission, frame);
  }
};

// A responder receives a tick with every other look; what a generator sends is gone. Ends the role when there
// were enough delays.
class SlowIo {
 public:
  static constexpr std::string_view NAME = "slow";

  SlowIo(Role& role, bool delivers) : role_(role), delivers_(delivers) {
    uint8_t payload[MARKET_DATA_SIZE];
    Tick{{symbol_word("AAPL"), 100, 100, 1}}.write(payload);
    FrameFields fields = fields_between(true, false, -1);
    fields.destination_port = TICK_PORT;
    fields.payload = payload;
    fields.payload_length = sizeof payload;
    length_ = build(fields, tick_);
  }

  static bool peeks_by_call() noexcept { return slow_part == SlowPart::peek; }
  uint32_t rx_peek(std::span<Frame> frames) noexcept {
    if (maker->is_enough()) role_.stop();
    delay_in(SlowPart::peek);
    if (!delivers_ || ++looks_ % 2 != 0) return 0;
    frames[0] = {tick_, length_, false, 0};
    return 1;
  }
  void rx_release(uint32_t) noexcept {}

  // Without room when it is slow: only then it may be.
  uint32_t tx_reserve(std::span<Frame> frames) noexcept {
    if (slow_part == SlowPart::reserve && ++reserves_ % 2 == 0) {
      maker->delay();
      return 0;
    }
    for (size_t i = 0; i < frames.size(); i++) frames[i] = {buffers_[i], sizeof buffers_[i], false, 0};
    return static_cast<uint32_t>(frames.size());
  }
  uint32_t tx_submit(std::span<const Frame> frames) noexcept {
    if (maker->is_enough()) role_.stop();
    delay_in(SlowPart::submit);
    return static_cast<uint32_t>(frames.size());
  }
  uint32_t tx_stamps(std::span<TxStamp>) noexcept { return 0; }
  void settle() noexcept {}
  static bool filters() noexcept { return false; }
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  Role& role_;
  bool delivers_;
  uint64_t looks_ = 0;
  uint64_t reserves_ = 0;
  uint32_t length_ = 0;
  uint8_t tick_[256]{};
  uint8_t buffers_[MAX_BATCH][FrameTemplate::MIN_BUFFER];
  std::vector<std::string> notes_;
};
static_assert(PacketIo<SlowIo>);

inline GeneratorConfig slow_generator_config() {
  GeneratorConfig config{};
  config.io = io_config(false, false);
  StreamConfig stream{};
  stream.schedule.arrival.rate_millihertz = 20'000'000;
  stream.ticks = {7, 0.9, {"AAPL", "MSFT"}, 1000, 10000, false};
  stream.source_port = ORDER_PORT;
  stream.flows = 1;
  LineConfig line{{}, false, -1};
  memcpy(line.destination.mac, GROUP4_MAC, 6);
  memcpy(line.destination.address, GROUP4, 16);
  line.destination.port = TICK_PORT;
  stream.lines = {line};
  config.streams = {stream};
  config.feed.peak_pps = 20'000;
  config.ledger = {
      1 << 16, 10'000'000, Match::clordid, false, {STRATEGY_threshold, {10000, 100, 1, 0}, {}, 0}};
  config.late_threshold_ns = 3000;
  return config;
}

// The first core that this process may use.
inline int first_cpu() {
  cpu_set_t allowed;
  sched_getaffinity(0, sizeof allowed, &allowed);
  int cpu = 0;
  while (cpu < CPU_SETSIZE && !CPU_ISSET(static_cast<size_t>(cpu), &allowed)) cpu++;
  return cpu;
}

// Calls `spin` on a thread of the role's, on the first core, and waits for its end.
template <class AnyRole, class Spin>
void run_role(AnyRole& role, std::shared_ptr<const InterruptionLogs> logs, Spin spin) {
  std::atomic<bool> ended = false;
  role.open([&] {
    pin_to_cpu(first_cpu());
    role.watch.evidence().open(first_cpu(), logs, "");
    if (role.opened({})) spin();
  });
  role.start([&](const auto&) {
    ended = true;
    ended.notify_all();
  });
  ended.wait(false);
  role.close();
}

// Lets the generator's or the responder's loop run with a slow part until it made so many delays; `look` sees
// the delays and what the loop made of them.
template <class Look>
void run_slow_loop(SlowPart part, bool responder, size_t wanted, uint64_t seed,
                   std::shared_ptr<const InterruptionLogs> logs, Look look) {
  DelayMaker delays(wanted, seed);
  maker = &delays;
  slow_part = part;
  if (responder) {
    ResponderRole role(responder_config(false));
    SlowIo io(role, true);
    auto loop = std::make_unique<RespondLoop<SlowIo, STRATEGY_COUNT>>(role, io);
    run_role(role, std::move(logs), [&] { loop->run(); });
    look(delays.delays(), role);
  } else {
    GeneratorRole role(slow_generator_config());
    SlowIo io(role, false);
    const GeneratorConfig& config = role.config;
    auto loop = std::make_unique<FedLoop<SlowIo, SlowFeed>>(
        role, io, config.streams, config.feed, config.io.link, config.io.ttl, role.lines, &role.ledger);
    run_role(role, std::move(logs), [&] { loop->run(); });
    look(delays.delays(), role);
  }
}

// What a loop on the first core makes of another thread that takes the core for a while, again and again;
// `look` sees when that ran. The loop does nothing, or responds.
template <class Look>
void run_beside_competitor(bool works, size_t wanted, uint64_t seed,
                           std::shared_ptr<const InterruptionLogs> logs, Look look) {
  DelayMaker none(1, seed);
  maker = &none;
  slow_part = SlowPart::none;
  ResponderRole role(responder_config(false));
  SlowIo io(role, works);
  auto loop = std::make_unique<RespondLoop<SlowIo, STRATEGY_COUNT>>(role, io);
  std::vector<Delay> turns;
  std::thread competitor([&] {
    pin_to_cpu(first_cpu());
    Chance chance(seed);
    const Clock& clock = Clock::get();
    while (turns.size() < wanted) {
      timespec time{0, 1'000'000};
      nanosleep(&time, nullptr);
      uint64_t cpu_ns = cpu_time_ns();
      uint64_t start_ns = clock.now_ns();
      uint64_t end_ns = start_ns + 20'000 + chance.below(380'000);
      uint64_t now_ns = start_ns;
      while (now_ns < end_ns) now_ns = clock.now_ns();
      uint64_t took_ns = now_ns - start_ns;
      turns.push_back({{start_ns, now_ns}, took_ns - std::min(took_ns, cpu_time_ns() - cpu_ns)});
    }
    role.stop();
  });
  run_role(role, std::move(logs), [&] { loop->run(); });
  competitor.join();
  look(turns, role);
}

// The slow turn in which the middle of the interval is: its length, 0 for none, and its cause.
struct Blame {
  uint64_t length_ns;
  Cause cause;
};

inline Blame blame_for(const TurnWatch& watch, const Interval& interval) {
  uint64_t middle_ns = interval.start_ns + (interval.end_ns - interval.start_ns) / 2;
  auto after = std::upper_bound(watch.log().begin(), watch.log().end(), middle_ns,
                                [](uint64_t ns, const Interval& turn) { return ns < turn.start_ns; });
  if (after == watch.log().begin() || std::prev(after)->end_ns <= middle_ns) return {0, Cause::unexplained};
  const Interval& turn = *std::prev(after);
  return {turn.end_ns - turn.start_ns, watch.causes()[static_cast<size_t>(&turn - watch.log().data())]};
}

}  // namespace carom::test
