// A small process that outlives this one if that is killed, and then puts a NIC's timestamping back to what
// it was (nic_timestamping.h). It is another program, not a copy of this process: a copy would make each page
// of the hot loops' memory fault once more.
#pragma once

#include <sys/types.h>

#include <string>

#include "io/socket.h"

namespace carom {

class NicWatcher {
 public:
  // Watches over a record in the calling thread's namespace. Throws Error when it can't be started.
  NicWatcher(const std::string& operation, const std::string& record_path);
  // The record is gone, or another process's: the watcher finds nothing to do, and ends.
  ~NicWatcher();
  NicWatcher(const NicWatcher&) = delete;
  NicWatcher& operator=(const NicWatcher&) = delete;

 private:
  Fd life_;  // a pipe that nobody writes to: it ends when this process does
  pid_t process_ = -1;
};

}  // namespace carom
