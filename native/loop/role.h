// What every role's thread shares with the thread that controls it: the command, the outcome, and the
// counters.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "core/error.h"
#include "core/turn_watch.h"
#include "io/packet_io.h"

namespace carom {

class NicTimestamping;
class XdpProgram;

class Role {
 public:
  enum class Command : int { wait, run, stop, abort };

  explicit Role(const IoConfig& io);
  ~Role();
  Role(const Role&) = delete;
  Role& operator=(const Role&) = delete;

  // Starts the thread: it enters its namespace, pins itself, and runs `body`, which opens the backend and
  // calls opened(). Returns when the backend is open. Throws what opening threw.
  void open(std::function<void()> body);

  // Called by the body once everything is open; gives up the thread's capabilities and waits for start or
  // close. Returns false when the body is to end without running. Throws Error when the capabilities stay.
  bool opened(std::vector<std::string> notes);

  // Called by the body once its loop is over: tells so, and keeps the backend open until close. Some drivers
  // (igb) set their counters to zero when the last socket goes, and they are to be read before.
  void ended() noexcept;

  // Called on the role's thread when it has ended, with what ended it early if something did.
  using OnEnd = std::function<void(const std::optional<Error>&)>;
  void start(OnEnd on_end);
  void stop() noexcept { raise_command(Command::stop); }
  void close() noexcept;  // idempotent

  // The kernel's number of the thread, 0 before it runs: /proc/self/task/ID/ tells what it did.
  int thread_id() const noexcept { return thread_id_.load(std::memory_order_relaxed); }

  // In the hot loop.
  Command command() const noexcept { return command_.load(std::memory_order_relaxed); }

  const IoConfig io;
  IoCounters io_counters;
  TurnWatch watch;

  // What the backend found out when it was opened, and what was noted since; at any time, from any thread.
  std::vector<std::string> notes() const;
  void note(std::string text);

  // Of a backend that has one. Set before opening, it is that of another queue, which is served by it, too.
  std::shared_ptr<XdpProgram> program;

 private:
  void raise_command(Command command) noexcept;

  std::atomic<Command> command_{Command::wait};
  std::atomic<int> thread_id_{0};
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  bool opened_ = false;
  std::optional<Error> failure_;
  OnEnd on_end_;
  std::vector<std::string> notes_;
  std::unique_ptr<NicTimestamping> timestamping_;  // switched on by the thread, put back by close()
  std::thread thread_;
};

}  // namespace carom
