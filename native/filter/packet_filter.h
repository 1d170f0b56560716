// Which frames, by an expression of libpcap's language ("src host 198.18.0.1 and udp"), compiled to classic
// BPF (pcap-filter(7)).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

struct bpf_insn;
struct bpf_program;

namespace carom {

class PacketFilter {
 public:
  // "" takes every frame. Throws Error (usage) with what libpcap says of the expression.
  explicit PacketFilter(const std::string& expression);

  // `captured` bytes at `frame` of the `length` that it had.
  bool matches(const uint8_t* frame, uint32_t captured, uint32_t length) const noexcept {
    return !program_ || run(frame, captured, length);
  }

  // The program, for a kernel to run; empty when it takes every frame.
  std::span<const bpf_insn> instructions() const noexcept;

 private:
  struct Free {
    void operator()(bpf_program*) const noexcept;
  };

  bool run(const uint8_t* frame, uint32_t captured, uint32_t length) const noexcept;

  std::unique_ptr<bpf_program, Free> program_;
};

}  // namespace carom
