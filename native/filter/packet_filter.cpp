#include "filter/packet_filter.h"

#include <sys/types.h>
// Needs the types above.
#include <pcap/pcap.h>

#include "core/error.h"

namespace carom {
namespace {

constexpr int LONGEST = 65535;  // bytes of a frame

}  // namespace

void PacketFilter::Free::operator()(bpf_program* program) const noexcept {
  pcap_freecode(program);
  delete program;
}

PacketFilter::PacketFilter(const std::string& expression) {
  if (expression.empty()) return;
  std::unique_ptr<pcap_t, decltype(&pcap_close)> handle(pcap_open_dead(DLT_EN10MB, LONGEST), pcap_close);
  if (!handle) throw Error(ErrorCode::internal, "compile a filter", "libpcap has no memory for it");
  program_.reset(new bpf_program{});
  if (pcap_compile(handle.get(), program_.get(), expression.c_str(), 1, PCAP_NETMASK_UNKNOWN) != 0) {
    throw Error(ErrorCode::usage, "filter \"" + expression + "\"", pcap_geterr(handle.get()),
                "pcap-filter(7) describes the language: for example \"src host 198.18.0.1 and udp\"");
  }
}

std::span<const bpf_insn> PacketFilter::instructions() const noexcept {
  if (!program_) return {};
  return {program_->bf_insns, program_->bf_len};
}

bool PacketFilter::run(const uint8_t* frame, uint32_t captured, uint32_t length) const noexcept {
  return bpf_filter(program_->bf_insns, frame, length, captured) != 0;
}

}  // namespace carom
