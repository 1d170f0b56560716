#include "filter/packet_filter.h"

#include <sys/types.h>
// Needs the types above.
#include <pcap/pcap.h>

#include "core/error.h"
#include "filter/expression.h"
#include "filter/language.h"

namespace carom {
namespace {

constexpr size_t KERNEL_MAX = 4000;  // instructions: the kernel takes 4,096, and the tap adds its own

}  // namespace

std::unique_ptr<const Filter> open_filter(const std::string& expression, const Filter::Options& options) {
  auto filter = std::make_unique<const Filter>(compile_filter(expression), options);
  if (filter->never()) {
    throw Error(ErrorCode::usage, "filter " + quoted(expression), "no frame can ever match it",
                "see whether its parts exclude each other");
  }
  return filter;
}

// The kernel's jumps have eight bits, but for BPF_JA: where one is wider, a BPF_JA behind it takes its place.
// That moves others apart, so it goes on until all fit.
std::vector<bpf_insn> socket_code(const Filter& filter) {
  std::span<const Instruction> all = filter.program().instructions();
  std::vector<uint8_t> wide_yes(all.size());
  std::vector<uint8_t> wide_no(all.size());
  std::vector<uint32_t> starts(all.size() + 1);
  auto is_branch = [](const Instruction& one) {
    return BPF_CLASS(one.code) == BPF_JMP && one.code != (BPF_JMP | BPF_JA);
  };
  for (bool fits = false; !fits;) {
    fits = true;
    for (size_t at = 0; at < all.size(); at++) starts[at + 1] = starts[at] + 1 + wide_yes[at] + wide_no[at];
    if (starts.back() > KERNEL_MAX) return {};
    for (size_t at = 0; at < all.size(); at++) {
      if (all[at].code == CODE_IN_SET) return {};
      if (!is_branch(all[at])) continue;
      for (bool is_no : {false, true}) {
        uint8_t& is_wide = is_no ? wide_no[at] : wide_yes[at];
        uint32_t skip = starts[at + 1 + (is_no ? all[at].no : all[at].yes)] - starts[at] - 1;
        if (is_wide != 0 || skip <= UINT8_MAX) continue;
        is_wide = 1;
        fits = false;
      }
    }
  }
  std::vector<bpf_insn> program;
  for (size_t at = 0; at < all.size(); at++) {
    const Instruction& from = all[at];
    auto skip = [&](uint32_t to) { return starts[at + 1 + to] - static_cast<uint32_t>(program.size()) - 1; };
    if (from.code == (BPF_JMP | BPF_JA)) {
      program.push_back({from.code, 0, 0, skip(from.k)});
      continue;
    }
    if (!is_branch(from)) {
      program.push_back({from.code, 0, 0, from.k});
      continue;
    }
    uint32_t yes = wide_yes[at] != 0 ? 0 : skip(from.yes);
    uint32_t no = wide_no[at] != 0 ? wide_yes[at] : skip(from.no);
    program.push_back({from.code, static_cast<uint8_t>(yes), static_cast<uint8_t>(no), from.k});
    if (wide_yes[at] != 0) program.push_back({BPF_JMP | BPF_JA, 0, 0, skip(from.yes)});
    if (wide_no[at] != 0) program.push_back({BPF_JMP | BPF_JA, 0, 0, skip(from.no)});
  }
  return program;
}

PacketFilter::PacketFilter(const std::string& expression) {
  if (!expression.empty()) filter_ = open_filter(expression, {"jit"});
}

bool PacketFilter::run(const uint8_t* frame, uint32_t captured, uint32_t length) const noexcept {
  const FilterFrame one{frame, captured, length};
  uint64_t verdict = 0;
  filter_->match(&one, 1, &verdict);
  return verdict != 0;
}

}  // namespace carom
