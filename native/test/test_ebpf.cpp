// Filters as eBPF: the kernel's verdicts are those of the reference.
#include "filter/language.h"
#include "strategy/runner.h"
#include "test/ebpf_support.h"
#include "test/filter_support.h"
#include "test/loop_support.h"

namespace carom::test {
namespace {

constexpr uint32_t FRAMES = 400;
constexpr uint32_t EACH = 40;  // frames a program
constexpr int PROGRAMS = 400;

template <class Next>
void compare_many(Chance& chance, Next next) {
  const FramePool pool(chance, FRAMES);
  uint64_t mixed = 0;
  for (int i = 0; i < PROGRAMS; i++) {
    std::optional<Program> program = next();
    if (!program) continue;
    uint32_t accepted =
        KernelFilter::check(*program, pool.frames().subspan(chance.below(FRAMES - EACH), EACH));
    mixed += accepted > 0;
  }
  expect(mixed > PROGRAMS / 20, "enough programs accept a frame");
}

std::optional<Program> program_of(const std::vector<bpf_insn>& from) {
  if (from.empty()) return std::nullopt;
  return Program::from_bpf(from.data(), static_cast<uint32_t>(from.size()));
}

void programs(Chance& chance) {
  compare_many(chance, [&] { return program_of(any_program(chance)); });
}

void expressions(Chance& chance) {
  compare_many(chance, [&] { return program_of(compiled_by_pcap(any_expression(chance))); });
}

// A frame with one tick, over either family.
std::vector<uint8_t> tick_frame(Chance& chance, const std::string& symbol, uint32_t price) {
  std::vector<uint8_t> frame(MAX_FRAME);
  uint8_t payload[MARKET_DATA_SIZE];
  Tick tick{{symbol_word(symbol), price, 100 + chance.below(900), 1}};
  tick.write(payload);
  FrameFields fields = fields_between(chance.one_in(2), chance.one_in(2), chance.one_in(3) ? 7 : -1);
  fields.payload = payload;
  fields.payload_length = sizeof payload;
  frame.resize(build(fields, frame.data()));
  return frame;
}

// Sets of one symbol and of tens of thousands: what is in them is found, what is not is not.
void terms(Chance& chance) {
  std::string many = "symbol in (S0";
  for (int i = 1; i < 30'000; i++) many += ", S" + std::to_string(i);
  for (const std::string& expression :
       {std::string("symbol S7"), std::string("symbol in (S1, S7, S29999) and price < 100.00"), many + ")",
        "udp and not (" + many + ") or quantity >= 500)", std::string("vlan and symbol != S7")}) {
    const Program program = compile_filter(expression);
    uint32_t accepted = 0;
    for (const char* symbol : {"S0", "S1", "S7", "S29999", "S30000", "T1", "S"}) {
      for (int i = 0; i < 20; i++) {
        std::vector<uint8_t> frame = tick_frame(chance, symbol, 9'990 + chance.below(20));
        uint32_t length = static_cast<uint32_t>(frame.size());
        const FilterFrame one{frame.data(), length, length};
        accepted += KernelFilter::check(program, {&one, 1});
      }
    }
    expect(accepted > 0 && accepted < 140, ("both verdicts: " + expression.substr(0, 40)).c_str());
  }
}

// Jumps of eBPF have 16 bits. What does not fit is told, and not made wrong.
void too_long(Chance&) {
  std::vector<Instruction> program{{BPF_LD | BPF_B | BPF_ABS, 0, 0, 0}, {BPF_JMP | BPF_JEQ, 30'000, 0, 1}};
  for (int i = 0; i < 30'000; i++) program.push_back({BPF_ALU | BPF_ADD, 0, 0, 1});
  program.push_back({BPF_RET | BPF_A, 0, 0, 0});
  expect(make_ebpf(Program(program), -1, {}).has_value(), "30,000 instructions fit");
  program.insert(program.end() - 1, 5'000, {BPF_ALU | BPF_ADD, 0, 0, 1});
  program[1].yes = 35'000;
  expect(!make_ebpf(Program(program), -1, {}).has_value(), "35,000 do not");
}

const Tests TESTS{
    {"ebpf: programs by chance", programs},
    {"ebpf: expressions by chance", expressions},
    {"ebpf: terms about market data", terms},
    {"ebpf: jumps that are too wide", too_long},
};

}  // namespace
}  // namespace carom::test
