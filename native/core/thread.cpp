#include "core/thread.h"

#include <fcntl.h>
#include <sched.h>
#include <unistd.h>

#include "core/error.h"

namespace carom {

void enter_network_namespace(const std::string& path) {
  const std::string operation = "enter the network namespace " + path;
  int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw system_error(operation, errno);
  int result = setns(fd, CLONE_NEWNET);
  int number = errno;
  close(fd);
  if (result != 0) throw system_error(operation, number);
}

void pin_to_cpu(int cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<size_t>(cpu), &set);
  if (sched_setaffinity(0, sizeof set, &set) != 0) {
    throw Error(ErrorCode::usage, "pin a thread to core " + std::to_string(cpu), errno_text(errno),
                "nproc and taskset -p $$ show which cores there are");
  }
}

// By what the main thread may use: the calling one may be pinned, or have been made by one that is.
void leave_cpu(int cpu) noexcept {
  cpu_set_t allowed;
  if (sched_getaffinity(getpid(), sizeof allowed, &allowed) != 0) return;
  if (cpu >= 0 && CPU_COUNT(&allowed) > 1) CPU_CLR(static_cast<size_t>(cpu), &allowed);
  sched_setaffinity(0, sizeof allowed, &allowed);
}

}  // namespace carom
