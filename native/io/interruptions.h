// Lets the kernel note the interrupts of each core while somebody wants to know of them
// (bpf/interruptions.bpf.c).
#pragma once

#include <memory>
#include <string>

#include "core/evidence.h"

namespace carom {

// The logs of all cores. Whoever asks while they are kept gets the same ones; they end with the last who
// holds them. Null, with the reason, where the kernel or the thread's capabilities do not allow it.
std::shared_ptr<const InterruptionLogs> interruption_logs(std::string& why_not);

// The calling thread begins to gather evidence of what stops it, as far as the system gives any; or another
// thread, of which less can be known, has it gathered. `cpu` is the core to which it is pinned, or -1.
void gather_evidence(ThreadEvidence& evidence, int cpu, int other_thread = 0);

}  // namespace carom
