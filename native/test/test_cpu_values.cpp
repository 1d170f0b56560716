// Counters of which each CPU has its own, added up.
#include "io/cpu_values.h"

#include <vector>

#include "test/test.h"

namespace carom::test {
namespace {

// Of as many CPUs as the largest machines have.
void cpu_values(Chance& chance) {
  for (int cpus : {1, 4, 910, 911, 1024, 8192}) {
    for (size_t words : {1u, 2u, 9u}) {
      std::vector<uint64_t> expected(words);
      std::vector<uint64_t> sums(words, 7);
      bool read = sum_cpu_values(cpus, words * 8, sums, [&](uint64_t* values) {
        for (size_t i = 0; i < static_cast<size_t>(cpus) * words; i++) {
          values[i] = chance.below(1000);
          expected[i % words] += values[i];
        }
        return true;
      });
      expect(read && sums == expected, "the sums");
    }
  }
  uint64_t sum = 7;
  expect(!sum_cpu_values(4, 8, {&sum, 1}, [](uint64_t*) { return false; }), "what can't be read is told");
  expect(!sum_cpu_values(-2, 8, {&sum, 1}, [](uint64_t*) { return true; }),
         "as are CPUs that can't be counted");
}

const Tests TESTS{
    {"counters of each CPU, of machines of any size", cpu_values},
};

}  // namespace
}  // namespace carom::test
