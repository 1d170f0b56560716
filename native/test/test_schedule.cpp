// Schedules made of arrival processes: scaled, under a ceiling, the same everywhere, exact however long.
#include <sys/resource.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "generate/schedule.h"
#include "test/arrival_support.h"

namespace carom::test {
namespace {

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
      auto first_at = [&](uint64_t time_ns) {
        auto found = std::lower_bound(times.begin() + static_cast<long>(at), times.end(), time_ns);
        return static_cast<uint64_t>(found - times.begin());
      };
      // From a tick that is out already, or from one that is to come.
      uint64_t from_ns = times[chance.below(static_cast<uint32_t>(at) + 1000)];
      uint64_t until_ns = times[at + chance.below(2000)];
      uint64_t limit = chance.one_in(2) ? UINT64_MAX : chance.below(2000);
      uint64_t found =
          schedule.count_between(start_ns + from_ns, start_ns + until_ns, limit, [] { return false; });
      uint64_t wanted = until_ns <= from_ns ? 0 : first_at(until_ns) - first_at(from_ns);
      expect_equal(found, std::min(limit, wanted), "ticks between two times");
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

// A pace that changes again and again: a tick comes where the rates before and after have added up to its
// place in the process. `map` knows from which time on which pace holds.
void paces(Chance& chance) {
  constexpr size_t TICKS = 3000;
  for (const ArrivalConfig& config : each_kind()) {
    ScheduleConfig plan{config, chance.next()};
    std::vector<uint64_t> times = times_of(plan, TICKS + 1);
    Schedule schedule(plan);
    const uint64_t start_ns = 1'000'000'007;
    schedule.start(start_ns);
    long double from_ns = static_cast<long double>(start_ns);
    long double place = 0;  // of the process, at that time
    long double slower = 1;
    long double allowed = 1;  // rounding, in ns
    auto must = [&](size_t at) { return from_ns + (static_cast<long double>(times[at]) - place) * slower; };
    for (size_t at = 0; at + Schedule::LOOK_AHEAD < TICKS; at++) {
      for (uint32_t k = 0; k < Schedule::LOOK_AHEAD; k++) {
        long double error = static_cast<long double>(schedule.planned_ns(k)) - must(at + k);
        if (!(error > -allowed && error < allowed))
          fprintf(stderr, "kind %d at %zu k %u error %Lf allowed %Lf slower %Lf\n", (int)config.kind, at, k,
                  error, allowed, slower),
              expect(false, "x");
      }
      if (chance.one_in(50)) {
        uint64_t to = 100 + chance.below(1900);
        uint64_t now_ns =
            schedule.planned_ns() + chance.below(3) * (schedule.planned_ns(5) - schedule.planned_ns());
        // The constant rate is a whole number of millihertz: one that the change does not round.
        if (config.kind == ArrivalConfig::Kind::constant) to = 1000 * (1 + chance.below(3));
        uint64_t changed_ns = schedule.change_pace(now_ns, to, 1000);
        expect(changed_ns <= now_ns, "not later than it was asked for");
        // What is due by then stays where it is: the model goes on behind it.
        while (at + Schedule::LOOK_AHEAD < TICKS && schedule.planned_ns() <= changed_ns) {
          schedule.advance();
          at++;
        }
        place += (static_cast<long double>(changed_ns) - from_ns) / slower;
        from_ns = static_cast<long double>(changed_ns);
        slower = 1000.0L / static_cast<long double>(to);
        allowed += 25;  // what was rounded once is stretched by later changes, twentyfold at the most
        at--;
        continue;
      }
      schedule.advance();
    }
  }
}

const Tests TESTS{
    {"schedule: scaling by gaps and by bursts is exact", scales},
    {"schedule: a ceiling holds in every window", ceilings},
    {"schedule: the same times on every machine", fixed_times},
    {"schedule: a constant rate is exact up to 2^50 ticks", constant},
    {"schedule: a schedule looks ahead and counts what is left", schedules},
    {"schedule: another pace goes on from the present", paces},
    {"schedule: an hour takes no more memory than a second", bounded_memory},
};

}  // namespace
}  // namespace carom::test
