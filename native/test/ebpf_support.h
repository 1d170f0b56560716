// Filters as eBPF, run by the kernel on frames from memory (BPF_PROG_TEST_RUN): no interface is needed.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "filter/ebpf.h"
#include "filter/frame_layout.h"

namespace carom::test {

// A filter's program, loaded.
class KernelFilter {
 public:
  explicit KernelFilter(const Program& program);
  ~KernelFilter();
  KernelFilter(const KernelFilter&) = delete;
  KernelFilter& operator=(const KernelFilter&) = delete;

  // Whether the kernel's test run takes such a frame at all.
  static bool can_run(const FilterFrame& frame) noexcept;
  bool accepts(const FilterFrame& frame) const;

  // How many of some frames are accepted, all of them as by the reference; those that can't be run are left
  // out, as is a program that the verifier gives up on (the filter then runs in carom's own thread).
  static uint32_t check(const Program& program, std::span<const FilterFrame> frames);

 private:
  int tables_ = -1;
  int program_ = -1;
  bool is_too_much_ = false;  // for the kernel's verifier
};

}  // namespace carom::test
