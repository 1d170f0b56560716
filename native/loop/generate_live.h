// The generator where a program in the kernel sends: plans ahead of it, judges what comes back and was not
// settled there, and takes over what the programs have counted.
#pragma once

#include "loop/generator.h"

namespace carom {

void generate_live(GeneratorRole& role);

// How many frames are made before they are due, at the most, where the program does not make them itself; a
// power of two.
uint32_t frames_ahead(const GeneratorConfig& config) noexcept;

}  // namespace carom
