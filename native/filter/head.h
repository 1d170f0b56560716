// The fastest form of the engine `simd`: what fields in the first 64 bytes decide, for sixteen frames at
// once. It reads each frame once, whole, instead of gathering one field after the other.
#pragma once

#include "filter/frame_layout.h"
#include "filter/graph.h"
#include "filter/machine_code.h"

namespace carom {

// Whether a graph of Scope::head decides anything by itself, from no more fields than there is room for.
bool fits_head(const Graph& graph);

// For a number of frames that is a multiple of sixteen; the frames that go to PUNT are left to another
// engine. Needs AVX-512 F, BW, VBMI.
MachineCode make_head(const Graph& graph, const FrameLayout& layout, bool listed, std::string& listing);

}  // namespace carom
