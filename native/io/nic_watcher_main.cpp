// The program of the process that nic_watcher.h starts: waits until carom has ended, whichever way, and puts
// back what that left on.
//
// nic_watcher RECORD
#include <linux/capability.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "core/error.h"
#include "core/privileges.h"
#include "io/nic_timestamping.h"

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  for (int number : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE}) signal(number, SIG_IGN);
  try {
    carom::keep_capabilities({CAP_NET_ADMIN});
    char byte;
    while (read(STDIN_FILENO, &byte, 1) != 0 && errno == EINTR) continue;
    return carom::restore_after(argv[1]) ? 0 : 1;
  } catch (const carom::Error&) {
    return 1;  // the record stays, for carom doctor
  }
}
