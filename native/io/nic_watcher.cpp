#include "io/nic_watcher.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.h"

namespace carom {
namespace {

constexpr const char* PROGRAM = "nic_watcher";  // a target of binding.gyp, beside the addon

std::string program_path() {
  Dl_info found{};
  if (dladdr(reinterpret_cast<const void*>(&PROGRAM), &found) == 0) return PROGRAM;
  std::string path = found.dli_fname;
  return path.substr(0, path.rfind('/') + 1) + PROGRAM;
}

}  // namespace

NicWatcher::NicWatcher(const std::string& operation, const std::string& record_path) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) throw system_error(operation, errno);
  Fd other(ends[0]);
  life_ = Fd(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, other.get(), STDIN_FILENO);
  // It must not keep a terminal, or a pipe that somebody reads to its end.
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  posix_spawnattr_init(&attributes);
  // Of a session of its own: what ends a terminal's processes does not end it.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  std::string path = program_path();
  std::string record = record_path;
  char* const arguments[] = {path.data(), record.data(), nullptr};
  char* const environment[] = {nullptr};
  int error = posix_spawn(&process_, path.c_str(), &actions, &attributes, arguments, environment);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) throw system_error(operation + " (start " + path + ")", error, "npm run build makes it");
}

NicWatcher::~NicWatcher() {
  life_ = Fd();
  while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) continue;
}

}  // namespace carom
