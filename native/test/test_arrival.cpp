// Arrival processes against theory. What is left to chance fails once in a million seeds: five standard
// deviations, and 2.7 for the distance of Kolmogorov and Smirnov.
#include <algorithm>
#include <cmath>
#include <vector>

#include "generate/random.h"
#include "test/arrival_support.h"

namespace carom::test {
namespace {

// Whether numbers are exponential with mean 1, all in all and one by one.
void expect_exponential(std::vector<double> numbers, const char* what) {
  double n = static_cast<double>(numbers.size());
  double total = 0;
  double squares = 0;
  for (double x : numbers) {
    total += x;
    squares += x * x;
  }
  double mean = total / n;
  double variance = squares / n - mean * mean;
  expect(std::abs(mean - 1) <= SIGMAS / std::sqrt(n), what);
  expect(std::abs(variance - 1) <= SIGMAS * std::sqrt(8 / n), what);
  std::sort(numbers.begin(), numbers.end());
  double distance = 0;
  for (size_t i = 0; i < numbers.size(); i++) {
    double part = -std::expm1(-numbers[i]);
    double k = static_cast<double>(i);
    distance = std::max({distance, part - k / n, (k + 1) / n - part});
  }
  expect(distance * std::sqrt(n) <= 2.7, what);
  // Neighbours have nothing to do with one another: that is lost in the sorting, so the order is tested where
  // the numbers come from.
}

void logarithm(Chance& chance) {
  auto close = [](double found, double wanted) {
    return std::abs(found - wanted) <= std::abs(wanted) * 0x1p-50;
  };
  for (int i = 0; i < 1'000'000; i++) {
    double x = static_cast<double>((chance.next() >> 11) + 1) * 0x1p-53;
    expect(close(portable_log(x), std::log(x)), "a logarithm");
    double small = std::ldexp(x, -static_cast<int>(chance.below(900)));
    expect(close(portable_log(small), std::log(small)), "of a small number");
    double y = (x - 0.5) * 1400;
    expect(close(portable_exp(y), std::exp(y)), "an exponential");
    expect(close(portable_exp(-x), std::exp(-x)), "near one");
  }
  expect(portable_log(1) == 0 && portable_exp(0) == 1, "at one and zero exact");
  expect(portable_exp(-1e300) == 0 && portable_exp(-701) == 0, "nothing remains");
}

void poisson(Chance& chance) {
  constexpr size_t COUNT = 400'000;
  std::vector<uint64_t> times = times_of({process(Kind::poisson, 1'000'000), chance.next()}, COUNT);
  std::vector<double> gaps;
  double product = 0;
  for (size_t i = 0; i < COUNT; i++) {
    gaps.push_back(static_cast<double>(times[i] - (i == 0 ? 0 : times[i - 1])) / 1e6);
    if (i > 0) product += (gaps[i] - 1) * (gaps[i - 1] - 1);
  }
  expect(std::abs(product) <= SIGMAS * std::sqrt(COUNT), "a gap does not depend on the one before");
  expect_exponential(gaps, "gaps of a Poisson process");
}

// At the rate of a ns a tick and above, what is less than a ns must not get lost.
void fractions(Chance& chance) {
  constexpr size_t COUNT = 1'000'000;
  for (uint64_t rate : {1'000'000'000'000ull, 300'000'000'000ull, 999'999'937ull}) {
    double mean_ns = 1e12 / static_cast<double>(rate);
    double wanted = mean_ns * COUNT;
    double found = static_cast<double>(times_of({process(Kind::poisson, rate), chance.next()}, COUNT).back());
    expect(std::abs(found - wanted) <= SIGMAS * mean_ns * std::sqrt(COUNT), "the mean of short gaps");
  }
}

void hawkes_process(Chance& chance) {
  constexpr size_t COUNT = 400'000;
  struct Case {
    uint64_t rate_millihertz;
    double branching;
    uint64_t decay_ns;
  };
  for (Case c : {Case{1'000'000, 0.5, 1'000'000}, Case{1'000'000, 0.9, 300'000},
                 Case{50'000, 0.7, 20'000'000}, Case{1'000'000, 0, 1}}) {
    std::vector<uint64_t> times =
        times_of({hawkes(c.rate_millihertz, c.branching, c.decay_ns), chance.next()}, COUNT);
    // Seen on the clock of its own intensity, each gap is exponential: the intensity is what it must be.
    double base = static_cast<double>(c.rate_millihertz) / 1e12;
    double decay_ns = static_cast<double>(c.decay_ns);
    double excitement = 0;
    std::vector<double> gaps;
    double product = 0;
    for (size_t i = 0; i < COUNT; i++) {
      double gap_ns = static_cast<double>(times[i] - (i == 0 ? 0 : times[i - 1]));
      double remains = std::exp(-gap_ns / decay_ns);
      gaps.push_back(base * gap_ns + excitement * (1 - remains));
      excitement = excitement * remains + c.branching;
      if (i > 0) product += (gaps[i] - 1) * (gaps[i - 1] - 1);
    }
    expect(std::abs(product) <= SIGMAS * std::sqrt(COUNT), "on that clock gaps are independent");
    expect_exponential(gaps, "gaps of a Hawkes process on the clock of its intensity");
    // As many as mean rate and branching ratio say: base / (1 - n), variance of the count 1 / (1 - n)^2.
    double seconds = static_cast<double>(times.back()) / 1e9;
    double mean = base * 1e9 / (1 - c.branching) * seconds;
    double deviation = std::sqrt(mean) / (1 - c.branching);
    expect(std::abs(COUNT - mean) <= SIGMAS * deviation, "the mean rate");
    // Of windows much longer than the clusters, the counts scatter by the branching ratio.
    double window_ns = std::max(100 * decay_ns / (1 - c.branching), 200 / base);
    std::vector<double> counts;
    double edge = window_ns;
    double inside = 0;
    for (uint64_t time : times) {
      for (; static_cast<double>(time) >= edge; edge += window_ns, inside = 0) counts.push_back(inside);
      inside++;
    }
    double windows = static_cast<double>(counts.size());
    expect(windows >= 50, "windows");
    double total = 0;
    double squares = 0;
    for (double x : counts) total += x;
    for (double x : counts) squares += (x - total / windows) * (x - total / windows);
    double fano = squares / (windows - 1) / (total / windows);
    double ratio = fano * (1 - c.branching) * (1 - c.branching);
    // Clusters of 1 / (1 - n) ticks make the counts a little less than normal: twice the normal scatter is
    // room.
    expect(std::abs(ratio - 1) <= 2 * SIGMAS * std::sqrt(2 / windows), "the scatter, so the branching ratio");
  }
}

void burst_process(Chance& chance) {
  for (int round = 0; round < 200; round++) {
    uint64_t count = 1 + chance.below(50);
    uint64_t gap_ns = chance.below(1000);
    uint64_t every_ns = (count - 1) * gap_ns + 1 + chance.below(100'000);
    std::vector<uint64_t> times = times_of({bursts(count, every_ns, gap_ns), 1}, 1000);
    for (size_t i = 0; i < times.size(); i++) {
      expect_equal(times[i], i / count * every_ns + i % count * gap_ns, "a tick of a burst");
    }
  }
}

void microburst_process(Chance& chance) {
  constexpr size_t COUNT = 400'000;
  for (double size : {1.0, 2.0, 50.0}) {
    // Without gaps, the ticks of one burst are at one time: there are as many times as bursts.
    std::vector<uint64_t> times = times_of({microbursts(size, 10'000'000, 0), chance.next()}, COUNT);
    std::vector<double> starts;
    for (size_t i = 0; i < COUNT; i++) {
      if (i == 0 || times[i] != times[i - 1]) {
        starts.push_back(static_cast<double>(times[i] - (i == 0 ? 0 : times[i - 1])) / 1e7);
      }
    }
    double found = static_cast<double>(starts.size());
    double wanted = COUNT / size;
    double deviation = std::sqrt(COUNT / size * (1 - 1 / size)) + 1;
    expect(std::abs(found - wanted) <= SIGMAS * deviation, "the mean size");
    expect_exponential(starts, "bursts begin by chance");
    // Far apart, gaps within and between can't be mixed up.
    times = times_of({microbursts(size, 1'000'000'000'000, 10'000), chance.next()}, COUNT);
    std::vector<double> gaps;
    for (size_t i = 1; i < COUNT; i++) {
      uint64_t gap_ns = times[i] - times[i - 1];
      if (gap_ns < 400'000) gaps.push_back(static_cast<double>(gap_ns) / 1e4);
    }
    if (size > 1) expect_exponential(gaps, "gaps within a burst");
  }
  // Bursts that would overlap wait, and the mean rate stays size / every.
  double ticks_per_ns = 50 / 1e6;
  double found =
      static_cast<double>(times_of({microbursts(50, 1'000'000, 10'000), chance.next()}, COUNT).back());
  double per_burst =
      std::sqrt(2) * std::sqrt(COUNT / 50.0) * 50;  // a burst's count and the gap before it scatter
  expect(std::abs(found * ticks_per_ns - COUNT) <= SIGMAS * per_burst,
         "the mean rate of bursts that overlap");
}

void curve_process(Chance& chance) {
  for (int round = 0; round < 100; round++) {
    std::vector<CurvePoint> points;
    uint64_t time_ns = 0;
    for (uint32_t i = 0, count = 2 + chance.below(8); i < count; i++) {
      points.push_back({time_ns, chance.one_in(4) ? 0 : 1 + chance.next() % 2'000'000'000});
      time_ns += 1 + chance.below(50'000'000);
    }
    points[0].rate_millihertz = 1'000'000;
    auto area = [&](uint64_t until_ns) {  // in ticks times 10^12
      unsigned __int128 total = 0;
      for (size_t i = 0; i + 1 < points.size(); i++) {
        uint64_t end_ns = std::min(points[i + 1].time_ns, until_ns);
        if (end_ns <= points[i].time_ns) continue;
        total += static_cast<unsigned __int128>(end_ns - points[i].time_ns) * points[i].rate_millihertz;
      }
      return total;
    };
    uint64_t length_ns = points.back().time_ns;
    unsigned __int128 whole = area(length_ns);
    auto reached = [&](uint64_t at_ns) { return whole * (at_ns / length_ns) + area(at_ns % length_ns); };
    auto arrival = make_arrival({curve(points), 1});
    for (uint64_t n = 0; n < 2000; n++) {
      uint64_t at_ns = arrival->next_ns();
      unsigned __int128 wanted = static_cast<unsigned __int128>(n) * 1'000'000'000'000ull;
      expect(reached(at_ns) >= wanted, "at its time the curve has reached the tick");
      expect(at_ns == 0 || reached(at_ns - 1) < wanted || n == 0, "and a ns before it had not");
    }
  }
  // By chance: between two ticks an exponential part of the curve.
  constexpr size_t COUNT = 300'000;
  ArrivalConfig shape =
      curve({{0, 1'000'000}, {700'000'000, 0}, {900'000'000, 5'000'000}, {1'000'000'000, 0}}, true);
  std::vector<uint64_t> times = times_of({shape, chance.next()}, COUNT);
  auto reached = [](uint64_t at_ns) {
    double in_ns = static_cast<double>(at_ns % 1'000'000'000);
    double part = std::min(in_ns, 7e8) * 1e-6 + std::max(in_ns - 9e8, 0.0) * 5e-6;
    return static_cast<double>(at_ns / 1'000'000'000) * 1200 + part;
  };
  std::vector<double> gaps;
  for (size_t i = 0; i < COUNT; i++) gaps.push_back(reached(times[i]) - (i == 0 ? 0 : reached(times[i - 1])));
  expect_exponential(gaps, "gaps on the clock of the curve");
}

void sums(Chance&) {
  std::vector<ArrivalConfig> parts = {process(Kind::constant, 77'777'777), bursts(13, 700'000, 0),
                                      curve({{0, 9'000'000}, {1'000'000, 80'000'000}, {2'000'000, 0}})};
  constexpr uint64_t UNTIL_NS = 1'000'000'000;
  std::vector<uint64_t> expected;
  for (const ArrivalConfig& part : parts) {
    auto arrival = make_arrival({part, 1});
    for (uint64_t time; (time = arrival->next_ns()) < UNTIL_NS;) expected.push_back(time);
  }
  std::sort(expected.begin(), expected.end());
  for (const ArrivalConfig& whole : {sum(parts), sum({sum({parts[0], parts[1]}), parts[2]})}) {
    std::vector<uint64_t> found = times_of({whole, 1}, expected.size() + 1);
    expect(found.back() >= UNTIL_NS, "no more");
    found.pop_back();
    expect(found == expected, "the sum has every tick of its parts, in order");
  }
}

const Tests TESTS{
    {"arrival: the logarithm and the exponential are libm's, to 2^-50", logarithm},
    {"arrival: Poisson gaps are exponential and independent", poisson},
    {"arrival: no fraction of a ns gets lost", fractions},
    {"arrival: Hawkes, by its intensity, mean rate and branching ratio", hawkes_process},
    {"arrival: bursts are exact", burst_process},
    {"arrival: microbursts, by size, gaps and mean rate", microburst_process},
    {"arrival: a rate curve integrates exactly", curve_process},
    {"arrival: a sum is the union of its parts", sums},
};

}  // namespace
}  // namespace carom::test
