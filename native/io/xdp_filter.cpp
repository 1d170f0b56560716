#include "io/xdp_filter.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>

#include <cerrno>
#include <optional>
#include <vector>

#include "bpf/stages.h"
#include "core/error.h"
#include "filter/ebpf.h"
#include "io/before_others.h"

namespace carom {
namespace {

using Code = std::vector<EbpfInstruction>;

const char* const OPERATION = "XDP: load the filter";

Fd make_stages() {
  Fd map(
      bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "stages", sizeof(uint32_t), sizeof(uint32_t), STAGES, nullptr));
  if (!map.open()) throw system_error(OPERATION, errno);
  return map;
}

void put(const Fd& map, uint32_t key, const void* value) {
  if (bpf_map_update_elem(map.get(), &key, value, BPF_ANY) != 0) throw system_error(OPERATION, errno);
}

// bpf_tail_call(context, stages, stage), and what follows should it fail, which it can't.
Code going_to(int stages, stage to) {
  Code code{{BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_1 | BPF_REG_6 << 4, 0, 0}};
  for (const EbpfInstruction& one : load_map(BPF_REG_2, stages)) code.push_back(one);
  code.push_back({BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, static_cast<int32_t>(to)});
  code.push_back({BPF_JMP | BPF_CALL, 0, 0, BPF_FUNC_tail_call});
  code.push_back({BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, XDP_ABORTED});
  code.push_back({BPF_JMP | BPF_EXIT, 0, 0, 0});
  return code;
}

}  // namespace

XdpFilter::XdpFilter(const Filter& filter) : stages_(make_stages()) {
  const std::vector<uint8_t> tables = ebpf_tables(filter.program());
  if (!tables.empty()) {
    uint32_t bytes = static_cast<uint32_t>(tables.size());
    tables_ = Fd(bpf_map_create(BPF_MAP_TYPE_ARRAY, "filter_sets", sizeof(uint32_t), bytes, 1, nullptr));
    if (!tables_.open()) {
      refused("its sets of symbols");
      return;
    }
    put(tables_, 0, tables.data());
  }
  const Code accept = going_to(stages_.get(), STAGE_WANTED);
  const Code reject = going_to(stages_.get(), STAGE_UNWANTED);
  std::optional<Code> code = make_ebpf(filter.program(), tables_.get(), {accept, reject});
  if (!code) {
    why_not_ = "it is longer than the kernel takes";
    return;
  }
  LIBBPF_OPTS(bpf_prog_load_opts, options, .attempts = LOAD_ATTEMPTS, .expected_attach_type = BPF_XDP);
  for (bool urgent : {false, true}) {  // as XdpProgram does, which says why
    const BeforeOthers hurry(urgent);
    program_ = Fd(bpf_prog_load(BPF_PROG_TYPE_XDP, "carom_filter", "GPL",
                                reinterpret_cast<const bpf_insn*>(code->data()), code->size(), &options));
    if (program_.open() || errno != EAGAIN) break;
  }
  if (!program_.open()) refused("its program");
}

// Without the right to load anything at all there is nothing to fall back to.
void XdpFilter::refused(const char* what) {
  if (errno == EPERM) throw system_error(OPERATION, errno);
  why_not_ = std::string("the kernel does not take ") + what + " (" + errno_text(errno) + ")";
}

void XdpFilter::connect(int wanted, int unwanted) {
  int filter = program_.get();
  put(stages_, STAGE_FILTER, &filter);
  put(stages_, STAGE_WANTED, &wanted);
  put(stages_, STAGE_UNWANTED, &unwanted);
}

}  // namespace carom
