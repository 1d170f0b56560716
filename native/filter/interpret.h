// The reference engine: classic BPF, one instruction after the other.
#pragma once

#include "filter/frame_layout.h"
#include "filter/program.h"

namespace carom {

bool interpret(const Program& program, const FilterFrame& frame) noexcept;

}  // namespace carom
