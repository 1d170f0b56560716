// The long proof of the packet filter: 10,000 programs and 8,000 expressions, each on 1,000 frames, on every
// engine; and on 50 of those in the kernel, as eBPF.
//   make -C native/test filter-proof [SEED=1]
#include "filter/language.h"
#include "test/ebpf_support.h"
#include "test/filter_support.h"

namespace carom::test {
namespace {

constexpr uint32_t FRAMES = 1000;
constexpr uint32_t IN_KERNEL = 50;  // of them, as eBPF
constexpr uint32_t POOL = 8 * FRAMES;
constexpr int PROGRAMS = 10'000;
constexpr int EXPRESSIONS = 4'000;
constexpr int FRAMES_USED = 2'000;  // programs for which a pool is good

struct Tally {
  uint64_t programs = 0;
  uint64_t mixed = 0;  // that accept some frames and reject others
  uint64_t accepted = 0;

  void add(uint32_t count) {
    programs++;
    mixed += count > 0 && count < FRAMES;
    accepted += count;
  }
  void print() const {
    printf("%llu programs on %u frames each, %llu of them with both verdicts, %llu frames accepted; ",
           static_cast<unsigned long long>(programs), FRAMES, static_cast<unsigned long long>(mixed),
           static_cast<unsigned long long>(accepted));
    expect(mixed > programs / 10, "enough programs give both verdicts");
  }
};

template <class Next>
void prove(Chance& chance, int count, Next next) {
  Tally tally;
  std::unique_ptr<FramePool> pool;
  while (tally.programs < static_cast<uint64_t>(count)) {
    if (tally.programs % FRAMES_USED == 0) pool = std::make_unique<FramePool>(chance, POOL);
    std::vector<bpf_insn> program = next();
    if (program.empty()) continue;
    std::span<const FilterFrame> frames = pool->frames().subspan(chance.below(POOL - FRAMES + 1), FRAMES);
    KernelFilter::check(Program::from_bpf(program.data(), static_cast<uint32_t>(program.size())),
                        frames.first(IN_KERNEL));
    tally.add(AllEngines(std::move(program)).check(frames));
  }
  tally.print();
}

void programs(Chance& chance) {
  prove(chance, PROGRAMS, [&] { return any_program(chance); });
}

void expressions(Chance& chance) {
  prove(chance, EXPRESSIONS, [&] { return compiled_by_pcap(any_expression(chance)); });
}

// The whole way from an expression, where libpcap compiles one that means the same.
void languages(Chance& chance) {
  Tally tally;
  std::unique_ptr<FramePool> pool;
  while (tally.programs < EXPRESSIONS) {
    if (tally.programs % FRAMES_USED == 0) pool = std::make_unique<FramePool>(chance, POOL);
    BothLanguages both = any_mixed_expression(chance);
    std::vector<bpf_insn> program = compiled_by_pcap(both.pcap, false);
    if (program.empty()) continue;
    const Program made = compile_filter(both.carom);
    std::span<const FilterFrame> frames = pool->frames().subspan(chance.below(POOL - FRAMES + 1), FRAMES);
    KernelFilter::check(made, frames.first(IN_KERNEL));
    tally.add(AllEngines(std::move(program), made).check(frames));
  }
  tally.print();
}

const Tests TESTS{
    {"filter proof: programs by chance", programs},
    {"filter proof: expressions by chance", expressions},
    {"filter proof: expressions with terms and changing headers", languages},
};

}  // namespace
}  // namespace carom::test
