#include "io/watcher.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <mutex>

#include "core/error.h"

namespace carom {
namespace {

constexpr const char* PROGRAM = "carom-watcher";  // a target of binding.gyp, beside the addon
constexpr int NAMESPACE = 3;                      // the descriptor by which it gets carom's network namespace

std::vector<std::string> command;
Fd home;  // the network namespace that carom was started in

std::string program_path() {
  Dl_info found{};
  if (dladdr(reinterpret_cast<const void*>(&PROGRAM), &found) == 0) return PROGRAM;
  std::string path = found.dli_fname;
  return path.substr(0, path.rfind('/') + 1) + PROGRAM;
}

}  // namespace

void Watcher::set_command(std::vector<std::string> wanted) {
  command = std::move(wanted);
  home = Fd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
}

std::shared_ptr<Watcher> Watcher::hold(const std::string& operation) {
  static std::mutex mutex;
  static std::weak_ptr<Watcher> current;
  if (command.empty()) return nullptr;
  std::lock_guard lock(mutex);
  std::shared_ptr<Watcher> watcher = current.lock();
  if (!watcher) current = watcher = std::shared_ptr<Watcher>(new Watcher(operation));
  return watcher;
}

Watcher::Watcher(const std::string& operation) {
  int ends[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) throw system_error(operation, errno);
  Fd other(ends[0]);
  channel_ = Fd(ends[1]);
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, other.get(), STDIN_FILENO);
  // It must not keep a terminal, or a pipe that somebody reads to its end.
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_RDWR, 0);
  posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_RDWR, 0);
  if (home.open()) posix_spawn_file_actions_adddup2(&actions, home.get(), NAMESPACE);
  posix_spawnattr_init(&attributes);
  // Of a session of its own: what ends a terminal's processes does not end it.
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSID);
  std::string path = program_path();
  std::string owner = std::to_string(getpid());
  std::vector<char*> arguments = {path.data(), owner.data()};
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  int error = posix_spawn(&process_, path.c_str(), &actions, &attributes, arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) throw system_error(operation + " (start " + path + ")", error, "npm run build makes it");
}

// Everything is put back: it has nothing to do.
Watcher::~Watcher() {
  kill(process_, SIGKILL);
  while (waitpid(process_, nullptr, 0) < 0 && errno == EINTR) continue;
}

bool Watcher::put_back() noexcept {
  char byte = 0;
  ssize_t length;
  do length = send(channel_.get(), &byte, 1, MSG_NOSIGNAL);
  while (length < 0 && errno == EINTR);
  if (length != 1) return false;
  do length = recv(channel_.get(), &byte, 1, 0);
  while (length < 0 && errno == EINTR);
  return length == 1 && byte == 0;
}

}  // namespace carom
