// A small process that outlives this one if that is killed, and then has everything put back that this one
// has changed on the machine: NICs, and its lab. It knows nothing of them: it starts what the next carom
// would do first (lab/put_back_main.ts). It is another program, not a copy of this process: a copy would make
// each page of the hot loops' memory fault once more.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "io/socket.h"

namespace carom {

class Watcher {
 public:
  // What puts back: a program and its arguments. It is run in the network namespace that the calling thread
  // is in. Called once, before anything is changed.
  static void set_command(std::vector<std::string> command);

  // One process watches for all who hold it, and ends when nobody does. Null where there is no command: then
  // it is left to the next carom. Throws Error when it can't be started.
  static std::shared_ptr<Watcher> hold(const std::string& operation);

  ~Watcher();
  Watcher(const Watcher&) = delete;
  Watcher& operator=(const Watcher&) = delete;

  // Has put back now what nobody holds any more, and waits for it: for who has no longer the right to do it.
  // False: it has not, or not all of it, worked.
  bool put_back() noexcept;

 private:
  explicit Watcher(const std::string& operation);

  Fd channel_;  // a socket; its other end is the process's standard input
  pid_t process_ = -1;
};

}  // namespace carom
