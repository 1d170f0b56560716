#include "io/interruptions.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <sys/mman.h>

#include <array>
#include <cerrno>
#include <mutex>
#include <vector>

#include "core/error.h"
#include "interruptions.bpf.h"
#include "io/socket.h"

namespace carom {
namespace {

// Not every kernel has all of them. Tracepoints irq_vectors:NAME_entry and _exit of arch/x86.
constexpr std::array VECTORS{"local_timer", "reschedule",       "call_function", "call_function_single",
                             "irq_work",    "x86_platform_ipi", "error_apic",    "thermal_apic"};

struct CloseObject {
  void operator()(bpf_object* object) const noexcept { bpf_object__close(object); }
};

struct Unmap {
  size_t size = 0;
  void operator()(const interruption_log* logs) const noexcept {
    munmap(const_cast<interruption_log*>(logs), size);
  }
};

class Kept : public InterruptionLogs {
 public:
  Kept() {
    libbpf_set_print(nullptr);  // what is refused is told as the reason
    object_.reset(bpf_object__open_mem(interruptions_object, sizeof interruptions_object, nullptr));
    if (!object_) throw system_error(OPERATION, errno);
    int cores = libbpf_num_possible_cpus();
    if (cores < 0) throw system_error(OPERATION, -cores);
    bpf_map* map = bpf_object__find_map_by_name(object_.get(), "cores");
    bpf_map__set_max_entries(map, static_cast<uint32_t>(cores));
    if (int error = bpf_object__load(object_.get()); error != 0) throw system_error(OPERATION, -error);
    count_ = static_cast<uint32_t>(cores);
    size_t size = count_ * sizeof(interruption_log);
    void* memory = mmap(nullptr, size, PROT_READ, MAP_SHARED, bpf_map__fd(map), 0);
    if (memory == MAP_FAILED) throw system_error(OPERATION, errno);
    logs_ = static_cast<const interruption_log*>(memory);
    mapped_ = {logs_, Unmap{size}};
    for (const char* vector : VECTORS) {
      attach(std::string(vector) + "_entry", "vector_entry");
      attach(std::string(vector) + "_exit", "handled");
    }
    attach("irq_handler_entry", "device_entry");
    attach("irq_handler_exit", "handled");
    if (!has_timer_) throw system_error(OPERATION, ENOENT);
  }

 private:
  static constexpr const char* OPERATION = "watch the interrupts of each core";

  void attach(const std::string& tracepoint, const char* program) {
    int fd = bpf_program__fd(bpf_object__find_program_by_name(object_.get(), program));
    int attached = bpf_raw_tracepoint_open(tracepoint.c_str(), fd);
    if (attached >= 0) {
      attached_.emplace_back(attached);
      has_timer_ = has_timer_ || tracepoint == "local_timer_entry";
    } else if (attached != -ENOENT) {
      throw system_error(OPERATION, -attached);
    }
  }

  std::unique_ptr<bpf_object, CloseObject> object_;
  std::unique_ptr<const interruption_log, Unmap> mapped_;
  std::vector<Fd> attached_;
  bool has_timer_ = false;
};

}  // namespace

std::shared_ptr<const InterruptionLogs> interruption_logs(std::string& why_not) {
  static std::mutex mutex;
  static std::weak_ptr<const InterruptionLogs> shared;
  std::lock_guard lock(mutex);
  std::shared_ptr<const InterruptionLogs> logs = shared.lock();
  if (logs) return logs;
  try {
    logs = std::make_shared<const Kept>();
    shared = logs;
  } catch (const Error& error) {
    why_not = error.detail;
  }
  return logs;
}

void gather_evidence(ThreadEvidence& evidence, int cpu, int other_thread) {
  std::string why_not;
  std::shared_ptr<const InterruptionLogs> logs = interruption_logs(why_not);
  if (other_thread != 0) {
    evidence.open_other(other_thread, cpu, std::move(logs), why_not);
  } else {
    evidence.open(cpu, std::move(logs), why_not);
  }
}

}  // namespace carom
