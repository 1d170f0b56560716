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

std::vector<bpf_insn> socket_code(const Filter& filter) {
  std::vector<bpf_insn> program;
  for (const Instruction& from : filter.program().instructions()) {
    bool narrow = from.code != CODE_IN_SET && from.yes <= UINT8_MAX && from.no <= UINT8_MAX;
    if (!narrow || program.size() == KERNEL_MAX) return {};
    program.push_back({from.code, static_cast<uint8_t>(from.yes), static_cast<uint8_t>(from.no), from.k});
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
