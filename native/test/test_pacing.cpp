// How a schedule is held: gap errors against a model, causes of lateness, the policies, and pauses, in the
// whole loop with a device that makes the sender late.
#include <algorithm>
#include <chrono>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "test/device_io.h"

namespace carom::test {
namespace {

void gap_errors(Chance& chance) {
  for (size_t count : {0u, 1u, 2u, 3u, 999u, 1000u, 1001u, 2000u, 2500u, 5000u}) {
    PacingRecord record;
    std::vector<uint64_t> errors;
    Histogram model;
    for (size_t i = 0; i < count; i++) {
      errors.push_back(chance.any_size() >> chance.below(40));
      record.sent(errors.back());
      if (i == 0) continue;
      uint64_t before = errors[i - 1];
      model.record(before < errors[i] ? errors[i] - before : before - errors[i]);
    }
    const Histogram& is = record.gap_errors();
    for (uint32_t i = 0; i < Histogram::SIZE; i++)
      expect_equal(is.count_at(i), model.count_at(i), "gaps in a bucket");
    expect_equal(is.count(), model.count(), "gaps");
    expect_equal(is.max(), model.max(), "largest");
    expect_equal(is.min(), model.min(), "smallest");
    expect_equal(is.sum(), model.sum(), "sum");
    size_t kept = std::min<size_t>(1000, count / 2);
    expect(record.first() == std::vector<uint64_t>(errors.begin(), errors.begin() + static_cast<long>(kept)),
           "the first ones");
    expect(record.last() == std::vector<uint64_t>(errors.end() - static_cast<long>(kept), errors.end()),
           "the last ones");
  }
}

void pause_watch(Chance&) {
  PauseWatch watch;
  watch.begin(5'000'000'000);
  expect_equal(watch.turn(5'000'000'100), 0, "a turn");
  expect_equal(watch.turn(6'000'000'100), 0, "just a second is no pause");
  expect_equal(watch.turn(7'000'000'101), 1'000'000'001, "a ns more is");
  expect_equal(watch.turn(7'000'000'101), 0, "and over");
  expect_equal(watch.turn(7'000'000'001), static_cast<uint64_t>(-100), "backwards");
  expect_equal(watch.turn(7'000'000'002), 0, "and on from there");
}

void moved_schedule(Chance&) {
  ScheduleConfig config;
  config.arrival.rate_millihertz = 1'000'000'000;  // one a µs
  Schedule schedule(config);
  schedule.start(1000);
  for (int i = 0; i < 5; i++) schedule.advance();
  schedule.move(700);
  expect_equal(schedule.planned_ns(), 1000 + 5000 + 700, "the next one");
  expect_equal(schedule.planned_ns(7), 1000 + 12'000 + 700, "the last one that was planned already");
  for (int i = 0; i < 20; i++) schedule.advance();
  expect_equal(schedule.planned_ns(), 1000 + 25'000 + 700, "those planned since");
  schedule.move(static_cast<uint64_t>(-700));
  expect_equal(schedule.planned_ns(), 1000 + 25'000, "back");
}

// As it is for a plan far beyond what any run reaches: nothing wraps.
void far_schedule(Chance&) {
  ConstantArrival arrival(999'999'999'999);
  uint64_t n = uint64_t{1} << 62;
  arrival.seek(n);
  unsigned __int128 exact = static_cast<unsigned __int128>(n) * 1'000'000'000'000 / 999'999'999'999;
  expect_equal(arrival.next_ns(), static_cast<uint64_t>(std::min<unsigned __int128>(exact, NEVER_NS)),
               "2^62 ticks");
  ConstantArrival slow(1);
  slow.seek(uint64_t{1} << 40);
  expect_equal(slow.next_ns(), NEVER_NS, "beyond 292 years");
}

GeneratorConfig open_config(LatePolicy late) {
  GeneratorConfig config{};
  config.io = io_config(false, false);
  config.io.receives = false;
  StreamConfig stream{};
  stream.schedule.arrival.rate_millihertz = 100'000'000;
  stream.ticks = {7, 0.9, {"AAPL", "MSFT", "GOOG", "AMZN"}, 1000, 10000, false};
  stream.source_port = ORDER_PORT;
  stream.flows = 1;
  LineConfig line{{}, false, -1};
  memcpy(line.destination.mac, GROUP4_MAC, 6);
  memcpy(line.destination.address, GROUP4, 16);
  line.destination.port = TICK_PORT;
  stream.lines = {line};
  config.streams = {stream};
  config.warmup_ns = 5'000'000;
  config.duration_ns = 100'000'000;
  config.ledger = {
      4096, 1'000'000'000, Match::clordid, false, {STRATEGY_threshold, {10000, 100, 1, 0}, {}, 0}};
  config.late_threshold_ns = 50'000;
  config.late = late;
  return config;
}

void spin(uint64_t time_ns) {
  const Clock& clock = Clock::get();
  for (uint64_t end_ns = clock.now_ns() + time_ns; clock.now_ns() < end_ns;) continue;
}

struct Sent {
  std::vector<uint64_t> timestamps;
  uint64_t count = 0;
};

// A run in which the call that sends takes 1 ms with one tick in 500.
Sent run(GeneratorRole& role, const std::function<void(uint64_t number)>& on_tick) {
  Sent sent;
  DeviceOptions options;
  options.gaps = true;
  options.on_tick = [&](MemoryIo&, const Tick& tick) {
    sent.timestamps.push_back(tick.timestamp);
    on_tick(sent.timestamps.size());
  };
  bool failed = false;
  role.open([&] {
    DeviceIo io(role, options);
    auto loop = std::make_unique<GenerateLoop<DeviceIo>>(role, io);
    if (!role.opened({})) return;
    loop->run();
    sent.count = io.sent;
    failed = io.failed;
  });
  std::promise<void> ended;
  role.start([&ended](const auto&) { ended.set_value(); });
  bool over = ended.get_future().wait_for(std::chrono::seconds(120)) == std::future_status::ready;
  role.close();
  expect(over, "the run comes to its end");
  expect(!failed, "the device is content");
  const GeneratorCounters& is = role.counters;
  // A machine that stops it for all of the run has nothing sent.
  expect_equal(role.pacing.gap_errors().count(), std::max<uint64_t>(is.sent.get(), 1) - 1,
               "a gap between any two ticks");
  expect_equal(total(is.late_by_cause), is.late_sends.get() + is.skipped.get() + is.slips.get(),
               "each late tick has one cause");
  expect_equal(total(is.late_sends_by_cause), is.late_sends.get(), "each late send has one cause");
  expect(is.doorbells.get() <= is.sent.get() && (is.doorbells.get() > 0) == (is.sent.get() > 0), "doorbells");
  return sent;
}

void slow_call(uint64_t number) {
  if (number % 500 == 0) spin(1'000'000);
}

void catch_up(Chance&) {
  GeneratorRole role(open_config(LatePolicy::catch_up));
  run(role, slow_call);
  const GeneratorCounters& is = role.counters;
  expect_equal(is.sent.get() + is.unsent.get(), 10'000, "each planned tick");
  expect_equal(is.skipped.get() + is.slips.get(), 0, "nothing is left out, nothing moves");
  expect(is.late_sends.get() > 20 * 50, "ticks behind each slow call are late");
}

void skip(Chance&) {
  GeneratorRole role(open_config(LatePolicy::skip));
  Sent sent = run(role, slow_call);
  const GeneratorCounters& is = role.counters;
  expect_equal(is.sent.get() + is.skipped.get() + is.unsent.get(), 10'000, "each planned tick");
  expect(is.skipped.get() > 18 * 50, "ticks behind a slow call are left out");
  expect_equal(is.slips.get(), 0, "nothing moves");
  for (uint64_t timestamp : sent.timestamps)
    expect_equal((timestamp - sent.timestamps[0]) % 10'000, 0, "the schedule stays");
}

void skip_to_count(Chance&) {
  GeneratorConfig config = open_config(LatePolicy::skip);
  config.duration_ns = 0;
  config.count = 3000;
  GeneratorRole role(config);
  run(role, slow_call);
  expect_equal(role.counters.sent.get() + role.counters.skipped.get(), 3000,
               "sent and skipped are the count");
}

void slip(Chance&) {
  GeneratorConfig config = open_config(LatePolicy::slip);
  config.duration_ns = 0;
  config.count = 5000;
  config.warmup_ns = 0;
  GeneratorRole role(config);
  uint64_t start = 0;
  role.on_measured_from = [&](uint64_t timestamp) { start = timestamp; };
  Sent sent = run(role, slow_call);
  const GeneratorCounters& is = role.counters;
  expect_equal(is.sent.get(), 5000, "all of them");
  expect(is.slips.get() >= 9, "slow calls move the schedule");
  expect(is.slipped_ns.get() >= is.slips.get() * 50'000, "by what was late");
  uint64_t moved_ns = sent.timestamps.back() - start - 10'000 * (sent.timestamps.size() - 1);
  expect_equal(moved_ns, is.slipped_ns.get(), "the timestamps are those of the moved schedule");
}

// The process stops for more than a second: nothing is caught up, whatever the policy.
void pause(Chance&) {
  for (LatePolicy late : {LatePolicy::catch_up, LatePolicy::skip}) {
    GeneratorRole role(open_config(late));
    Sent sent = run(role, [](uint64_t number) {
      if (number == 1000) std::this_thread::sleep_for(std::chrono::milliseconds(1200));
    });
    const GeneratorCounters& is = role.counters;
    expect_equal(is.pauses.get(), 1, "a pause");
    expect(is.paused_ns.get() >= 1'200'000'000, "its length");
    expect_equal(is.clock_back.get(), 0, "the clock is all right");
    expect_equal(is.sent.get() + is.skipped.get() + is.unsent.get(), 10'000, "as many as without it");
    expect(is.measured_ns.get() < 1'000'000'000, "the time measured is without it");
    uint64_t whole_ns = sent.timestamps.back() - sent.timestamps.front();
    expect(whole_ns > 1'200'000'000, "the schedule moved, and none of the pause's ticks is left out");
  }
}

// One in the warm-up moves that, too, and those who stamp arrivals are told.
void pause_in_warmup(Chance&) {
  GeneratorConfig config = open_config(LatePolicy::catch_up);
  config.warmup_ns =
      100'000'000;  // far more than the first hundred ticks take, also on a machine with other work
  GeneratorRole role(config);
  std::vector<uint64_t> told;
  role.on_measured_from = [&](uint64_t timestamp) { told.push_back(timestamp); };
  Sent sent = run(role, [](uint64_t number) {
    if (number == 100) std::this_thread::sleep_for(std::chrono::milliseconds(1200));
  });
  expect_equal(role.counters.sent.get() + role.counters.unsent.get(), 10'000, "measured ticks");
  expect_equal(told.size(), 2, "told at start, and when it moved");
  expect_equal(told[1] - told[0], role.counters.paused_ns.get(), "by the pause");
  auto measured = std::count_if(sent.timestamps.begin(), sent.timestamps.end(),
                                [&](uint64_t timestamp) { return timestamp >= told[1]; });
  expect_equal(static_cast<uint64_t>(measured), role.counters.sent.get(),
               "those measured, by their timestamps");
}

const Tests TESTS{
    {"pacing: gap errors, first and last errors against a model", gap_errors},
    {"pacing: what a pause is", pause_watch},
    {"pacing: a schedule that moves", moved_schedule},
    {"pacing: schedules beyond 64 bits", far_schedule},
    {"pacing: late ticks are caught up with", catch_up},
    {"pacing: late ticks are skipped", skip},
    {"pacing: skipped ticks count", skip_to_count},
    {"pacing: the schedule slips", slip},
    {"pacing: a pause is not caught up with", pause},
    {"pacing: a pause in the warm-up", pause_in_warmup},
};

}  // namespace
}  // namespace carom::test
