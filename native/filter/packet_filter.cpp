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

PacketFilter::PacketFilter(const std::string& expression) {
  if (expression.empty()) return;
  filter_ = std::make_unique<const Filter>(compile_filter(expression), Filter::Options{"jit"});
  if (filter_->never()) {
    throw Error(ErrorCode::usage, "filter " + quoted(expression), "no frame can ever match it",
                "see whether its parts exclude each other");
  }
}

std::vector<bpf_insn> PacketFilter::for_kernel() const {
  if (!filter_) return {};
  std::vector<bpf_insn> program;
  for (const Instruction& from : filter_->program().instructions()) {
    bool narrow = from.code != CODE_IN_SET && from.yes <= UINT8_MAX && from.no <= UINT8_MAX;
    if (!narrow || program.size() == KERNEL_MAX) return {};
    program.push_back({from.code, static_cast<uint8_t>(from.yes), static_cast<uint8_t>(from.no), from.k});
  }
  return program;
}

bool PacketFilter::run(const uint8_t* frame, uint32_t captured, uint32_t length) const noexcept {
  const FilterFrame one{frame, captured, length};
  uint64_t verdict = 0;
  filter_->match(&one, 1, &verdict);
  return verdict != 0;
}

}  // namespace carom
