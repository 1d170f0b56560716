// The program of the process that watcher.h starts: waits until carom has ended, whichever way, or says so,
// and then runs the command that puts back what that has changed.
//
// carom-watcher OWNER COMMAND [ARGUMENT…]
#include <linux/capability.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "core/error.h"
#include "core/privileges.h"

namespace {

constexpr int NAMESPACE = 3;  // of carom; watcher.cpp has the same

// Returns 0 when it has worked.
char run(char** command) {
  pid_t child = fork();
  if (child < 0) return 1;
  if (child == 0) {
    dup2(STDOUT_FILENO, STDIN_FILENO);
    execv(command[0], command);
    _exit(1);
  }
  int status = 0;
  while (waitpid(child, &status, 0) < 0 && errno == EINTR) continue;
  return status == 0 ? 0 : 1;
}

// Returns when carom has ended: it tells by a byte that something is to be put back before. The descriptor of
// the process tells of its end when its last thread has closed its files, and so let go of its locks; the
// socket would be closed before.
void wait_for_end(int owner, char** command) {
  pollfd waited[] = {{owner, POLLIN, 0}, {STDIN_FILENO, POLLIN, 0}};
  for (;;) {
    if (poll(waited, 2, -1) < 0 && errno == EINTR) continue;
    if (waited[0].revents != 0) return;
    char byte;
    if (read(STDIN_FILENO, &byte, 1) == 1) {
      byte = run(command);
      send(STDIN_FILENO, &byte, 1, MSG_NOSIGNAL);
    } else {
      waited[1].fd = -1;
    }
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  for (int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) signal(number, SIG_IGN);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);  // the thread that started this may take none at all
  if (setns(NAMESPACE, CLONE_NEWNET) != 0 || chdir("/") != 0) {
  }  // then what can be reached from here is put back
  close_range(NAMESPACE, ~0U, 0);
  pid_t parent = atoi(argv[1]);
  int owner = static_cast<int>(syscall(SYS_pidfd_open, parent, 0));
  if (owner < 0) return 1;
  try {
    // For namespaces, what is in them, and a carom that is in somebody's own folder.
    carom::bequeath_capabilities({CAP_NET_ADMIN, CAP_SYS_ADMIN, CAP_DAC_READ_SEARCH});
  } catch (const carom::Error&) {
    return 1;  // it is left to the next carom
  }
  // Another parent: it has ended already, and its number may be another process's.
  if (getppid() == parent) wait_for_end(owner, argv + 2);
  return run(argv + 2);
}
