#include "core/privileges.h"

#include <dirent.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <fstream>
#include <future>
#include <map>
#include <memory>
#include <mutex>

#include "core/error.h"

namespace carom {
namespace {

constexpr int CAPABILITIES = 64;  // as many as a mask has bits; Linux 6 has 41
constexpr const char* HINT =
    "a seccomp filter may forbid capset(2) or prctl(2): run carom where it may drop its privileges";

Error refused(const std::string& detail) {
  return Error(ErrorCode::environment, "drop the capabilities of what measures", detail, HINT);
}

// The masks that threads kept, by the kernel's number of the thread: what confine_process() leaves alone.
class KeptMasks {
 public:
  static KeptMasks& get() {
    static auto* masks = new KeptMasks;  // never destroyed: threads may end after it would be
    return *masks;
  }
  void set(int thread_id, uint64_t mask) {
    std::lock_guard lock(mutex_);
    masks_[thread_id] = mask;
  }
  void erase(int thread_id) {
    std::lock_guard lock(mutex_);
    masks_.erase(thread_id);
  }
  std::map<int, uint64_t> all() {
    std::lock_guard lock(mutex_);
    return masks_;
  }

 private:
  std::mutex mutex_;
  std::map<int, uint64_t> masks_;
};

// Forgets the mask of a thread that ends, whose number another one may get.
struct KeptMask {
  ~KeptMask() { KeptMasks::get().erase(gettid()); }
};

uint64_t mask_of(std::initializer_list<int> capabilities) {
  uint64_t mask = 0;
  for (int capability : capabilities) mask |= uint64_t{1} << capability;
  return mask;
}

int set_capabilities(uint64_t effective_and_permitted, uint64_t inheritable) noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct wanted[2]{};
  for (int i = 0; i < 2; i++) {
    wanted[i].effective = wanted[i].permitted = static_cast<uint32_t>(effective_and_permitted >> (32 * i));
    wanted[i].inheritable = static_cast<uint32_t>(inheritable >> (32 * i));
  }
  return syscall(SYS_capset, &header, wanted) != 0 ? errno : 0;
}

// For the calling thread; only system calls, so that it may run in a signal handler. The programs that it
// starts keep those of `inherited`. Returns the error's number.
int limit_to(uint64_t mask, uint64_t inherited = 0) noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct found[2]{};
  if (syscall(SYS_capget, &header, found) != 0) return errno;
  const uint64_t had = found[0].permitted | uint64_t{found[1].permitted} << 32;
  inherited &= had & mask;
  // Before the bounding set is empty: what is not in it can't be made inheritable (capabilities(7)).
  if (inherited != 0 && set_capabilities(had, inherited) != 0) return errno;
  // Needs CAP_SETPCAP. Without it the bounding set stays, which gives nothing to who has no_new_privs.
  for (int capability = 0; capability < CAPABILITIES; capability++) {
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) != 0) break;
  }
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return errno;
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  // A program of somebody who is not root gets what is ambient.
  for (int capability = 0; inherited >> capability != 0; capability++) {
    if ((inherited >> capability & 1) == 0) continue;
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0) != 0) return errno;
  }
  return set_capabilities(had & mask, inherited);
}

std::vector<int> thread_ids() {
  DIR* directory = opendir("/proc/self/task");
  if (directory == nullptr) throw system_error("list the threads of this process", errno, "mount /proc");
  std::vector<int> ids;
  while (const dirent* entry = readdir(directory)) {
    if (int id = atoi(entry->d_name); id > 0) ids.push_back(id);
  }
  closedir(directory);
  return ids;
}

// Returns false when the thread has ended.
bool read_thread(const std::string& task, ThreadPrivileges& found) {
  std::ifstream file("/proc/" + task + "/status");
  found = {.thread_id = 0, .name = "", .capabilities = 0, .no_new_privileges = false};
  int fields = 0;
  for (std::string line; std::getline(file, line);) {
    auto value = [&](std::string_view key) {
      return line.starts_with(key) ? line.c_str() + key.size() : nullptr;
    };
    if (const char* name = value("Name:\t")) found.name = name;
    // /proc may be that of an outer PID namespace: the thread's own number is the last one.
    if (const char* ids = value("NSpid:\t")) found.thread_id = atoi(strrchr(ids - 1, '\t') + 1), fields++;
    const char* mask = value("CapPrm:\t");
    if (mask == nullptr) mask = value("CapEff:\t");
    if (mask != nullptr) found.capabilities |= strtoull(mask, nullptr, 16), fields++;
    if (const char* flag = value("NoNewPrivs:\t")) found.no_new_privileges = *flag == '1', fields++;
  }
  return fields == 4;
}

void require(const ThreadPrivileges& found, uint64_t kept) {
  const std::string thread = "thread " + std::to_string(found.thread_id) + " (" + found.name + ")";
  if (uint64_t more = found.capabilities & ~kept; more != 0) {
    char text[20];
    snprintf(text, sizeof text, "%llx", static_cast<unsigned long long>(more));
    throw refused(thread + " still has capabilities, mask " + text);
  }
  if (!found.no_new_privileges)
    throw refused(thread + " may still get capabilities: no_new_privs is not set");
}

