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

// Frames that end where memory ends, of 0 to 9,000 bytes: Ethernet with IPv4, IPv6, TCP, UDP, options and
// fragments, under tags, labels and in tunnels, whole, cut off and damaged, and noise.
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

// An expression of carom's language, with terms about market data and with words that change where headers
// are, and what means the same in libpcap's alone.
struct BothLanguages {
  std::string carom;
  std::string pcap;
};
BothLanguages any_mixed_expression(Chance& chance);

// libpcap's output for an expression; empty for one that it does not take. Its optimizer drops loads whose
// value makes no difference, and so accepts frames that are too short for them.
std::vector<bpf_insn> compiled_by_pcap(const std::string& expression, bool optimized = true);

// One program on every engine that this processor has.
class AllEngines {
 public:
  explicit AllEngines(std::vector<bpf_insn> program);
  // libpcap runs one, the engines what carom made of the same expression.
  AllEngines(std::vector<bpf_insn> program, const Program& made);

  // Fails when a verdict is another than libpcap's. Returns how many frames were accepted.
  uint32_t check(std::span<const FilterFrame> frames) const;

 private:
  [[noreturn]] void report(const Filter& filter, const FilterFrame& frame, bool accepted) const;

  std::vector<bpf_insn> program_;
  std::vector<std::unique_ptr<Filter>> filters_;
};

}  // namespace carom::test
