// The trace of a responder: its pace, its ring, and that what it says of each frame is what was counted.
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "loop/trace.h"
#include "test/respond_support.h"

namespace carom::test {
namespace {

using Loop = RespondLoop<MemoryIo, STRATEGY_threshold>;

constexpr uint64_t SECOND_NS = 1'000'000'000;
constexpr uint8_t FRAME[60] = {};

std::unique_ptr<const TraceRequest> request(uint32_t per_second, const std::string& filter = "") {
  return std::make_unique<const TraceRequest>(per_second, filter);
}

TraceRecord record_at(uint64_t time_ns) {
  TraceRecord record{};
  record.time_ns = time_ns;
  return record;
}

// Offers a frame every so often for a time; returns how many were traced.
uint64_t offer(Trace& trace, uint64_t from_ns, uint64_t duration_ns, uint64_t every_ns) {
  uint64_t traced = 0;
  for (uint64_t now_ns = from_ns; now_ns < from_ns + duration_ns; now_ns += every_ns) {
    if (!trace.wants(FRAME, sizeof FRAME, sizeof FRAME, now_ns)) continue;
    trace.put(record_at(now_ns), now_ns);
    traced++;
  }
  return traced;
}

void off(Chance&) {
  Trace trace;
  expect(trace.follow() == nullptr && trace.take().empty(), "nothing before it is asked for");
  trace.request(request(1000));
  expect(trace.follow() != nullptr, "asked for");
  trace.request(nullptr);
  expect(trace.follow() == nullptr, "ended");
}

void begins(Chance&) {
  Trace trace;
  expect(!trace.is_on(), "nobody asked");
  trace.request(request(1000));
  expect(trace.is_on(), "a loop that looks before each packet sees the next one");
  trace.request(nullptr);
  trace.follow();
  trace.follows_late = true;
  trace.request(request(1000));
  expect(!trace.is_on(), "what is decided below the loop is not traced yet");
  const TraceRequest* request = trace.wanted();
  expect(!trace.is_on(), "it is about to tell who decides");
  trace.follow(request);
  expect(trace.is_on(), "now it is");
}

void pace(Chance&) {
  for (uint32_t rate : {1u, 10u, 320u, 1000u, 100'000u}) {
    Trace trace;
    trace.request(request(rate));
    trace.follow();
    uint64_t traced = offer(trace, SECOND_NS, SECOND_NS, 1000);
    expect(traced >= rate && traced <= rate + TraceRequest::BURST_MAX, "traced in a second, of a million");
    // What comes more slowly is traced without a gap.
    expect_equal(offer(trace, 10 * SECOND_NS, 10 * SECOND_NS / rate, SECOND_NS / rate), 10, "slow ones");
  }
}

void bursts(Chance&) {
  for (auto [rate, burst] : {std::pair{5u, 1u}, {100u, 10u}, {1000u, 32u}, {1'000'000u, 32u}}) {
    Trace trace;
    trace.request(request(rate));
    trace.follow();
    uint32_t traced = 0;
    for (int i = 0; i < 100; i++) {
      if (!trace.wants(FRAME, sizeof FRAME, sizeof FRAME, SECOND_NS)) continue;
      trace.put(record_at(SECOND_NS), SECOND_NS);
      traced++;
    }
    expect_equal(traced, burst, "of a hundred at once");
  }
}

// One that traced ahead of a slow pace does not hold back the next.
void next_one(Chance&) {
  Trace trace;
  trace.request(request(1));
  trace.follow();
  expect_equal(offer(trace, SECOND_NS, 1000, 100), 1, "of one a second");
  trace.request(nullptr);
  trace.follow();
  trace.request(request(1000));
  trace.follow();
  expect_equal(offer(trace, SECOND_NS + 2000, 1000, 100), 10, "of a thousand a second, at once");
}

void full(Chance&) {
  Trace trace;
  trace.request(request(1'000'000));
  trace.follow();
  constexpr uint64_t MORE = 100;
  for (uint64_t i = 0; i < Trace::CAPACITY + MORE; i++) trace.put(record_at(i), i);
  expect_equal(trace.lost.get(), MORE, "lost");
  std::vector<TraceRecord> taken = trace.take();
  expect_equal(taken.size(), Trace::CAPACITY, "kept");
  for (uint64_t i = 0; i < taken.size(); i++) expect_equal(taken[i].time_ns, i, "the oldest stay, in order");
  trace.put(record_at(7), 7);
  taken = trace.take();
  expect(taken.size() == 1 && taken[0].time_ns == 7 && trace.take().empty(), "room again, each taken once");
  expect_equal(trace.lost.get(), MORE, "none more");
}

// A frame that the filter does not take costs nothing of the pace.
void filtered(Chance&) {
  Trace trace;
  trace.request(request(10, "ether proto 0x1234"));
  trace.follow();
  uint8_t frame[60] = {};
  for (int i = 0; i < 1000; i++)
    expect(!trace.wants(frame, sizeof frame, sizeof frame, SECOND_NS), "another type");
  frame[12] = 0x12;
  frame[13] = 0x34;
  expect(trace.wants(frame, sizeof frame, sizeof frame, SECOND_NS), "the right one");
}

// Whatever comes in, each frame has one record, and they add up to the counters.
void agrees(Chance& chance, bool enabled, uint64_t interval_ns) {
  ResponderConfig config = responder_config(true);
  config.limit = {interval_ns, 0};
  ResponderRole role(config);
  MemoryIo io({64, 256, MAX_FRAME, FrameTemplate::MIN_BUFFER, true});
  role.change({enabled, config.strategy, config.limit});
  auto loop = std::make_unique<Loop>(role, io);
  role.trace.request(request(1'000'000));
  std::map<std::string, uint64_t> outcomes;
  std::map<std::string, uint64_t> reasons;
  uint64_t ticks = 0;
  uint64_t orders = 0;
  uint64_t now_ns = SECOND_NS;
  uint8_t bytes[2][MAX_FRAME];
  uint32_t other = tick_frame(chance, config, bytes[1]);
  for (int batch = 0; batch < 5000; batch++, now_ns += 100'000) {
    uint32_t count = 1 + chance.below(16);
    std::vector<std::string> pushed;
    for (uint32_t i = 0; i < count; i++) {
      uint32_t length = tick_frame(chance, config, bytes[0]);
      if (chance.one_in(2)) length = mutate(chance, bytes[0], length, bytes[1], other);
      io.push({bytes[0], length, false, 0});
      pushed.emplace_back(reinterpret_cast<char*>(bytes[0]), std::min(length, TraceRecord::HEAD));
    }
    loop->process(io.rx_peek(loop->rx()), now_ns);
    std::vector<TraceRecord> records = role.trace.take();
    expect_equal(records.size(), count, "records of a batch");
    for (uint32_t i = 0; i < count; i++) {
      const TraceRecord& record = records[i];
      expect(std::string(reinterpret_cast<const char*>(record.head), record.head_length) == pushed[i],
             "the frame's first bytes");
      outcomes[record.outcome]++;
      if (std::string_view(record.outcome) == "refused") reasons[record.why]++;
      ticks += record.ticks;
      orders += record.orders;
    }
    io.clear_sent();
  }
  const ResponderCounters& is = role.counters;
  expect_equal(ticks, is.ticks.get(), "ticks");
  expect_equal(orders, is.orders.get(), "orders");
  expect_equal(outcomes["disabled"], is.disabled.get(), "disabled");
  expect_equal(reasons["wrong_port"], is.wrong_port.get(), "wrong ports");
  expect_equal(reasons["wrong_mac"], is.wrong_mac.get(), "wrong MACs");
  expect_equal(reasons["wrong_group"], is.wrong_group.get(), "wrong groups");
  expect_equal(reasons["wrong_address"], is.wrong_address.get(), "wrong addresses");
  for (size_t i = 1; i < is.refused.size(); i++)
    expect_equal(reasons[PARSE_RESULT_NAMES[i]], is.refused[i].get(), PARSE_RESULT_NAMES[i]);
  uint64_t sum = 0;
  for (const auto& [name, number] : outcomes) sum += number;
  expect_equal(sum, is.frames.get(), "each frame has one outcome");
  if (!enabled) return;
  expect(outcomes["answered"] > 1000 && outcomes["quiet"] > 1000 && reasons.size() > 10,
         "chance reached all");
  expect((outcomes["limited"] > 1000) == (interval_ns != 0), "limited, with a limit only");
  expect_equal(outcomes["unsent"], 0, "there was room");
}

void agrees_all(Chance& chance) { agrees(chance, true, 0); }
void agrees_limited(Chance& chance) { agrees(chance, true, SECOND_NS / 100); }
void agrees_disabled(Chance& chance) { agrees(chance, false, 0); }

const Tests TESTS{
    {"trace: off until it is asked for", off},
    {"trace: on once what decides knows of it", begins},
    {"trace: the pace holds, and what is slower is not held up", pace},
    {"trace: no more at once than the rate allows", bursts},
    {"trace: a request begins with a pace of its own", next_one},
    {"trace: a full ring keeps the oldest and counts the lost", full},
    {"trace: only what the filter takes", filtered},
    {"trace: every frame's outcome is what was counted", agrees_all},
    {"trace: every frame's outcome, with a limit", agrees_limited},
    {"trace: every frame's outcome, disabled", agrees_disabled},
};

}  // namespace
}  // namespace carom::test
