// The limit on answers: never more than it says, whoever asks, and no less.
#include <algorithm>
#include <vector>

#include "test/strategy_model.h"
#include "test/test.h"

namespace carom::test {
namespace {

constexpr answer_limit LIMITS[] = {
    {1, 0}, {10, 0}, {10, 35}, {1000, 4000}, {1'000'000'000, 0}, {100'000'000, 9'900'000'000}};

// Sources that share one set.
std::vector<answer_source> neighbors(Chance& chance, size_t count) {
  std::vector<answer_source> sources{{{chance.next(), chance.next()}}};
  while (sources.size() < count) {
    answer_source source{{chance.next(), chance.one_in(2) ? 0 : UINT64_MAX}};
    if (answer_limit_set_of(&source) == answer_limit_set_of(&sources[0])) sources.push_back(source);
  }
  return sources;
}

// However a source asks, n answers in a row take (n - 1) intervals less the tolerance at least: in any time T
// there are no more than (T + tolerance) / interval + 1.
void bound(Chance& chance) {
  for (const answer_limit& limit : LIMITS) {
    answer_limit_set set{};
    answer_source source{{chance.next(), 0}};
    uint64_t now_ns = chance.next() >> 2;
    uint64_t answers = 0;
    __int128 latest = 0;  // of t(i) - i * interval, over all answers so far
    for (int i = 0; i < 200'000; i++) {
      now_ns += chance.one_in(100) ? chance.below(static_cast<uint32_t>(limit.interval_ns) * 3)
                                   : limit.interval_ns / (1 + chance.below(8));
      if (!answer_allowed(&set, &source, &limit, now_ns)) continue;
      __int128 even = static_cast<__int128>(now_ns) - static_cast<__int128>(answers) * limit.interval_ns;
      if (answers > 0) expect(even >= latest - limit.tolerance_ns, "never more than the limit");
      latest = answers == 0 ? even : std::max(latest, even);
      answers++;
    }
    expect(answers > 10'000, "there were answers");
  }
}

// One who asks all the time gets just the bound; one who was idle gets the burst, and not more.
void all_of_it(Chance&) {
  for (const answer_limit& limit : LIMITS) {
    if (limit.interval_ns > 1000) continue;
    answer_limit_set set{};
    answer_source source{{7, 0}};
    uint64_t answers = 0;
    for (uint64_t t = 0; t <= 10'000; t++)
      answers += answer_allowed(&set, &source, &limit, 1'000'000 + t) != 0;
    expect_equal(answers, (10'000 + limit.tolerance_ns) / limit.interval_ns + 1, "answers at every ns");
  }
  for (const answer_limit& limit : LIMITS) {
    answer_limit_set set{};
    answer_source source{{7, 0}};
    uint64_t now_ns = 1'000'000'000;
    for (int round = 0; round < 5; round++) {
      uint64_t burst = 0;
      for (int i = 0; i < 1000; i++) burst += answer_allowed(&set, &source, &limit, now_ns) != 0;
      expect_equal(burst, limit.tolerance_ns / limit.interval_ns + 1, "answers at once after a rest");
      now_ns += limit.tolerance_ns + limit.interval_ns;
    }
  }
}

// Five busy sources in a set of four places: the fifth is refused until one has nothing outstanding, and
// taking that one's place takes nothing from it.
void crowded(Chance& chance) {
  const answer_limit limit{1000, 2000};
  std::vector<answer_source> sources = neighbors(chance, 5);
  answer_limit_set set{};
  uint64_t now_ns = 5'000'000;
  auto burst = [&](size_t i) {
    int count = 0;
    while (count < 1000 && answer_allowed(&set, &sources[i], &limit, now_ns)) count++;
    return count;
  };
  for (size_t i = 0; i < 4; i++) expect_equal(burst(i), 3, "a burst for each of four");
  expect_equal(burst(4), 0, "nothing for a fifth");
  now_ns += 2999;
  expect_equal(burst(4), 0, "as long as they are busy");
  now_ns += 1;
  expect_equal(burst(4), 3, "a burst once they are not");
  expect_equal(burst(0) + burst(1) + burst(2) + burst(3), 9, "then for three of the four; no more are busy");
}

// Against the naive one: many sources, few sets.
void by_chance(Chance& chance) {
  for (const answer_limit& limit : LIMITS) {
    std::vector<answer_source> sources = neighbors(chance, 7);
    for (const answer_source& other : neighbors(chance, 5)) sources.push_back(other);
    sources.push_back({{0, 0}});
    std::vector<answer_limit_set> sets(ANSWER_LIMIT_SETS);
    LimitModel model;
    uint64_t now_ns = 1'000'000'000, allowed = 0, refused = 0;
    for (int i = 0; i < 100'000; i++) {
      if (chance.one_in(3)) now_ns += chance.below(static_cast<uint32_t>(limit.interval_ns));
      if (chance.one_in(1000)) now_ns += 2 * (limit.interval_ns + limit.tolerance_ns);
      const answer_source& source = sources[chance.below(static_cast<uint32_t>(sources.size()))];
      int is = answer_allowed(&sets[answer_limit_set_of(&source)], &source, &limit, now_ns);
      expect_equal(is, model.allowed(source, limit, now_ns), "whether an answer is allowed");
      ++(is ? allowed : refused);
    }
    expect(allowed > 100 && (refused > 100 || limit.interval_ns == 1), "both happened");
  }
}

// A clock that jumps ahead gives the burst and no more; one that goes back, no answer until it is where it
// was. The limit itself may change: what was outstanding stays so.
void jumps(Chance&) {
  answer_limit limit{1000, 2000};
  answer_limit_set set{};
  answer_source source{{7, 0}};
  auto burst = [&](uint64_t now_ns) {
    int count = 0;
    while (count < 1000 && answer_allowed(&set, &source, &limit, now_ns)) count++;
    return count;
  };
  expect_equal(burst(1'000'000), 3, "a burst");
  expect_equal(burst(uint64_t{1} << 62), 3, "and after a hundred years another");
  expect_equal(burst(1'000'000), 0, "none for one whose clock went back");
  expect_equal(burst((uint64_t{1} << 62) + 1000), 1, "until it is there again");
  uint64_t now_ns = (uint64_t{1} << 62) + 1'000'000;
  expect_equal(burst(now_ns), 3, "a burst");
  limit = {10, 0};
  expect_equal(burst(now_ns + 2999), 0, "a higher limit waits for what was outstanding");
  expect_equal(burst(now_ns + 3000), 1, "and holds from there on");
  limit = {1'000'000, 0};
  expect_equal(burst(now_ns + 3010), 1, "as a lower one does");
  expect_equal(burst(now_ns + 1'003'009), 0, "which holds at once");
}

const Tests TESTS{
    {"limit: never more in any time than it says", bound},
    {"limit: no less, and a burst after a rest", all_of_it},
    {"limit: a fifth busy source of a set is refused, and nobody loses by it", crowded},
    {"limit: as a naive one", by_chance},
    {"limit: clocks that jump, and a limit that changes", jumps},
};

}  // namespace
}  // namespace carom::test
