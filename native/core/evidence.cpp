#include "core/evidence.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace carom {
namespace {

// The CPU time and the wall's are kept by two clocks of the kernel, whose rates may differ by up to 2^-14
// (61 ppm) until time has been disciplined: by that much of what passed between two questions no thread was
// stopped.
constexpr int CLOCKS_DIFFER = 14;
constexpr uint64_t ASKING_NS = 5000;  // takes no longer, unless it is stopped itself

uint64_t read_clock(clockid_t clock) noexcept {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

ThreadEvidence::~ThreadEvidence() {
  if (schedstat_ >= 0) close(schedstat_);
}

uint64_t ThreadEvidence::monotonic_ns() noexcept { return read_clock(CLOCK_MONOTONIC); }

void ThreadEvidence::open(int cpu, std::shared_ptr<const InterruptionLogs> logs, const std::string& why_not) {
  open_other(gettid(), cpu, std::move(logs), why_not);
  renew();
}

void ThreadEvidence::open_other(int thread, int cpu, std::shared_ptr<const InterruptionLogs> logs,
                                const std::string& why_not) {
  cpu_ = cpu;
  logs_ = std::move(logs);
  why_not_ = why_not;
  if (schedstat_ >= 0) close(schedstat_);
  std::string path = "/proc/self/task/" + std::to_string(thread) + "/schedstat";
  schedstat_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);  // a kernel without SCHED_INFO has none
  open_ = true;
}

void ThreadEvidence::read_times() noexcept {
  cpu_ns_ = read_clock(CLOCK_THREAD_CPUTIME_ID);
  wall_ns_ = monotonic_ns();
  core_ = cpu_ >= 0 ? cpu_ : sched_getcpu();
}

void ThreadEvidence::renew() noexcept {
  usage_ = usage();
  read_times();
}

Evidence ThreadEvidence::ask(uint64_t length_ns) noexcept {
  uint64_t wall_before_ns = wall_ns_;
  uint64_t cpu_before_ns = cpu_ns_;
  int core_before = core_;
  uint64_t begin_ns = monotonic_ns();
  read_times();
  uint64_t wall_ns = wall_ns_ - wall_before_ns;
  uint64_t ran_ns = cpu_ns_ - cpu_before_ns + (wall_ns >> CLOCKS_DIFFER);
  if (wall_ns_ - begin_ns > ASKING_NS) length_ns += wall_ns_ - begin_ns;
  Evidence evidence;
  evidence.length_ns = length_ns;
  evidence.off_ns = std::min(length_ns, wall_ns > ran_ns ? wall_ns - ran_ns : 0);
  if (core_ == core_before) evidence.interruptions = interruptions(wall_ns_ - length_ns, wall_ns_);
  if (evidence.off_ns * 4 < length_ns) return evidence;
  Usage before = usage_;
  usage_ = usage();
  if (usage_.sleeps != before.sleeps)
    evidence.slept_ns = evidence.off_ns - std::min(evidence.off_ns, usage_.delay_ns - before.delay_ns);
  return evidence;
}

ThreadEvidence::Usage ThreadEvidence::usage() const noexcept {
  rusage now{};
  getrusage(RUSAGE_THREAD, &now);
  return {static_cast<uint64_t>(now.ru_nvcsw), run_delay_ns()};
}

// "RUN DELAY SLICES", Documentation/scheduler/sched-stats.rst of the Linux kernel.
uint64_t ThreadEvidence::run_delay_ns() const noexcept {
  char text[96];
  ssize_t length = schedstat_ < 0 ? -1 : pread(schedstat_, text, sizeof text - 1, 0);
  if (length <= 0) return 0;
  text[length] = '\0';
  char* end = text;
  strtoull(text, &end, 10);
  return strtoull(end, nullptr, 10);
}

Interruptions ThreadEvidence::interruptions(uint64_t start_ns, uint64_t end_ns) const noexcept {
  Interruptions found;
  const interruption_log* log = logs_ ? logs_->of(core_ >= 0 ? core_ : cpu_) : nullptr;
  if (log == nullptr) return found;
  found.known = true;
  uint64_t count = __atomic_load_n(&log->count, __ATOMIC_ACQUIRE);
  for (uint64_t back = 1; back <= std::min<uint64_t>(count, INTERRUPTION_LOG_SIZE); back++) {
    const interruption& entry = log->entries[(count - back) % INTERRUPTION_LOG_SIZE];
    if (entry.end_ns < start_ns) break;
    if (entry.start_ns >= end_ns) continue;
    found.count++;
    found.ns += std::min<uint64_t>(end_ns, entry.end_ns) - std::max<uint64_t>(start_ns, entry.start_ns);
    found.device = found.device || entry.is_device != 0;
  }
  return found;
}

}  // namespace carom
