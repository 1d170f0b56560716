// From a simplified graph back to classic BPF: shorter than what libpcap wrote, for whoever can't run a graph
// (a socket, the kernel's verifier, people), and for the reference.
#pragma once

#include "filter/program.h"

namespace carom {

// A program that decides alike; the same one where it can't be made shorter.
Program lower(Program program);

}  // namespace carom
