// Which frames, one by one: for whoever has no batch of them. Filter decides batches.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "filter/filter.h"

struct bpf_insn;

namespace carom {

class PacketFilter {
 public:
  // An expression of libpcap's language ("src host 198.18.0.1 and udp"); "" takes every frame. Throws Error
  // (usage) with what libpcap says of it, and for one that can never match.
  explicit PacketFilter(const std::string& expression);

  // `captured` bytes at `frame` of the `length` that it had.
  bool matches(const uint8_t* frame, uint32_t captured, uint32_t length) const noexcept {
    return !filter_ || run(frame, captured, length);
  }

  // The program, for a kernel to run; empty when it takes every frame, or is more than a kernel takes.
  std::vector<bpf_insn> for_kernel() const;

 private:
  bool run(const uint8_t* frame, uint32_t captured, uint32_t length) const noexcept;

  std::unique_ptr<const Filter> filter_;
};

}  // namespace carom
