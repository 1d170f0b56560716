// Which frames, one by one: for whoever has no batch of them. Filter decides batches.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "filter/filter.h"

struct bpf_insn;

namespace carom {

// Throws Error (usage) for what is wrong in an expression, and for one that can never match.
std::unique_ptr<const Filter> open_filter(const std::string& expression, const Filter::Options& options);

// A filter as classic BPF, for a socket; empty when it is more than the kernel takes.
std::vector<bpf_insn> socket_code(const Filter& filter);

class PacketFilter {
 public:
  // An expression of libpcap's language ("src host 198.18.0.1 and udp"); "" takes every frame. Throws Error
  // (usage) with what libpcap says of it, and for one that can never match.
  explicit PacketFilter(const std::string& expression);

  // `captured` bytes at `frame` of the `length` that it had.
  bool matches(const uint8_t* frame, uint32_t captured, uint32_t length) const noexcept {
    return !filter_ || run(frame, captured, length);
  }

  // What there is of it without an expression: null.
  const Filter* filter() const noexcept { return filter_.get(); }

 private:
  bool run(const uint8_t* frame, uint32_t captured, uint32_t length) const noexcept;

  std::unique_ptr<const Filter> filter_;
};

}  // namespace carom