// glibc uses this signal for setuid(2) and its like, which have to reach all threads as well, and lets no
// thread block it: not even Node's one that waits for SIGUSR1 with all others blocked. Go's runtime does the
// same (syscall.AllThreadsSyscall). Debian's libpsx reaches only threads whose pthread_create was linked with
// it.
constexpr int EACH_THREAD = 33;  // SIGSETXID, __SIGRTMIN + 1; signal.h has no name for it

std::atomic<int> threads_done;
std::atomic<int> first_error;

void on_each_thread(int) {
  int saved = errno;
  int none = 0;
  if (int error = limit_to(0); error != 0) first_error.compare_exchange_strong(none, error);
  threads_done.fetch_add(1);
  errno = saved;
}

// As the kernel has it (rt_sigaction(2)): glibc's sigaction() refuses the signals that are its own.
struct KernelAction {
  void (*handler)(int);
  unsigned long flags;
  void (*restorer)();
  uint64_t mask;
};

int kernel_action(int signal, const KernelAction* wanted, KernelAction* before) {
  return static_cast<int>(syscall(SYS_rt_sigaction, signal, wanted, before, sizeof(uint64_t)));
}

// The handler of EACH_THREAD, for as long as this lives.
class EachThreadHandler {
 public:
  EachThreadHandler() {
    // glibc knows how to return from a handler on this processor: it is asked by way of a signal that it
    // gives away.
    struct sigaction wanted {};
    struct sigaction saved {};
    wanted.sa_handler = on_each_thread;
    wanted.sa_flags = SA_RESTART;
    KernelAction action{};
    sigaction(SIGRTMAX, &wanted, &saved);
    int failed = kernel_action(SIGRTMAX, nullptr, &action);
    sigaction(SIGRTMAX, &saved, nullptr);
    if (failed != 0 || kernel_action(EACH_THREAD, &action, &before_) != 0)
      throw system_error("reach every thread of this process", errno);
  }
  ~EachThreadHandler() { kernel_action(EACH_THREAD, &before_, nullptr); }
  EachThreadHandler(const EachThreadHandler&) = delete;
  EachThreadHandler& operator=(const EachThreadHandler&) = delete;

 private:
  KernelAction before_{};
};

constexpr int ROUNDS = 10;
constexpr int WAITS = 1000;  // of a millisecond, in each round: a thread that gets no core is waited for
constexpr timespec WAIT{.tv_sec = 0, .tv_nsec = 1'000'000};

bool is_confined(const ThreadPrivileges& found, const std::map<int, uint64_t>& kept) {
  auto known = kept.find(found.thread_id);
  uint64_t mask = known == kept.end() ? 0 : known->second;
  return (found.capabilities & ~mask) == 0 && found.no_new_privileges;
}

void keep_mask(uint64_t mask, uint64_t inherited = 0) {
  thread_local KeptMask forgets_at_end;
  (void)forgets_at_end;
  if (int error = limit_to(mask, inherited); error != 0) throw refused(errno_text(error));
  ThreadPrivileges found;
  if (!read_thread("thread-self", found))
    throw refused("/proc/thread-self can't be read, to see whether it worked");
  require(found, mask);
  KeptMasks::get().set(gettid(), mask);
}

}  // namespace

void keep_capabilities(std::initializer_list<int> kept) { keep_mask(mask_of(kept)); }

void bequeath_capabilities(std::initializer_list<int> kept) { keep_mask(mask_of(kept), mask_of(kept)); }

std::thread start_confined(const char* name, std::initializer_list<int> kept, std::function<void()> body) {
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  auto confined = std::make_shared<std::promise<void>>();
  std::future<void> outcome = confined->get_future();
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread([name, mask = mask_of(kept), body = std::move(body), confined] {
    pthread_setname_np(pthread_self(), name);
    try {
      keep_mask(mask);
    } catch (...) {
      return confined->set_exception(std::current_exception());
    }
    confined->set_value();
    body();
  });
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  try {
    outcome.get();
  } catch (...) {
    thread.join();
    throw;
  }
  return thread;
}

std::vector<ThreadPrivileges> read_privileges() {
  std::vector<ThreadPrivileges> all;
  for (int id : thread_ids()) {
    ThreadPrivileges found;
    if (read_thread("self/task/" + std::to_string(id), found)) all.push_back(std::move(found));
  }
  if (all.empty()) throw system_error("read /proc/self/task", EIO, "mount /proc");
  return all;
}

void confine_process(std::initializer_list<int> kept_here) {
  static std::mutex one_at_a_time;
  std::lock_guard lock(one_at_a_time);
  keep_capabilities(kept_here);
  EachThreadHandler handler;
  first_error.store(0);
  ThreadPrivileges left{};
  // Again until none is left: a thread may have started another one before it got the signal, or have ended.
  for (int round = 0; round < ROUNDS; round++) {
    std::map<int, uint64_t> kept = KeptMasks::get().all();
    int done = threads_done.load();
    int asked = 0;
    for (const ThreadPrivileges& found : read_privileges()) {
      if (is_confined(found, kept)) continue;
      left = found;
      if (syscall(SYS_tgkill, getpid(), found.thread_id, EACH_THREAD) == 0) asked++;
    }
    if (asked == 0) return;
    for (int wait = 0; threads_done.load() - done < asked && wait < WAITS; wait++) nanosleep(&WAIT, nullptr);
    if (int error = first_error.load(); error != 0) throw refused(errno_text(error));
  }
  require(left, 0);
  throw refused("new threads keep coming that have them");
}

}  // namespace carom
