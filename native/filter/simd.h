// The engine `simd` for any program: fields are gathered from eight frames (AVX2) or sixteen (AVX-512) at
// once.
#pragma once

#include "filter/frame_layout.h"
#include "filter/graph.h"
#include "filter/machine_code.h"

namespace carom {

constexpr uint32_t LANES_AVX2 = 8;
constexpr uint32_t LANES_AVX512 = 16;

// For a number of frames that is a multiple of the lanes. Frames of less than four bytes, which a gather
// can't read, are left to another engine.
MachineCode make_simd(const Graph& graph, const FrameLayout& layout, uint32_t lanes, bool listed,
                      std::string& listing);

}  // namespace carom
