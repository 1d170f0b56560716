#include "test/ebpf_support.h"

#include <linux/bpf.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "filter/interpret.h"
#include "test/test.h"

namespace carom::test {
namespace {

constexpr uint32_t SHORTEST = 14;   // bytes: an Ethernet header
constexpr uint32_t LONGEST = 3000;  // of what the kernel puts on one page, less its own
constexpr size_t LOG_BYTES = 1 << 20;

int bpf(int command, bpf_attr& attributes) {
  return static_cast<int>(syscall(SYS_bpf, command, &attributes, sizeof attributes));
}

std::vector<EbpfInstruction> returning(int32_t verdict) {
  return {{BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, verdict}, {BPF_JMP | BPF_EXIT, 0, 0, 0}};
}

int make_tables(const std::vector<uint8_t>& tables) {
  bpf_attr attributes{};
  attributes.map_type = BPF_MAP_TYPE_ARRAY;
  attributes.key_size = sizeof(uint32_t);
  attributes.value_size = static_cast<uint32_t>(tables.size());
  attributes.max_entries = 1;
  int map = bpf(BPF_MAP_CREATE, attributes);
  expect(map >= 0, (std::string("make a map: ") + strerror(errno)).c_str());
  uint32_t zero = 0;
  attributes = {};
  attributes.map_fd = static_cast<uint32_t>(map);
  attributes.key = reinterpret_cast<uint64_t>(&zero);
  attributes.value = reinterpret_cast<uint64_t>(tables.data());
  expect(bpf(BPF_MAP_UPDATE_ELEM, attributes) == 0, "fill a map");
  return map;
}

}  // namespace

KernelFilter::KernelFilter(const Program& program) {
  std::vector<uint8_t> tables = ebpf_tables(program);
  if (!tables.empty()) tables_ = make_tables(tables);
  auto code = make_ebpf(program, tables_, {returning(XDP_PASS), returning(XDP_DROP)});
  expect(code.has_value(), ("it can be written in eBPF:\n" + program.listing()).c_str());
  std::string log(LOG_BYTES, '\0');
  bpf_attr attributes{};
  attributes.prog_type = BPF_PROG_TYPE_XDP;
  attributes.insns = reinterpret_cast<uint64_t>(code->data());
  attributes.insn_cnt = static_cast<uint32_t>(code->size());
  attributes.license = reinterpret_cast<uint64_t>("GPL");
  program_ = bpf(BPF_PROG_LOAD, attributes);
  if (program_ < 0) {  // once more, for the verifier to say why
    attributes.log_level = 1;
    attributes.log_buf = reinterpret_cast<uint64_t>(log.data());
    attributes.log_size = static_cast<uint32_t>(log.size());
    program_ = bpf(BPF_PROG_LOAD, attributes);
  }
  // The verifier follows a million instructions at the most: places that depend on geneve are many ways.
  is_too_much_ = program_ < 0 && errno == E2BIG;
  expect(program_ >= 0 || is_too_much_, (std::string("the kernel takes it: ") + strerror(errno) + "\n" +
                                         program.listing() + log.substr(0, log.find('\0')))
                                            .c_str());
}

KernelFilter::~KernelFilter() {
  if (program_ >= 0) close(program_);
  if (tables_ >= 0) close(tables_);
}

bool KernelFilter::can_run(const FilterFrame& frame) noexcept {
  return frame.captured >= SHORTEST && frame.captured <= LONGEST && frame.captured == frame.length;
}

bool KernelFilter::accepts(const FilterFrame& frame) const {
  bpf_attr attributes{};
  attributes.test.prog_fd = static_cast<uint32_t>(program_);
  attributes.test.data_in = reinterpret_cast<uint64_t>(frame.data);
  attributes.test.data_size_in = frame.captured;
  attributes.test.repeat = 1;
  expect(bpf(BPF_PROG_TEST_RUN, attributes) == 0,
         (std::string("run the program: ") + strerror(errno)).c_str());
  return attributes.test.retval == XDP_PASS;
}

uint32_t KernelFilter::check(const Program& program, std::span<const FilterFrame> frames) {
  const KernelFilter kernel(program);
  if (kernel.is_too_much_) return 0;
  uint32_t accepted = 0;
  for (const FilterFrame& frame : frames) {
    if (!can_run(frame)) continue;
    bool is_wanted = interpret(program, frame);
    expect(kernel.accepts(frame) == is_wanted,
           ("the kernel decides as the reference\n" + program.listing()).c_str());
    accepted += is_wanted;
  }
  return accepted;
}

}  // namespace carom::test
