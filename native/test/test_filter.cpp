// The packet filter's engines: every one decides as libpcap does, on programs and expressions by chance, on
// frames that end where memory ends. `make filter-proof` does the same for long.
#include "core/error.h"
#include "filter/expression.h"
#include "test/filter_support.h"

namespace carom::test {
namespace {

constexpr uint32_t FRAMES = 500;
constexpr int PROGRAMS = 600;
constexpr int EXPRESSIONS = 300;

// Batches of every size, so that the last group of lanes is filled up in every way.
std::span<const FilterFrame> some_of(const FramePool& pool, Chance& chance) {
  uint32_t count = chance.one_in(4) ? chance.below(70) : FRAMES;
  return pool.frames().subspan(chance.below(FRAMES - count + 1), count);
}

void programs(Chance& chance) {
  FramePool pool(chance, FRAMES);
  uint64_t accepted = 0;
  for (int i = 0; i < PROGRAMS; i++) accepted += AllEngines(any_program(chance)).check(some_of(pool, chance));
  expect(accepted > 1000, "the programs accept some frames");
}

void expressions(Chance& chance) {
  FramePool pool(chance, FRAMES);
  uint64_t accepted = 0;
  int compiled = 0;
  for (int i = 0; i < EXPRESSIONS; i++) {
    std::vector<bpf_insn> program = compiled_by_pcap(any_expression(chance));
    if (program.empty()) continue;
    compiled++;
    accepted += AllEngines(std::move(program)).check(some_of(pool, chance));
  }
  expect(compiled > EXPRESSIONS / 2, "libpcap takes most of the expressions");
  expect(accepted > 1000, "the expressions accept some frames");
}

const Tests TESTS{
    {"filter: every engine decides as libpcap, programs by chance", programs},
    {"filter: every engine decides as libpcap, expressions by chance", expressions},
};

}  // namespace
}  // namespace carom::test
