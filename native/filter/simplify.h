// From a program to its graph: constants are folded, a field is loaded once, tests whose result is known and
// what can't be reached are dropped, and the checks that a frame is long enough are made once, as early as no
// verdict is changed by it.
#pragma once

#include "filter/graph.h"

namespace carom {

// The program must live as long as the graph.
Graph simplify(const Program& program, Scope scope);

}  // namespace carom
