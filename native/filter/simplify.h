// From a program to its graph: constants are folded, a field is loaded once, tests whose result is known and
// what can't be reached are dropped, and the checks that a frame is long enough are made once, as early as no
// verdict is changed by it.
#pragma once

#include "filter/graph.h"

namespace carom {

// Where a frame's length is checked: once, as early as no verdict changes, or where something is loaded.
enum class Checks : uint8_t { early, late };

// The program must live as long as the graph.
Graph simplify(const Program& program, Scope scope, Checks checks = Checks::early);

}  // namespace carom
