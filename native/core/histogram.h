// HDR histogram: 1 ns to 60 s, 3 significant digits, the same buckets as hdr-histogram-js and HdrHistogram_c.
// Source: http://hdrhistogram.org (the index arithmetic of the Java reference).
#pragma once

#include <bit>
#include <cstdint>
#include <memory>

#include "core/counters.h"

namespace carom {

class Histogram {
 public:
  static constexpr uint64_t HIGHEST = 60'000'000'000;
  static constexpr uint32_t SUB_BUCKET_COUNT = 2048;  // the smallest power of two above 2 * 10^3
  static constexpr uint32_t SUB_BUCKET_HALF_COUNT = 1024;
  static constexpr uint32_t BUCKET_COUNT = 26;  // 2048 << 25 is the first above 60 s
  static constexpr uint32_t SIZE = (BUCKET_COUNT + 1) * SUB_BUCKET_HALF_COUNT;

  Histogram() : counts_(new Counter[SIZE]) {}

  // Values above 60 s are recorded as 60 s; the exact ones stay in sum and max.
  void record(uint64_t value) noexcept { record(value, 1); }

  // The same value so many times, at least once.
  void record(uint64_t value, uint64_t times) noexcept {
    counts_[index_of(value < HIGHEST ? value : HIGHEST)].add(times);
    count_.add(times);
    sum_.add(value * times);
    // In double, as the sum of squares of 2^32 values of a second each would not fit into 64 bits.
    double as_double = static_cast<double>(value);
    double squares = as_double * as_double * static_cast<double>(times);
    sum_of_squares_.store(sum_of_squares_.load(std::memory_order_relaxed) + squares,
                          std::memory_order_relaxed);
    if (value < min_.get()) min_.set(value);
    if (value > max_.get()) max_.set(value);
  }

  // Counts that were made elsewhere, with the same buckets; sum, least and most are exact, the squares as the
  // middle of each bucket has them (HdrHistogram computes its deviation so, too).
  void add(const uint64_t* counts, uint64_t sum, uint64_t least, uint64_t most) noexcept {
    uint64_t count = 0;
    double squares = 0;
    for (uint32_t i = 0; i < SIZE; i++) {
      if (counts[i] == 0) continue;
      counts_[i].add(counts[i]);
      count += counts[i];
      double middle = middle_of(i);
      squares += static_cast<double>(counts[i]) * middle * middle;
    }
    if (count == 0) return;
    count_.add(count);
    sum_.add(sum);
    sum_of_squares_.store(sum_of_squares_.load(std::memory_order_relaxed) + squares,
                          std::memory_order_relaxed);
    if (least < min_.get()) min_.set(least);
    if (most > max_.get()) max_.set(most);
  }

  static double middle_of(uint32_t index) noexcept {
    uint32_t bucket = index < SUB_BUCKET_COUNT ? 0 : (index >> 10) - 1;
    uint64_t low = uint64_t{index - (bucket << 10)} << bucket;
    return static_cast<double>(low) + static_cast<double>((uint64_t{1} << bucket) - 1) / 2;
  }

  static uint32_t index_of(uint64_t value) noexcept {
    uint32_t bucket = 53 - static_cast<uint32_t>(std::countl_zero(value | (SUB_BUCKET_COUNT - 1)));
    uint32_t sub_bucket = static_cast<uint32_t>(value >> bucket);
    return ((bucket + 1) << 10) + sub_bucket - SUB_BUCKET_HALF_COUNT;
  }

  uint64_t count_at(uint32_t index) const noexcept { return counts_[index].get(); }
  uint64_t count() const noexcept { return count_.get(); }
  uint64_t min() const noexcept { return count() == 0 ? 0 : min_.get(); }
  uint64_t max() const noexcept { return max_.get(); }
  uint64_t sum() const noexcept { return sum_.get(); }
  double sum_of_squares() const noexcept { return sum_of_squares_.load(std::memory_order_relaxed); }

 private:
  struct Minimum : Counter {
    Minimum() { set(UINT64_MAX); }
  };

  std::unique_ptr<Counter[]> counts_;
  Counter count_;
  Counter sum_;
  Counter max_;
  Minimum min_;
  std::atomic<double> sum_of_squares_{0};
};

static_assert(uint64_t{Histogram::SUB_BUCKET_COUNT} << (Histogram::BUCKET_COUNT - 1) > Histogram::HIGHEST);

}  // namespace carom
