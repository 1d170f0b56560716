// The histogram's index arithmetic and figures, against the definition.
#include <algorithm>
#include <cstring>
#include <memory>
#include <vector>

#include "core/histogram.h"
#include "test/test.h"

namespace carom::test {
namespace {

// The first 2048 values have a place each; from there on each power of two is cut into 1024 places.
uint64_t reference_index(uint64_t value) {
  if (value < 2048) return value;
  uint64_t doublings = 0;
  while (value >> doublings >= 2048) doublings++;
  return 1024 * doublings + (value >> doublings);
}

void check_index(uint64_t value) {
  expect_equal(Histogram::index_of(value), reference_index(value), "index of a value");
}

void index(Chance& chance) {
  for (uint32_t bit = 0; bit < 64; bit++) {
    uint64_t power = 1ull << bit;
    for (uint64_t value : {power - 1, power, power + 1}) check_index(value);
  }
  for (uint64_t value = 0; value < 10'000; value++) check_index(value);
  for (int i = 0; i < 1'000'000; i++) check_index(chance.any_size());
}

void size(Chance&) {
  // SIZE is what hdr-histogram-js has for 1 to 60 s and 3 digits: (buckets + 1) * 1024, buckets being the
  // least number with 2048 << (buckets - 1) above the highest value.
  uint64_t buckets = 1;
  while (2048ull << (buckets - 1) <= Histogram::HIGHEST) buckets++;
  expect_equal(Histogram::SIZE, (buckets + 1) * 1024, "SIZE");
  expect(Histogram::index_of(Histogram::HIGHEST) < Histogram::SIZE, "the highest value has a place");
  // Three digits: a place is never wider than a thousandth of its values.
  uint64_t from = 0;
  for (uint64_t value = 1; value <= Histogram::HIGHEST; value += std::max<uint64_t>(1, value / 4000)) {
    if (Histogram::index_of(value) == Histogram::index_of(from)) {
      expect((value - from) * 1000 <= value, "width of a place");
    } else {
      expect(Histogram::index_of(value) > Histogram::index_of(from), "places grow with the values");
      from = value;
    }
  }
}

void figures(Chance& chance) {
  Histogram histogram;
  expect_equal(histogram.count(), 0, "count of none");
  expect_equal(histogram.min(), 0, "min of none");
  expect_equal(histogram.max(), 0, "max of none");
  std::vector<uint64_t> counts(Histogram::SIZE);
  uint64_t count = 0, sum = 0, low = UINT64_MAX, high = 0;
  long double squares = 0;
  for (int i = 0; i < 200'000; i++) {
    uint64_t value = chance.next() >> (20 + chance.below(44));  // up to 4.9 h: some are above 60 s
    histogram.record(value);
    counts[reference_index(std::min(value, Histogram::HIGHEST))]++;
    count++;
    sum += value;
    low = std::min(low, value);
    high = std::max(high, value);
    squares += static_cast<long double>(value) * static_cast<long double>(value);
  }
  expect_equal(histogram.count(), count, "count");
  expect_equal(histogram.sum(), sum, "sum");
  expect_equal(histogram.min(), low, "min");
  expect_equal(histogram.max(), high, "max");
  long double error = (static_cast<long double>(histogram.sum_of_squares()) - squares) / squares;
  expect(error < 1e-9L && error > -1e-9L, "sum of squares");
  for (uint32_t i = 0; i < Histogram::SIZE; i++) expect_equal(histogram.count_at(i), counts[i], "a place");
}

const Tests TESTS{
    {"histogram: index of every power of two and of a million values", index},
    {"histogram: its size is what 60 s and three digits need", size},
    {"histogram: counts, sum, min and max", figures},
};

}  // namespace
}  // namespace carom::test
