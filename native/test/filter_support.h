// What the proofs of the packet filter share: programs and expressions by chance, frames by chance, and every
// engine beside libpcap's interpreter.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <sys/types.h>
// Needs the types above.
#include <pcap/pcap.h>

#include "filter/filter.h"
#include "test/guarded_memory.h"
#include "test/test.h"

namespace carom::test {

// Frames that end where memory ends, of 0 to 9,000 bytes: Ethernet with IPv4, IPv6, VLAN, TCP, UDP, options
// and fragments, whole, cut off and damaged, and noise.
class FramePool {
 public:
  FramePool(Chance& chance, uint32_t count);
  std::span<const FilterFrame> frames() const { return frames_; }

 private:
  GuardedMemory memory_;
  std::vector<FilterFrame> frames_;
};

// A valid program from the grammar of classic BPF: every instruction, jumps forward only.
std::vector<bpf_insn> any_program(Chance& chance);

// An expression of libpcap's language: tests of headers, joined.
std::string any_expression(Chance& chance);

// libpcap's output for an expression; empty for one that it does not take.
std::vector<bpf_insn> compiled_by_pcap(const std::string& expression);

// One program on every engine that this processor has.
class AllEngines {
 public:
  explicit AllEngines(std::vector<bpf_insn> program);

  // Fails when a verdict is another than libpcap's. Returns how many frames were accepted.
  uint32_t check(std::span<const FilterFrame> frames) const;

 private:
  [[noreturn]] void report(const Filter& filter, const FilterFrame& frame, bool accepted) const;

  std::vector<bpf_insn> program_;
  std::vector<std::unique_ptr<Filter>> filters_;
};

}  // namespace carom::test
