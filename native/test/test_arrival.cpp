// Arrival processes against theory, and the schedule made of them. What is left to chance fails once in a
// million seeds: five standard deviations, and 2.7 for the distance of Kolmogorov and Smirnov.
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "generate/arrival.h"
#include "generate/random.h"
#include "generate/schedule.h"
#include "test/test.h"

namespace carom::test {
namespace {

using Kind = ArrivalConfig::Kind;
constexpr double SIGMAS = 5;

ArrivalConfig process(Kind kind, uint64_t rate_millihertz = 1000) {
  ArrivalConfig config;
  config.kind = kind;
  config.rate_millihertz = rate_millihertz;
  return config;
}

ArrivalConfig bursts(uint64_t count, uint64_t every_ns, uint64_t gap_ns) {
  ArrivalConfig config = process(Kind::bursts);
  config.count = count;
  config.every_ns = every_ns;
  config.gap_ns = gap_ns;
  return config;
}

ArrivalConfig microbursts(double size, uint64_t every_ns, uint64_t gap_ns) {
  ArrivalConfig config = bursts(1, every_ns, gap_ns);
  config.kind = Kind::microbursts;
  config.size = size;
  return config;
}

ArrivalConfig hawkes(uint64_t rate_millihertz, double branching, uint64_t decay_ns) {
  ArrivalConfig config = process(Kind::hawkes, rate_millihertz);
  config.branching = branching;
  config.decay_ns = decay_ns;
  return config;
}

ArrivalConfig curve(std::vector<CurvePoint> points, bool poisson = false) {
  ArrivalConfig config = process(Kind::curve);
  config.points = std::move(points);
  config.poisson = poisson;
  return config;
}

ArrivalConfig sum(std::vector<ArrivalConfig> parts) {
  ArrivalConfig config = process(Kind::sum);
  config.parts = std::move(parts);
  return config;
}

// One of each kind.
std::vector<ArrivalConfig> each_kind() {
  ArrivalConfig shape = curve({{0, 5'000'000}, {1'000'000, 0}, {3'000'000, 90'000'000}, {10'000'000, 0}});
  ArrivalConfig chance = shape;
  chance.poisson = true;
  std::vector<ArrivalConfig> all = {process(Kind::constant, 123'456'789),
                                    process(Kind::poisson, 50'000'000),
                                    bursts(7, 1'000'000, 1000),
                                    microbursts(20, 500'000, 700),
                                    hawkes(10'000'000, 0.8, 50'000),
                                    shape,
                                    chance};
  all.push_back(sum(all));
  return all;
}

std::vector<uint64_t> times_of(const ScheduleConfig& config, size_t count) {
  auto arrival = make_arrival(config);
  std::vector<uint64_t> times(count);
  for (uint64_t& time : times) time = arrival->next_ns();
  return times;
}

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

void scales(Chance& chance) {
  constexpr size_t COUNT = 20'000;
  for (const ArrivalConfig& config : each_kind()) {
    uint64_t seed = chance.next();
    std::vector<uint64_t> plain = times_of({config, seed}, COUNT);
    expect(std::is_sorted(plain.begin(), plain.end()), "no tick before the one before it");
    for (uint32_t scale : {2000u, 8000u, 1500u, 500u, 1u, 1'000'000u}) {
      std::vector<uint64_t> found = times_of({config, seed, scale, false, 0}, COUNT);
      for (size_t i = 0; i < COUNT; i++)
        expect_equal(found[i], plain[i] * 1000 / scale, "a gap made smaller");
    }
    for (uint32_t scale : {1000u, 2000u, 8000u, 2500u, 1001u}) {
      std::vector<uint64_t> found = times_of({config, seed, scale, true, 0}, COUNT);
      size_t at = 0;
      for (size_t i = 0; at < COUNT; i++) {
        size_t end = std::min<size_t>(COUNT, (i + 1) * scale / 1000);  // as many by then
        for (; at < end; at++) expect_equal(found[at], plain[i], "a tick several times over");
      }
    }
  }
}

void ceilings(Chance& chance) {
  constexpr size_t COUNT = 30'000;
  for (const ArrivalConfig& config : each_kind()) {
    for (uint64_t rate : {1'000'000'000ull, 13'888'888'889ull, 130'000'000ull, 7'777'777ull}) {
      ScheduleConfig schedule{config, chance.next(), 8000, true, 0};
      std::vector<uint64_t> wanted = times_of(schedule, COUNT);
      schedule.ceiling_millihertz = rate;
      std::vector<uint64_t> found = times_of(schedule, COUNT);
      auto distance = [&](uint64_t ticks) {
        return static_cast<unsigned __int128>(ticks) * 1'000'000'000'000ull;
      };
      unsigned __int128 free = 0;  // when the link is free again, in ns times the rate, never rounded
      for (size_t i = 0; i < COUNT; i++) {
        expect(found[i] >= wanted[i], "none is sent before its time");
        // No window has more than the rate allows; the start of it is known to one ns.
        for (size_t k : {1u, 2u, 3u, 10u, 100u, 1000u, 9999u}) {
          if (k > i) break;
          expect((found[i] - found[i - k] + 1) * static_cast<unsigned __int128>(rate) > distance(k),
                 "the ceiling holds in every window");
        }
        // And no more is put off than must be: a queue that serves one after the other, to a ns.
        unsigned __int128 at = std::max(free, static_cast<unsigned __int128>(wanted[i]) * rate);
        expect(static_cast<unsigned __int128>(found[i]) * rate >= at, "after the one before it");
        free = at + 1'000'000'000'000ull;
      }
      unsigned __int128 last = static_cast<unsigned __int128>(found.back()) * rate;
      // Each queue's beginning is rounded once; the last one's is what counts.
      expect(last < free - 1'000'000'000'000ull + static_cast<unsigned __int128>(COUNT) * rate,
             "and no later");
    }
  }
}

// Fixed for all machines: the same seed plans the same times, to the last bit of every double on the way.
void fixed_times(Chance&) {
  uint64_t hash = 0xcbf29ce484222325ull;
  for (const ArrivalConfig& config : each_kind()) {
    for (uint64_t time : times_of({config, 42}, 100'000)) hash = (hash ^ time) * 0x100000001b3ull;
  }
  expect_equal(hash, 12662166559053905860ull, "times that every machine plans");
}

void constant(Chance& chance) {
  for (int i = 0; i < 300'000; i++) {
    uint64_t rate = 1 + chance.any_size() % 1'000'000'000'000;  // to 10^9 a second
    uint64_t n = chance.any_size() >> 14;                       // up to 2^50
    auto reference = [&](uint64_t at) { return static_cast<__int128>(at) * 1'000'000'000'000 / rate; };
    ConstantArrival arrival(rate);
    arrival.seek(n);
    for (uint64_t k = n; k < n + 4; k++) {
      if (reference(k + 1) > static_cast<__int128>(NEVER_NS)) break;
      expect_equal(arrival.next_ns(), reference(k), "a planned time, rounded down");
      expect_equal(arrival.next_up_ns(), (static_cast<__int128>(k + 1) * 1'000'000'000'000 + rate - 1) / rate,
                   "up");
      expect_equal(arrival.count_before(static_cast<uint64_t>(reference(k + 1)) + 1) > 0, true, "one before");
      expect_equal(arrival.count_before(static_cast<uint64_t>(reference(k + 1))), 0, "none before");
    }
  }
  ConstantArrival day(200'000'000);
  expect_equal(day.count_before(86'400'000'000'000), 200'000ull * 86'400, "a day's");
  for (uint64_t n = 0; n < 5'000'000; n++) expect_equal(day.next_ns(), n * 5000, "step by step");
  ConstantArrival thirds(3000);
  uint64_t last = 0;
  for (uint64_t n = 0; n <= 3'000'000; n++) last = thirds.next_ns();
  expect_equal(last, 1'000'000'000'000'000ull, "an error that accumulates would show");
  ConstantArrival slow(1);
  slow.seek(uint64_t{1} << 50);
  expect_equal(slow.next_ns(), NEVER_NS, "35 million years are never");
  expect_equal(slow.next_ns(), NEVER_NS, "and stay so");
}

// The look ahead, and the counting of what is left, as one by one.
void schedules(Chance& chance) {
  for (const ArrivalConfig& config : each_kind()) {
    for (uint64_t start_ns : {uint64_t{0}, uint64_t{1} << 60}) {
      ScheduleConfig plan{config, chance.next()};
      std::vector<uint64_t> times = times_of(plan, 5000);
      Schedule schedule(plan);
      schedule.start(start_ns);
      uint64_t at = 0;
      for (; at < 1000 + chance.below(1000); at++) {
        for (uint32_t k = 0; k < Schedule::LOOK_AHEAD; k++) {
          expect_equal(schedule.planned_ns(k), start_ns + times[at + k], "a planned time");
        }
        schedule.advance();
      }
      uint64_t end = at + chance.below(2000);
      uint64_t until_ns = times[end];
      while (end > at && times[end - 1] == until_ns) end--;
      uint64_t limit = chance.one_in(2) ? UINT64_MAX : chance.below(2000);
      uint64_t found = schedule.count_before(start_ns + until_ns, limit, [] { return false; });
      expect_equal(found, std::min(limit, end - at), "ticks before a time");
    }
  }
}

// An hour of everything: the process is no larger for it.
void bounded_memory(Chance& chance) {
  std::vector<ArrivalConfig> parts = {
      hawkes(500'000, 0.8, 50'000), microbursts(20, 50'000'000, 700), process(Kind::poisson, 300'000),
      curve({{0, 500'000}, {1'000'000, 0}, {5'000'000, 100'000}, {10'000'000, 0}}, true)};
  auto arrival = make_arrival({sum(parts), chance.next(), 1000, false, 100'000'000});
  auto memory = [] {
    rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
  };
  uint64_t ticks = 0;
  auto run_to = [&](uint64_t until_ns) {
    while (arrival->next_ns() < until_ns) ticks++;
  };
  run_to(1'000'000'000);
  auto first = memory();
  run_to(3600'000'000'000);
  expect(ticks > 10'000'000, "an hour of ticks");
  expect(memory() - first < 1024, "less than 1 MiB more");
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
    {"arrival: scaling by gaps and by bursts is exact", scales},
    {"arrival: a ceiling holds in every window", ceilings},
    {"arrival: the same times on every machine", fixed_times},
    {"arrival: a constant rate is exact up to 2^50 ticks", constant},
    {"arrival: a schedule looks ahead and counts what is left", schedules},
    {"arrival: an hour takes no more memory than a second", bounded_memory},
};

}  // namespace
}  // namespace carom::test
