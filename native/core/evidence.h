// What the operating system says of a thread that took long: whether it ran at all, and what interrupted it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/interruption_log.h"

namespace carom {

// The interrupts of all cores, while somebody has the kernel note them (io/interruptions.h).
class InterruptionLogs {
 public:
  virtual ~InterruptionLogs() = default;
  const interruption_log* of(int core) const noexcept {
    return core >= 0 && static_cast<uint32_t>(core) < count_ ? logs_ + core : nullptr;
  }

 protected:
  const interruption_log* logs_ = nullptr;
  uint32_t count_ = 0;
};

// Of a span of time.
struct Interruptions {
  bool known = false;   // whether interrupts would have been seen
  uint32_t count = 0;   // that began in it
  uint64_t ns = 0;      // in their handlers
  bool device = false;  // one of them was a device's
};

struct Evidence {
  uint64_t length_ns = 0;  // of the span; longer than what was asked for when the asking itself was stopped
  uint64_t off_ns = 0;     // the thread was not on a core
  uint64_t slept_ns = 0;   // of that, because it waited for something, and not for a core
  Interruptions interruptions;
};

// Belongs to one thread, which opens and asks it. A question takes about a µs, as it reads the thread's CPU
// time; what else there is to ask (getrusage(2), /proc/thread-self/schedstat) is asked only when the thread
// was off the CPU. Where the host tells the guest of stolen time, the kernel takes that off the CPU time,
// too.
class ThreadEvidence {
 public:
  ThreadEvidence() = default;
  ~ThreadEvidence();
  ThreadEvidence(const ThreadEvidence&) = delete;
  ThreadEvidence& operator=(const ThreadEvidence&) = delete;

  // `cpu`: the core to which the thread is pinned, or -1. `logs` is null where interrupts can't be seen, and
  // `why_not` says why.
  void open(int cpu, std::shared_ptr<const InterruptionLogs> logs, const std::string& why_not);

  // Another thread is asked of, whose number the kernel has given: only its run delay, and its core.
  void open_other(int thread, int cpu, std::shared_ptr<const InterruptionLogs> logs,
                  const std::string& why_not);

  bool is_open() const noexcept { return open_; }
  bool has_cpu_time() const noexcept { return open_ && wall_ns_ != 0; }
  bool has_run_delay() const noexcept { return schedstat_ >= 0; }
  bool has_interrupts() const noexcept { return logs_ != nullptr; }
  const std::string& why_no_interrupts() const noexcept { return why_not_; }

  // What was before this moment is nobody's.
  void renew() noexcept;

  // Of a span of so many ns, which ended just now. Whatever the thread was off the CPU since it was asked, or
  // renewed, last is taken to have been in it: a thread that spins is off the CPU only when it is stopped.
  Evidence ask(uint64_t length_ns) noexcept;

  // ns that the thread has waited for a core in its life; 0 when the kernel does not say.
  uint64_t run_delay_ns() const noexcept;

  // Of a span of CLOCK_MONOTONIC.
  Interruptions interruptions(uint64_t start_ns, uint64_t end_ns) const noexcept;

  static uint64_t monotonic_ns() noexcept;

 private:
  struct Usage {
    uint64_t sleeps = 0;
    uint64_t delay_ns = 0;
  };

  Usage usage() const noexcept;
  void read_times() noexcept;

  bool open_ = false;
  int cpu_ = -1;
  int core_ = -1;  // where the thread was when it was asked last
  int schedstat_ = -1;
  std::shared_ptr<const InterruptionLogs> logs_;
  std::string why_not_ = "nobody asked for them";
  uint64_t wall_ns_ = 0;
  uint64_t cpu_ns_ = 0;
  Usage usage_;
};

}  // namespace carom
