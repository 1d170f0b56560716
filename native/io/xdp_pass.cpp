#include "io/xdp_pass.h"

#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/if_link.h>

#include "core/error.h"
#include "io/xdp_holder.h"

namespace carom {

Fd attach_xdp_pass(const Link& link) {
  int interface = interface_index("XDP", link);
  const bpf_insn code[] = {
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, XDP_PASS},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
  };
  Fd program(bpf_prog_load(BPF_PROG_TYPE_XDP, "pass", "GPL", code, sizeof code / sizeof *code, nullptr));
  if (!program.open())
    throw system_error(operation_text("XDP", link, "load a program that lets all pass"), errno);
  LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
  Fd attached(bpf_link_create(program.get(), interface, BPF_XDP, &options));
  if (!attached.open()) {
    const std::string attempt = operation_text("XDP", link, "attach a program that lets all pass");
    if (errno == EBUSY || errno == EEXIST) throw xdp_held_error(attempt, errno, link, interface);
    throw system_error(attempt, errno);
  }
  return attached;
}

}  // namespace carom
