// DPDK's BPF JIT, with which the packet filter is compared: on its own packet buffers, over the same bytes.
#pragma once

#include <cstdint>
#include <memory>

#include "filter/frame_layout.h"

struct bpf_program;

class DpdkFrames {
 public:
  virtual ~DpdkFrames() = default;
};

class DpdkFilter {
 public:
  virtual ~DpdkFilter() = default;
  // Decides the first `count` of the frames.
  virtual void match(uint32_t count, uint64_t* verdicts) const = 0;
};

// Null where DPDK was not compiled in, or does not start.
std::unique_ptr<DpdkFrames> make_dpdk_frames(const carom::FilterFrame* frames, uint32_t count);

// Null for a program that DPDK does not take. The frames and the program must live as long.
std::unique_ptr<DpdkFilter> make_dpdk_filter(const DpdkFrames& frames, const bpf_program& program);
