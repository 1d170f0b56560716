// The generator's loop where a program in the kernel sends and settles: plans ticks ahead of it, judges what
// it hands up, and takes over what it has counted.
#pragma once

#include "loop/generator.h"

namespace carom {

void generate_live(GeneratorRole& role);

}  // namespace carom
