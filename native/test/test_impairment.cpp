// What is done to a feed on purpose: its ratios, what overtakes what, times, corrupted bytes, and that each
// kind has chances of its own.
#include <algorithm>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "test/feed_support.h"

namespace carom::test {
namespace {

void ratios(Chance&) {
  Impairment done{0.03, 0.05, 0.02, 4, 20'000, 50'000, 0.01, 8, 11};
  Run result = run({stream_of({line_to(1, done)})}, 60'000);
  const LineCounters& is = result.counters[0];
  uint64_t datagrams = is.datagrams.get();
  uint64_t kept = datagrams - is.lost.get();
  expect_ratio(is.lost.get(), datagrams, done.loss, "lost");
  expect_ratio(is.duplicated.get(), kept, done.duplicate, "duplicated");
  expect_ratio(is.reordered.get(), kept, done.reorder, "reordered");
  expect_ratio(is.corrupted.get(), kept + is.duplicated.get(), done.corrupt, "corrupted");
  expect_equal(is.frames.get(), kept + is.duplicated.get(), "frames");
  // The same on every machine and in every run.
  expect_equal(is.lost.get(), 1703, "lost with this seed");
  expect_equal(is.duplicated.get(), 2808, "duplicated with this seed");
  expect_equal(is.reordered.get(), 1121, "reordered with this seed");
  expect_equal(is.corrupted.get(), 583, "corrupted with this seed");
}

void order(Chance&) {
  Impairment done{0.1, 0.1, 0.1, 3, 0, 0, 0, 0, 0};
  Run result = run({stream_of({line_to(1, done)})}, 20'000);
  std::map<uint64_t, uint32_t> number = numbers(result);
  std::vector<uint32_t> sent;  // without what was lost, and copies
  std::vector<bool> reordered;
  for (size_t i = 0; i < result.seen.size(); i++) {
    const Seen& seen = result.seen[i];
    if (seen.transmission.lost) continue;
    if (seen.transmission.copy) {
      expect(seen.frame == result.seen[i - 1].frame, "a copy is right behind, and the same");
      expect_equal(seen.transmission.planned_ns, result.seen[i - 1].transmission.planned_ns, "at once");
      continue;
    }
    sent.push_back(number[seen.ticks[0].timestamp]);
    reordered.push_back(seen.transmission.reordered);
  }
  uint32_t highest = 0;
  for (size_t i = 0; i < sent.size(); i++) {
    if (!reordered[i]) {
      expect(i == 0 || sent[i] > highest || highest == 0, "the others keep their order");
      highest = std::max(highest, sent[i]);
      continue;
    }
    uint32_t overtook = 0;
    for (size_t before = 0; before < i; before++) overtook += !reordered[before] && sent[before] > sent[i];
    expect_equal(overtook, 3, "so many overtook it");
  }
}

void delay(Chance&) {
  Impairment done{0, 0, 0, 1, 40'000, 25'000, 0, 0, 0};
  StreamConfig stream = stream_of({line_to(1, done)});
  stream.lines[0].skew_ns = 5000;
  Run result = run({stream}, 20'000);
  Schedule schedule(stream.schedule);
  schedule.start(START_NS);
  uint64_t last_ns = 0;
  uint64_t sum_ns = 0;
  uint64_t pushed = 0;
  for (const Seen& seen : result.seen) {
    uint64_t planned_ns = schedule.planned_ns();
    schedule.advance();
    uint64_t later_ns = seen.transmission.planned_ns - planned_ns;
    expect(later_ns >= 45'000, "at least delay and skew");
    expect(later_ns <= 70'000 || seen.transmission.planned_ns == last_ns,
           "and the jitter, but for the order");
    pushed += seen.transmission.planned_ns == last_ns;
    sum_ns += later_ns;
    last_ns = seen.transmission.planned_ns;
  }
  expect(pushed > 100, "some had to wait for the one before");
  double mean_ns = static_cast<double>(sum_ns) / static_cast<double>(result.seen.size());
  expect(mean_ns > 57'000 && mean_ns < 66'000, "half the jitter on average, and the waiting");
}

void corruption(Chance&) {
  for (auto [from, to] : {std::pair{8u, 11u}, {0u, 0u}, {23u, 23u}, {0u, 23u}, {1u, 2u}}) {
    Impairment done{0, 0.2, 0, 1, 0, 0, 0.5, from, to};
    Run result = run({stream_of({line_to(1, done)})}, 20'000);
    uint64_t corrupt = 0;
    for (const Seen& seen : result.seen) {
      const uint8_t* frame = reinterpret_cast<const uint8_t*>(seen.frame.data());
      Reading reading = read_frame(frame, static_cast<uint32_t>(seen.frame.size()), {-1, true});
      // One in 65,536 has a checksum that looks like a NIC's unfinished one, once it is wrong.
      bool is_unfinished = reading.has(ParseResult::unfinished_checksum);
      bool is_bad = is_unfinished || reading.has(ParseResult::bad_udp_checksum);
      expect(is_bad == seen.transmission.corrupt, "the checksum is wrong, and only then");
      Datagram datagram;
      ParseResult parsed = parse_frame(frame, static_cast<uint32_t>(seen.frame.size()), {-1, true}, datagram);
      ParseResult wrong = is_unfinished ? ParseResult::unfinished_checksum : ParseResult::bad_udp_checksum;
      expect(parsed == (is_bad ? wrong : ParseResult::ok), "as the parser finds");
      corrupt += is_bad;
      uint8_t right[MARKET_DATA_SIZE];
      seen.ticks[0].write(right);
      for (uint32_t i = 0; i < MARKET_DATA_SIZE; i++) {
        bool may_differ = is_bad && i >= from && i <= to;
        expect(frame[reading.payload() + i] == right[i] || may_differ, "only the chosen bytes");
      }
    }
    expect_equal(corrupt, result.counters[0].corrupted.get(), "as often as was counted");
  }
}

// One kind more changes none of the others, nor another line.
void independent(Chance&) {
  auto fates = [](std::vector<LineConfig> lines, uint32_t line,
                  std::function<bool(const Transmission&)> pick) {
    Run result = run({stream_of(std::move(lines))}, 40'000);
    std::map<uint64_t, bool> found;
    for (const Seen& seen : result.seen) {
      if (seen.transmission.line == line && !seen.transmission.copy)
        found[seen.ticks[0].timestamp] = pick(seen.transmission);
    }
    return found;
  };
  auto same = [](const std::map<uint64_t, bool>& a, const std::map<uint64_t, bool>& b, const char* what) {
    size_t compared = 0, set = 0;
    for (auto [tick, value] : a) {
      auto other = b.find(tick);
      if (other == b.end()) continue;
      expect(other->second == value, what);
      compared++;
      set += value;
    }
    expect(compared > 10'000 && set > 100, "something was compared");
  };
  auto lost = [](const Transmission& transmission) { return transmission.lost; };
  auto corrupt = [](const Transmission& transmission) { return transmission.corrupt; };
  Impairment loss{0.05, 0, 0, 1, 0, 0, 0, 0, 0};
  Impairment spoilt{0, 0, 0, 1, 0, 0, 0.05, 0, 3};
  Impairment all{0.05, 0.1, 0.1, 2, 1000, 1000, 0.05, 0, 3};
  same(fates({line_to(1, loss)}, 0, lost), fates({line_to(1, all)}, 0, lost), "loss, with more");
  same(fates({line_to(1, loss)}, 0, lost), fates({line_to(1, loss), line_to(2, all)}, 0, lost),
       "another line");
  auto spoilt_alone = fates({line_to(1, spoilt)}, 0, corrupt);
  Run everything = run({stream_of({line_to(1, all)})}, 40'000);
  std::map<uint64_t, bool> spoilt_too;
  for (const Seen& seen : everything.seen) {
    if (!seen.transmission.lost && !seen.transmission.copy)
      spoilt_too[seen.ticks[0].timestamp] = seen.transmission.corrupt;
  }
  same(spoilt_too, spoilt_alone, "corruption, with more");
  auto a = fates({line_to(1, loss), line_to(2, loss)}, 0, lost);
  auto b = fates({line_to(1, loss), line_to(2, loss)}, 1, lost);
  size_t both = 0, one = 0;
  for (auto [tick, value] : a) {
    both += value && b[tick];
    one += value;
  }
  expect_ratio(both, one, 0.05, "the lines lose by chances of their own");
}

const Tests TESTS{
    {"feed: impairment by its ratios", ratios},
    {"feed: reordered by exactly so many, copies right behind", order},
    {"feed: delay, jitter and skew keep the order", delay},
    {"feed: what is corrupted has a wrong checksum", corruption},
    {"feed: each kind and each line has chances of its own", independent},
};

}  // namespace
}  // namespace carom::test
