// A run's round trips in parts: each value in the part of its time or number, none lost.
#include <map>

#include "core/parts.h"
#include "test/test.h"

namespace carom::test {
namespace {

constexpr uint64_t START_NS = 1'000'000'007;

// Where every part's values must be, by the definition.
using Model = std::map<uint32_t, std::map<uint32_t, uint32_t>>;

void agree(const HistogramParts& parts, const Model& must) {
  expect_equal(parts.used(), must.empty() ? 0 : must.rbegin()->first + 1, "parts used");
  for (uint32_t part = 0; part < parts.used(); part++) {
    auto found = must.find(part);
    for (uint32_t i = 0; i < Histogram::SIZE; i++) {
      uint32_t wanted = 0;
      if (found != must.end()) {
        auto place = found->second.find(i);
        wanted = place == found->second.end() ? 0 : place->second;
      }
      expect_equal(parts.counts(part)[i], wanted, "a place of a part");
    }
  }
}

void by_time(Chance& chance) {
  constexpr uint64_t PART_NS = 1000;
  HistogramParts parts({.planned = false, .ns = PART_NS, .count = 0});
  Model must;
  uint64_t at_ns = START_NS;
  for (int i = 0; i < 3000; i++) {
    uint64_t value = chance.any_size();
    parts.record(value, at_ns);
    uint64_t part = std::min<uint64_t>((at_ns - START_NS) / PART_NS, HistogramParts::PARTS - 1);
    must[static_cast<uint32_t>(part)][Histogram::index_of(std::min(value, Histogram::HIGHEST))]++;
    // Now and then nothing comes for some parts; at the end there are more than there is room for.
    at_ns += chance.below(100) == 0 ? chance.below(4 * PART_NS) : chance.below(30);
  }
  agree(parts, must);
}

void by_number(Chance& chance) {
  HistogramParts parts({.planned = true, .ns = 0, .count = 37});
  expect(parts.planned(), "which round trips they are");
  Model must;
  for (uint32_t i = 0; i < 37 * HistogramParts::PARTS + 500; i++) {
    uint64_t value = chance.below(50'000);
    parts.record(value, START_NS + i);
    must[std::min(i / 37, HistogramParts::PARTS - 1)][Histogram::index_of(value)]++;
  }
  agree(parts, must);
}

void followed(Chance& chance) {
  constexpr uint64_t PART_NS = 1000;
  HistogramParts parts({.planned = false, .ns = PART_NS, .count = 0});
  Model must;
  std::vector<uint64_t> counts(Histogram::SIZE);
  parts.follow(counts, START_NS);
  must[0];
  uint32_t part = 0;
  for (uint64_t at_ns = START_NS; at_ns < START_NS + 20 * PART_NS; at_ns += 100) {
    uint32_t index = static_cast<uint32_t>(chance.below(5000));
    counts[index]++;
    must[part][index]++;
    if (!parts.is_over(at_ns, 0)) continue;
    parts.follow(counts, at_ns);
    part = static_cast<uint32_t>((at_ns - START_NS) / PART_NS);
    must[part];
  }
  parts.follow(counts, START_NS + 19 * PART_NS);
  agree(parts, must);
}

void followed_by_number(Chance& chance) {
  HistogramParts parts({.planned = false, .ns = 0, .count = 10});
  Model must;
  std::vector<uint64_t> counts(Histogram::SIZE);
  parts.follow(counts, START_NS);
  for (uint32_t i = 0; i < 10 * HistogramParts::PARTS + 100; i++) {
    uint32_t index = static_cast<uint32_t>(chance.below(5000));
    counts[index]++;
    must[std::min(i / 10, HistogramParts::PARTS - 1)][index]++;
    if (parts.is_over(START_NS + i, i + 1)) parts.follow(counts, START_NS + i);
  }
  parts.follow(counts, START_NS + 10 * HistogramParts::PARTS + 100);
  agree(parts, must);
}

void off(Chance&) {
  HistogramParts parts(PartsConfig{});
  parts.record(5, START_NS);
  expect(!parts.on() && !parts.is_over(UINT64_MAX, 0), "nothing is kept");
  expect_equal(parts.used(), 0, "parts of nothing");
}

const Tests TESTS{
    {"parts: values by their time, with gaps, and more than there is room for", by_time},
    {"parts: values by their number", by_number},
    {"parts: counts that somebody else makes", followed},
    {"parts: counts that somebody else makes, by their number", followed_by_number},
    {"parts: off", off},
};

}  // namespace
}  // namespace carom::test
