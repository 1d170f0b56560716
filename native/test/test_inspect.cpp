// What is found in a capture: windows, tables and bins against naive ones, frames against the parser, orders
// against their ticks.
#include <map>
#include <vector>

#include "capture/checksums.h"
#include "capture/inspect.h"
#include "order/native_order.h"
#include "test/capture_support.h"
#include "test/frames.h"
#include "test/guarded_memory.h"
#include "test/test.h"

namespace carom::test {
namespace {

constexpr uint64_t BEGIN_NS = 1'767'623'400'000'000'000;

struct Timed {
  uint64_t time_ns;
  uint32_t bytes;
};

// Every window that ends with a frame, counted anew.
Burst naive_burst(std::vector<Timed> frames, uint64_t width_ns) {
  std::stable_sort(frames.begin(), frames.end(), [](auto& a, auto& b) { return a.time_ns < b.time_ns; });
  Burst most;
  for (size_t end = 0; end < frames.size(); end++) {
    if (end + 1 < frames.size() && frames[end + 1].time_ns == frames[end].time_ns) continue;
    Burst burst{0, 0, 0, frames[end].time_ns};
    for (size_t i = end + 1; i-- > 0 && frames[i].time_ns + width_ns > burst.to_ns;) {
      burst.frames++;
      burst.bytes += frames[i].bytes;
      burst.from_ns = frames[i].time_ns;
    }
    if (burst.frames > most.frames) most = burst;
  }
  return most;
}

void busiest_windows(Chance& chance) {
  for (int round = 0; round < 60; round++) {
    Bursts bursts;
    std::vector<std::vector<Timed>> parts(1);
    uint64_t time_ns = BEGIN_NS;
    uint64_t latest_ns = 0;
    for (int i = 0; i < 400; i++) {
      time_ns += chance.one_in(3) ? chance.below(400'000) : chance.below(chance.one_in(2) ? 20'000 : 300);
      if (chance.one_in(10)) time_ns -= chance.below(1'000'000);  // out of order
      if (chance.one_in(150)) time_ns -= 50'000'000;              // the clock goes back
      if (time_ns + 1'000'000 < latest_ns) {
        parts.emplace_back();
        latest_ns = 0;
      }
      latest_ns = std::max(latest_ns, time_ns);
      if (round % 2 == 0) time_ns -= time_ns % 1000;  // so that frames lie on the edges of windows
      uint32_t bytes = 60 + chance.below(1400);
      parts.back().push_back({time_ns, bytes});
      bursts.add(time_ns, bytes);
    }
    bursts.finish();
    for (size_t width = 0; width < Bursts::WIDTHS_NS.size(); width++) {
      Burst most;
      for (const auto& part : parts) {
        Burst burst = naive_burst(part, Bursts::WIDTHS_NS[width]);
        if (burst.frames > most.frames) most = burst;
      }
      const Burst& is = bursts.busiest()[width];
      expect_equal(is.frames, most.frames, "frames");
      expect_equal(is.bytes, most.bytes, "bytes");
      expect_equal(is.from_ns, most.from_ns, "from");
      expect_equal(is.to_ns, most.to_ns, "to");
    }
  }
}

struct Key {
  uint32_t number;
};
struct Value : FrameCount {
  void add(const Value& other) noexcept {
    frames += other.frames;
    bytes += other.bytes;
  }
};

// As long as there is room everything is told apart; after that nothing is lost, and what is frequent is
// there.
void top_table(Chance& chance) {
  for (uint32_t keys : {50u, 64u, 20'000u}) {
    TopTable<Key, Value> table(64);
    std::map<uint32_t, uint64_t> naive;
    for (int i = 0; i < 40'000; i++) {
      uint32_t key = chance.one_in(4) ? chance.below(5) : chance.below(keys);
      naive[key]++;
      table.at({key}).add({{1, 100}});
    }
    uint64_t sum = table.sum().frames + table.others().frames;
    expect_equal(sum, 40'000, "every frame is counted once");
    expect_equal(table.sum().bytes + table.others().bytes, 4'000'000, "every byte, too");
    expect(table.count() <= 64, "no more entries than there is room for");
    auto top = table.top(5);
    expect_equal(top.size(), 5, "entries");
    for (size_t i = 0; i < top.size(); i++) {
      expect(top[i].key.number < 5, "the most frequent ones are found");
      if (keys <= 64) expect_equal(top[i].value.frames, naive[top[i].key.number], "their frames");
      if (i > 0) expect(top[i - 1].value.frames >= top[i].value.frames, "in order");
    }
    expect_equal(table.dropped() > 0, keys > 64, "whether any had no room");
  }
}

void rate_bins(Chance& chance) {
  for (int round = 0; round < 30; round++) {
    RateBins bins;
    std::vector<Timed> frames;
    for (int i = 0; i < 500; i++) {
      frames.push_back({chance.any_size() >> 2, chance.below(2000)});
      bins.add(frames.back().time_ns, frames.back().bytes);
    }
    std::vector<FrameCount> naive(RateBins::COUNT);
    for (const Timed& frame : frames) {
      uint64_t at = frame.time_ns / bins.width_ns();
      expect(at < RateBins::COUNT, "every frame has a bin");
      naive[at].frames++;
      naive[at].bytes += frame.bytes;
    }
    for (uint32_t i = 0; i < RateBins::COUNT; i++) {
      expect_equal(bins.bins()[i].frames, naive[i].frames, "frames");
      expect_equal(bins.bins()[i].bytes, naive[i].bytes, "bytes");
    }
  }
}

FrameFields any_fields(Chance& chance, const uint8_t* payload, uint32_t length) {
  FrameFields fields{};
  chance.fill(fields.destination_mac, 6);
  chance.fill(fields.source_mac, 6);
  fields.source_mac[0] &= 0xfe;
  chance.fill(fields.source, 16);
  fields.source[0] = 10;
  chance.fill(fields.destination, 16);
  fields.vlan = chance.one_in(2) ? static_cast<int32_t>(chance.below(4096)) : -1;
  fields.ipv6 = chance.one_in(2);
  fields.source_port = static_cast<uint16_t>(chance.word());
  fields.destination_port = static_cast<uint16_t>(chance.word());
  fields.payload = payload;
  fields.payload_length = length;
  fields.padding = chance.below(20);
  return fields;
}

// What the parser takes is seen in the same way; and nothing is read beyond a frame, whatever it holds.
void dissected_frames(Chance& chance) {
  GuardedMemory memory(1, MAX_FRAME, true);
  uint8_t payload[64];
  uint8_t built[MAX_FRAME];
  uint8_t other[MAX_FRAME];
  uint32_t taken = 0;
  for (int i = 0; i < 60'000; i++) {
    chance.fill(payload, sizeof payload);
    uint32_t other_length = build(any_fields(chance, payload, chance.below(64)), other);
    uint32_t length = build(any_fields(chance, payload, chance.below(64)), built);
    length = mutate(chance, built, length, other, other_length);
    uint8_t* frame = memory.last(0, length);
    memcpy(frame, built, length);
    Layers found = find_layers(frame, length);
    Datagram datagram{};
    ParseResult result = parse_frame(frame, length, {ANY_VLAN, true}, datagram);
    if (result != ParseResult::ok && result != ParseResult::unfinished_checksum) continue;
    taken++;
    expect(frame + found.network == datagram.ip && found.ipv6 == datagram.ipv6, "the packet");
    expect(found.ports && found.protocol == PROTOCOL_UDP && !found.fragment, "a datagram");
    expect_equal(load_be16(frame + found.payload), datagram.source_port, "source port");
    expect_equal(load_be16(frame + found.payload + 2), datagram.destination_port, "destination port");
    expect(found.ipv6 || check_header(frame, length, found) == ChecksumState::good, "IP checksum");
    ChecksumState state = check_transport(frame, found);
    expect((state == ChecksumState::unfinished) == (result == ParseResult::unfinished_checksum),
           "unfinished");
    expect(state != ChecksumState::bad && state != ChecksumState::unknown, "checksum");
  }
  expect(taken > 5000, "many frames are good ones");
}

class Exchange {
 public:
  void tick(uint64_t time_ns, uint64_t timestamp, uint32_t extra = 0) {
    std::string payload(MARKET_DATA_SIZE + extra, '\0');
    market_data tick{{'A', 'B', ' ', ' ', ' ', ' ', ' ', ' '}, 9900, 100, timestamp};
    memcpy(payload.data(), &tick, sizeof tick);
    send(time_ns, 8080, payload);
  }
  void order(uint64_t time_ns, uint64_t timestamp, uint8_t side = 0) {
    std::string payload(TRADING_ORDER_SIZE, '\0');
    uint64_t symbol;
    memcpy(&symbol, "AB      ", 8);
    write_order(reinterpret_cast<uint8_t*>(payload.data()), symbol, 9901, 100, side, time_ns, timestamp);
    send(time_ns, 9999, payload);
  }
  void send(uint64_t time_ns, uint16_t port, const std::string& payload) {
    FrameFields fields{};
    fields.source_mac[0] = 2;
    fields.source[0] = fields.destination[0] = 198;
    fields.destination_port = port;
    fields.payload = reinterpret_cast<const uint8_t*>(payload.data());
    fields.payload_length = static_cast<uint32_t>(payload.size());
    uint8_t frame[MAX_FRAME];
    uint32_t length = build(fields, frame);
    trading.add(frame, length, time_ns);
  }
  Trading trading{8080, 9999};
};

void ticks_and_orders(Chance&) {
  Exchange exchange;
  exchange.tick(1000, 7);
  exchange.tick(1500, 7);     // a copy: the first one counts
  exchange.tick(2000, 8, 5);  // and part of another
  exchange.order(1900, 7);
  exchange.order(1950, 7, 1);  // once more
  exchange.order(1990, 8, 2);  // before its tick
  exchange.order(3000, 9);     // for none
  std::string bad(TRADING_ORDER_SIZE, 'X');
  exchange.send(3100, 9999, bad + "half");
  const TradingCounters& is = exchange.trading.counters();
  expect_equal(is.ticks, 3, "ticks");
  expect_equal(is.tick_copies, 1, "copies");
  expect_equal(is.partial_ticks, 1, "partial ticks");
  expect_equal(is.orders, 5, "orders");
  expect_equal(is.partial_orders, 1, "partial orders");
  expect_equal(is.matched, 2, "matched");
  expect_equal(is.repeated, 1, "repeated");
  expect_equal(is.unmatched, 1, "unmatched");
  expect_equal(is.bad_ids, 1, "bad clOrdIds");
  expect_equal(is.early, 1, "early");
  expect(is.sides == std::array<uint64_t, 3>{2, 1, 2}, "sides");
  expect_equal(exchange.trading.round_trips().count(), 1, "round trips");
  expect_equal(exchange.trading.round_trips().max(), 900, "from the first copy");
  expect_equal(exchange.trading.symbols().count(), 2, "symbols");
}

// Of ticks without end the latest 1,048,576 are known, and no other.
void remembered_ticks(Chance& chance) {
  TickMemory memory;
  constexpr uint64_t COUNT = 2'300'000;  // more than there are slots: none may stay taken
  uint64_t step = 1 + 2 * chance.below(1000);
  for (uint64_t i = 0; i < COUNT; i++) {
    memory.add(BEGIN_NS + i * step, i);
    uint64_t asked = i - std::min<uint64_t>(i, chance.below(2 * TickMemory::MOST));
    TickMemory::Tick* tick = memory.find(BEGIN_NS + asked * step);
    expect((tick != nullptr) == (i - asked < TickMemory::MOST), "whether it is among the latest");
    expect(tick == nullptr || tick->time_ns == asked, "and its time");
    expect(memory.find(BEGIN_NS + (i + 1) * step) == nullptr, "the next one is not there yet");
  }
}

Tests tests{{"the busiest windows are those of a naive count", busiest_windows},
            {"a table of what is most frequent", top_table},
            {"rate bins", rate_bins},
            {"frames are seen as the parser sees them", dissected_frames},
            {"ticks and orders of a capture", ticks_and_orders},
            {"the latest ticks of a long capture", remembered_ticks}};

}  // namespace
}  // namespace carom::test
