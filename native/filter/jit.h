// The engine `jit`: x86-64 code for one frame after the other.
#pragma once

#include "filter/frame_layout.h"
#include "filter/graph.h"
#include "filter/machine_code.h"

namespace carom {

// For any number of frames; it leaves none to another engine. `listing` gets the code as text if `listed`.
MachineCode make_jit(const Graph& graph, const FrameLayout& layout, bool listed, std::string& listing);

}  // namespace carom
