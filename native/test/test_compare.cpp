// Two captures compared: against a naive comparison, and what each ignored field leaves out.
#include <deque>
#include <map>
#include <vector>

#include "capture/compare.h"
#include "test/capture_support.h"
#include "test/frames.h"
#include "test/test.h"

namespace carom::test {
namespace {

constexpr uint64_t BEGIN_NS = 1'767'623'400'000'000'000;

struct Expected {
  uint64_t matched = 0;
  uint64_t added = 0;
  uint64_t reordered = 0;
  std::vector<int64_t> offsets_ns;
};

// By the bytes themselves, with a queue of each.
Expected naive(const std::vector<Record>& a, const std::vector<Record>& b) {
  std::map<std::string, std::deque<size_t>> known;
  for (size_t i = 0; i < a.size(); i++) known[a[i].data].push_back(i);
  Expected expected;
  size_t highest = 0;
  for (const Record& record : b) {
    std::deque<size_t>& alike = known[record.data];
    if (alike.empty()) {
      expected.added++;
      continue;
    }
    size_t index = alike.front();
    alike.pop_front();
    expected.matched++;
    if (index < highest) {
      expected.reordered++;
      continue;
    }
    highest = index + 1;
    expected.offsets_ns.push_back(static_cast<int64_t>(record.time_ns - a[index].time_ns));
  }
  return expected;
}

std::unique_ptr<CompareResult> compare(const std::vector<Record>& a, const std::vector<Record>& b,
                                       const IgnoredFields& ignored = {}, const std::string& filter = "") {
  MemoryFile file_a(pcap(a, true, false));
  MemoryFile file_b(pcap(b, true, false));
  InspectProgress progress;
  return compare_captures({file_a.path(), file_b.path(), filter, ignored, 8080, 9999}, progress);
}

std::string payload(Chance& chance, uint32_t kinds) {
  std::string data = "frame " + std::to_string(chance.below(kinds));
  return data.append(20 - data.size(), '.');
}

void against_a_naive_one(Chance& chance) {
  for (int round = 0; round < 60; round++) {
    uint32_t kinds = chance.one_in(3) ? 3 : 4000;
    uint32_t count = chance.one_in(3) ? chance.below(20) : chance.below(4000);
    std::vector<Record> a;
    uint64_t time_ns = BEGIN_NS;
    for (uint32_t i = 0; i < count; i++)
      a.push_back({time_ns += chance.below(5000), payload(chance, kinds), 20});
    std::vector<Record> b;
    for (const Record& record : a) {
      if (chance.one_in(30)) continue;
      b.push_back({record.time_ns + 1000 + chance.below(500), record.data, 20});
      if (chance.one_in(40)) b.push_back({record.time_ns + 1600, payload(chance, 2 * kinds), 20});
      if (b.size() > 1 && chance.one_in(25)) std::swap(b[b.size() - 1].data, b[b.size() - 2].data);
    }
    Expected expected = naive(a, b);
    auto is = compare(a, b);
    expect_equal(is->a.frames, a.size(), "frames of A");
    expect_equal(is->b.frames, b.size(), "frames of B");
    expect_equal(is->matched, expected.matched, "matched");
    expect_equal(is->missing, a.size() - expected.matched, "missing");
    expect_equal(is->added, expected.added, "added");
    expect_equal(is->reordered, expected.reordered, "reordered");
    const std::vector<int64_t>& offsets = expected.offsets_ns;
    expect_equal(is->in_order, offsets.size(), "in order");
    uint64_t sum = 0;
    for (size_t i = 1; i < offsets.size(); i++) {
      sum += static_cast<uint64_t>(std::abs(offsets[i] - offsets[i - 1]));
    }
    expect_equal(is->gap_error.sum(), sum, "errors of gaps");
    expect_equal(is->gap_error.count(), offsets.empty() ? 0 : offsets.size() - 1, "gaps");
    size_t half = std::min<size_t>(1000, (offsets.size() + 1) / 2);
    expect(is->first_offsets_ns ==
               std::vector<int64_t>(offsets.begin(), offsets.begin() + static_cast<ptrdiff_t>(half)),
           "the first offsets");
    expect(is->last_offsets_ns ==
               std::vector<int64_t>(offsets.end() - static_cast<ptrdiff_t>(half), offsets.end()),
           "the last offsets");
  }
}

void numbers_of_lone_frames(Chance&) {
  std::vector<Record> a;
  std::vector<Record> b;
  for (uint32_t i = 0; i < 50; i++) {
    std::string data(60, static_cast<char>(i));
    if (i % 10 != 3) b.push_back({BEGIN_NS + i, data, 60});
    a.push_back({BEGIN_NS + i, data, 60});
  }
  b.push_back({BEGIN_NS + 77, std::string(30, 'z'), 30});
  auto is = compare(a, b);
  expect_equal(is->missing, 5, "missing");
  for (uint32_t i = 0; i < 5; i++) {
    expect_equal(is->first_missing[i].number, 10 * i + 4, "number");
    expect_equal(is->first_missing[i].time_ns, BEGIN_NS + 10 * i + 3, "time");
  }
  expect_equal(is->added, 1, "added");
  expect_equal(is->first_added[0].number, 46, "number of the added one");
  // Frames without a byte are all alike.
  auto empty = compare({{BEGIN_NS, "", 0}, {BEGIN_NS, "", 0}}, {{BEGIN_NS, "", 0}});
  expect(empty->matched == 1 && empty->missing == 1, "frames without a byte");
  auto filtered = compare(a, b, {}, "greater 50");
  expect_equal(filtered->added, 0, "left out by the filter");
  expect_equal(filtered->b.filtered, 1, "and counted");
  auto later = compare(a, b, {}, "ether[0] > 5");
  expect_equal(later->a.filtered, 6, "left out of the first");
  expect_equal(later->first_missing[0].number, 14, "numbers of the file");
}

constexpr uint32_t FIELDS = 9;

// One field changed, in the frame and its payload, and how that is ignored.
void change(uint32_t field, bool orders, FrameFields& frame, uint8_t* payload, IgnoredFields& ignored) {
  switch (field) {
    case 0:
      frame.source_mac[5] ^= 1;
      ignored.mac = true;
      break;
    case 1:
      frame.vlan = frame.vlan < 0 ? 9 : -1;
      ignored.vlan = true;
      break;
    case 2:
      frame.ttl--;
      ignored.ttl = true;
      break;
    case 3:
      frame.dscp = 46;
      ignored.dscp = true;
      break;
    case 4:
      frame.udp_checksum = false;
      ignored.checksum = true;
      break;
    case 5:
      frame.destination[3] ^= 9;
      ignored.ip = true;
      break;
    case 6:
      frame.source_port++;
      ignored.port = true;
      break;
    case 7:
      payload[orders ? TRADING_ORDER_SIZE + 17 : MARKET_DATA_SIZE + 16] ^= 5;
      if (orders) payload[TRADING_ORDER_SIZE - 1] ^= 5;
      ignored.timestamp = true;
      break;
    default:
      frame.padding = 11;
      ignored.padding = true;
  }
}

// Each field changed alone: another frame, unless just that is ignored; and what else is in it counts.
void ignored_fields(Chance& chance) {
  for (int round = 0; round < 400; round++) {
    uint8_t payload[96];
    chance.fill(payload, sizeof payload);
    bool orders = chance.one_in(2);
    FrameFields fields{};
    fields.source_mac[0] = fields.destination_mac[0] = 2;
    fields.ipv6 = chance.one_in(2);
    fields.vlan = chance.one_in(2) ? 7 : -1;
    fields.source_port = 1234;
    fields.destination_port = orders ? 9999 : 8080;
    fields.payload = payload;
    fields.payload_length = orders ? 2 * TRADING_ORDER_SIZE : 2 * MARKET_DATA_SIZE + 3;
    uint8_t one[256];
    uint32_t one_length = build(fields, one);
    for (uint32_t field = 0; field < FIELDS; field++) {
      FrameFields changed = fields;
      uint8_t other_payload[sizeof payload];
      memcpy(other_payload, payload, sizeof payload);
      changed.payload = other_payload;
      IgnoredFields ignored{};
      change(field, orders, changed, other_payload, ignored);
      uint8_t other[256];
      uint32_t other_length = build(changed, other);
      Fingerprint all({}, 8080, 9999);
      expect(all.of(one, one_length) != all.of(other, other_length), "another frame");
      Fingerprint some(ignored, 8080, 9999);
      uint64_t hash = some.of(one, one_length);
      expect(hash == some.of(other, other_length), "the same frame when the field is ignored");
      other_payload[8] ^= 1;  // the price of the first
      expect(hash != some.of(other, build(changed, other)), "another frame when its price is another");
    }
  }
}

Tests tests{{"captures are compared as a naive comparison does", against_a_naive_one},
            {"frames that only one capture has, with their numbers", numbers_of_lone_frames},
            {"fields that are ignored, and no others", ignored_fields}};

}  // namespace
}  // namespace carom::test
