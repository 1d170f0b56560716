// The feed: packing, sizes, lines and what counts, against a plain recount of everything that left.
#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "test/feed_support.h"

namespace carom::test {
namespace {

void packing(Chance&) {
  for (uint32_t most : {1u, 2u, 7u, 61u}) {
    for (uint64_t within_ns : {0u, 30'000u, 300'000u}) {
      StreamConfig stream = stream_of({line_to(1)});
      stream.most = most;
      stream.within_ns = within_ns;
      Run result = run({stream}, 3000);
      // The same ticks, packed by the letter of what packing means.
      TickSource source(stream.ticks);
      Schedule schedule(stream.schedule);
      schedule.start(START_NS);
      uint64_t last = 0;
      for (const Seen& seen : result.seen) {
        uint64_t first_ns = schedule.planned_ns();
        uint64_t planned_ns = first_ns + within_ns;
        std::vector<Tick> ticks;
        while (ticks.size() < most && schedule.planned_ns() <= first_ns + within_ns) {
          if (ticks.size() + 1 == most) planned_ns = schedule.planned_ns();
          Tick tick = source.next();
          last = std::max(schedule.planned_ns() + static_cast<uint64_t>(EPOCH_NS), last + 1);
          tick.timestamp = last;
          ticks.push_back(tick);
          schedule.advance();
        }
        expect_equal(seen.ticks.size(), ticks.size(), "ticks in a datagram");
        expect_equal(seen.transmission.planned_ns, planned_ns, "when it leaves");
        const uint8_t* frame = reinterpret_cast<const uint8_t*>(seen.frame.data());
        Reading reading = read_frame(frame, static_cast<uint32_t>(seen.frame.size()), {-1, true});
        expect_equal(reading.defects, 0, "a good frame");
        expect_equal(reading.payload_length(), ticks.size() * MARKET_DATA_SIZE, "as long as its ticks");
        for (size_t i = 0; i < ticks.size(); i++) {
          Tick read = Tick::read(frame + reading.payload() + i * MARKET_DATA_SIZE);
          expect(read.symbol == ticks[i].symbol && read.price == ticks[i].price &&
                     read.quantity == ticks[i].quantity && read.timestamp == ticks[i].timestamp,
                 "the tick, with the time that it has by itself");
        }
      }
    }
  }
}

void sizes(Chance&) {
  for (bool ipv6 : {false, true}) {
    StreamConfig stream = stream_of({line_to(1), line_to(2)});
    stream.sizes = {66, 1514, 100, 128};
    for (LineConfig& line : stream.lines) line.ipv6 = ipv6;
    Run result = run({stream}, 1000);
    for (size_t i = 0; i < result.seen.size(); i++) {
      const std::string& frame = result.seen[i].frame;
      uint32_t wanted = stream.sizes[i / 2 % 4];
      expect_equal(frame.size(), ipv6 ? std::max(wanted, 86u) : wanted,
                   "sizes in turn, the same on each line");
      Reading reading = read_frame(reinterpret_cast<const uint8_t*>(frame.data()),
                                   static_cast<uint32_t>(frame.size()), {-1, true});
      expect_equal(reading.defects, 0, "what is behind the IP packet does not count");
      size_t end = reading.payload() + reading.payload_length();
      expect(frame.find_first_not_of('\0', end) == std::string::npos,
             "no byte of an earlier frame behind it");
    }
  }
}

// Exactly one transmission of each datagram counts: the first that the device gets unharmed, or one that says
// that it gets none.
void truth(Chance&) {
  Impairment done{0.3, 0.2, 0.2, 2, 0, 30'000, 0.2, 0, 7};
  for (int judged = 1; judged <= 3; judged++) {
    for (bool arbitrates : {false, true}) {
      std::vector<LineConfig> lines{line_to(1, done), line_to(2, done)};
      lines[1].skew_ns = 15'000;
      lines[0].judged = (judged & 1) != 0;
      lines[1].judged = (judged & 2) != 0;
      StreamConfig first = stream_of(lines, 7);
      StreamConfig second = stream_of({line_to(3, done)}, 8);
      first.most = 3;
      first.within_ns = 20'000;
      Run result = run({first, second}, 30'000, {10'000'000, 2e5, arbitrates});
      struct Fate {
        uint32_t unharmed = 0, counted = 0, transmissions = 0;
        bool withheld = false, first_counted = false;
        uint8_t answers = 0;
      };
      std::map<uint64_t, Fate> fates;
      uint64_t newest = 0;
      for (const Seen& seen : result.seen) {
        const Transmission& is = seen.transmission;
        const LineConfig& line = is.line < 2 ? lines[is.line] : second.lines[0];
        Fate& fate = fates[seen.ticks[0].timestamp];
        newest = std::max<uint64_t>(newest, seen.ticks[0].timestamp);
        bool unharmed = line.judged && !is.lost && !is.corrupt;
        if (is.first) expect(unharmed && fate.unharmed == 0, "the first unharmed one");
        if (unharmed && fate.unharmed == 0) expect(is.first, "is the first one");
        fate.unharmed += unharmed;
        fate.counted += is.counts();
        fate.withheld |= is.withheld;
        fate.answers = seen.answers;
        fate.transmissions++;
      }
      uint32_t withheld = 0;
      for (const auto& [timestamp, fate] : fates) {
        if (timestamp + 2'000'000 > newest) break;  // all of it has been seen
        expect_equal(fate.counted, 1, "each datagram counts once");
        expect(fate.withheld == (fate.unharmed == 0), "withheld is what never comes unharmed");
        expect_equal(fate.answers, arbitrates ? std::min(fate.unharmed, 1u) : fate.unharmed,
                     "answers allowed");
        withheld += fate.withheld;
      }
      expect(withheld > 500, "some were withheld");
    }
  }
}

// The same again, whatever is looked at; and another seed is another feed.
void again(Chance&) {
  Impairment done{0.1, 0.1, 0.1, 2, 1000, 50'000, 0.1, 0, 23};
  StreamConfig stream = stream_of({line_to(1, done), line_to(2, done)});
  stream.most = 4;
  stream.within_ns = 40'000;
  Run first = run({stream}, 5000);
  Run second = run({stream}, 5000);
  for (size_t i = 0; i < first.seen.size(); i++) {
    expect(first.seen[i].frame == second.seen[i].frame, "frame for frame");
    expect_equal(first.seen[i].transmission.planned_ns, second.seen[i].transmission.planned_ns,
                 "at its time");
  }
  stream.ticks.seed++;
  Run third = run({stream}, 5000);
  expect(third.counters[0].lost.get() != first.counters[0].lost.get() ||
             third.counters[0].reordered.get() != first.counters[0].reordered.get(),
         "another seed");
}

// More is held back than there is room for: ticks are drawn later, and none is lost or put out of order.
void bounded(Chance&) {
  Impairment done{0, 0, 0.1, 3, 1'000'000'000, 0, 0, 0, 0};  // 100,000 datagrams at a time
  FeedConfig config{1'000'000, 1e5, false};
  expect_equal(Feed::capacity(config), 4096, "room for so many");
  expect_equal(Feed::capacity({1'000'000'000, 1e6, false}), 1 << 21, "twice what the peak brings");
  StreamConfig stream = stream_of({line_to(1), line_to(2, done)});
  Run result = run({stream}, 100'000, config, SIZE_MAX, false);
  std::map<uint64_t, uint32_t> times;
  for (const Seen& seen : result.seen) times[seen.ticks[0].timestamp]++;
  TickSource source(stream.ticks);
  uint32_t once = 0;
  for (const auto& [timestamp, count] : times) once += count == 1;
  expect(once <= 4096 + 64, "what was drawn went out on both lines, but for what is held back");
}

// Those that are taken before they are due stay until they were sent: there is room for them, too.
void ahead(Chance&) {
  FeedConfig config{1'000'000, 1e5, false};
  config.ahead = 8192;
  StreamConfig stream = stream_of({line_to(1), line_to(2)});
  stream.lines[1].skew_ns = 500'000;
  const std::vector<StreamConfig> streams{stream};
  IoConfig io = io_config(false, false);
  std::vector<LineCounters> counters(2);
  Feed feed(streams, config, io.link, io.ttl, counters, nullptr);
  feed.start(START_NS, EPOCH_NS);
  uint64_t last_ns = 0;
  for (uint32_t taken = 0; taken < 2 * config.ahead; taken++) {
    expect(feed.planned_ns() != Feed::NONE_NS, "there is a next one");
    expect(feed.planned_ns() >= last_ns, "in the order of time");
    last_ns = feed.planned_ns();
    feed.take();
  }
}

void finish(Chance&) {
  Impairment done{0.1, 0.3, 0.1, 2, 0, 0, 0, 0, 0};
  StreamConfig stream = stream_of({line_to(1, done), line_to(2, done)});
  stream.lines[1].skew_ns = 1'000'000;
  Run result = run({stream}, 100'000, {10'000'000, 1e5, false}, 5000);
  std::map<uint64_t, uint32_t> begun;
  for (size_t i = 0; i < result.seen.size(); i++) {
    const Seen& seen = result.seen[i];
    uint64_t timestamp = seen.ticks[0].timestamp;
    if (i < 5000)
      begun[timestamp]++;
    else
      expect(begun.contains(timestamp) && !seen.transmission.counts(), "only what was begun");
  }
  expect(result.seen.size() > 5050 && result.seen.size() < 5500, "the other line's, and then nothing");
}

// The schedule moves while datagrams are open, queued, held back and due for a copy: all that comes is as
// much later, in the same order, and nothing else about it changes.
void moved(Chance&) {
  constexpr uint64_t BY_NS = 2'000'000'123;
  Impairment done;
  done.loss = 0.1;
  done.duplicate = 0.1;
  done.reorder = 0.1;
  done.reorder_by = 3;
  done.delay_ns = 50'000;
  done.jitter_ns = 100'000;
  StreamConfig stream = stream_of({line_to(1, done), line_to(2)});
  stream.lines[1].skew_ns = 70'000;
  stream.lines[1].judged = false;
  stream.most = 3;
  stream.within_ns = 30'000;
  // The second one's first datagram goes before the first one's.
  const std::vector<StreamConfig> streams{stream, stream_of({line_to(3)})};
  const FeedConfig config{10'000'000, 2e5, false};
  IoConfig io = io_config(false, false);
  std::vector<LineCounters> counters(3);
  std::vector<LineCounters> other_counters(3);
  Feed feed(streams, config, io.link, io.ttl, counters, nullptr);
  Feed other(streams, config, io.link, io.ttl, other_counters, nullptr);
  feed.start(START_NS, EPOCH_NS);
  other.start(START_NS, EPOCH_NS);
  uint64_t by_ns = 0;  // modulo 2^64: as a clock is slewed, backwards, too, and before anything has left
  for (uint32_t i = 0; i < 5000; i++) {
    if (i % 500 == 0) {
      uint64_t step_ns = i % 1000 == 0 ? 0 - BY_NS / 2 : BY_NS;
      feed.move(step_ns);
      by_ns += step_ns;
    }
    expect_equal(feed.planned_ns(), other.planned_ns() + by_ns, "when the next one is planned");
    Transmission transmission = feed.take();
    Transmission unmoved = other.take();
    expect_equal(transmission.planned_ns, unmoved.planned_ns + by_ns, "when it was planned");
    expect(transmission.line == unmoved.line && transmission.lost == unmoved.lost &&
               transmission.copy == unmoved.copy && transmission.first == unmoved.first,
           "what it is");
    expect_equal(feed.ticks(transmission).size(), other.ticks(unmoved).size(), "ticks in it");
    feed.release(transmission);
    other.release(unmoved);
  }
}

const Tests TESTS{
    {"feed: moved, with all that is on its way", moved},
    {"feed: packing, tick by tick", packing},
    {"feed: sizes in turn", sizes},
    {"feed: what counts, and what is withheld", truth},
    {"feed: the same again", again},
    {"feed: memory is bounded", bounded},
    {"feed: room for what is taken ahead", ahead},
    {"feed: at the end, only what was begun", finish},
};

}  // namespace
}  // namespace carom::test
