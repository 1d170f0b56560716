#include "core/thread.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/syscall.h>
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

bool drop_capabilities() noexcept { return keep_capabilities({}); }

bool keep_capabilities(std::initializer_list<int> kept) noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct had[2]{};
  if (syscall(SYS_capget, &header, had) != 0) return false;
  uint32_t wanted[2]{};
  for (int capability : kept) wanted[CAP_TO_INDEX(capability)] |= CAP_TO_MASK(capability);
  __user_cap_data_struct left[2]{};
  for (int i = 0; i < 2; i++) left[i].effective = left[i].permitted = had[i].permitted & wanted[i];
  return syscall(SYS_capset, &header, left) == 0;
}

}  // namespace carom
