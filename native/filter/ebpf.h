// A filter as eBPF, for an XDP program to run before a frame leaves the driver. Instruction by instruction as
// the reference interprets it (interpret.h): the kernel's verifier has to follow it, and no more is needed
// where a frame costs what a driver costs. Source: Documentation/bpf/standardization/instruction-set.rst of
// the Linux kernel.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "filter/program.h"

namespace carom {

// struct bpf_insn of <linux/bpf.h>, whose name libpcap has for its own.
struct EbpfInstruction {
  uint8_t code;
  uint8_t registers;  // the target in the low four bits, the source in the high ones
  int16_t offset;
  int32_t immediate;
};

// What is done with a frame once it is decided. Both are given the context in r6 and end with an exit.
struct EbpfEnds {
  std::span<const EbpfInstruction> accept;
  std::span<const EbpfInstruction> reject;
};

// Two instructions: a register becomes the address of a map, which the verifier knows as such.
std::vector<EbpfInstruction> load_map(uint8_t target, int map);

// The sets of a program as the one value of an array map; empty without any.
std::vector<uint8_t> ebpf_tables(const Program& program);

// `tables`: the descriptor of that map. Nothing when a jump is wider than eBPF has them. A frame's bytes
// beyond 65,520 are not seen: no driver has such frames.
std::optional<std::vector<EbpfInstruction>> make_ebpf(const Program& program, int tables,
                                                      const EbpfEnds& ends);

}  // namespace carom
