#include "loop/role.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <utility>

#include "core/privileges.h"
#include "core/thread.h"
#include "io/nic_timestamping.h"

namespace carom {

Role::Role(const IoConfig& io) : io(io), watch(io.stall_threshold_ns) {}

Role::~Role() { close(); }

void Role::open(std::function<void()> body) {
  for (std::string& line : restore_timestamping()) note(std::move(line));
  // Signals are the control plane's: its thread alone takes them.
  sigset_t all;
  sigset_t before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  auto run = [this, body = std::move(body)] {
    thread_id_.store(gettid(), std::memory_order_relaxed);
    try {
      if (!io.link.network_namespace.empty()) enter_network_namespace(io.link.network_namespace);
      if (io.timestamps == Provenance::hardware && (io.rx_stamps || io.tx_stamps))
        timestamping_ = std::make_unique<NicTimestamping>(io.link);
      if (io.cpu >= 0) pin_to_cpu(io.cpu);
      body();
    } catch (...) {
      std::lock_guard lock(mutex_);
      failure_ = current_error(opened_ ? "run a role" : "open a role");
    }
    OnEnd on_end;
    {
      std::lock_guard lock(mutex_);
      opened_ = true;
      on_end = std::exchange(on_end_, nullptr);
    }
    changed_.notify_all();
    if (on_end) on_end(failure_);
  };
  std::optional<Error> refused;
  try {
    thread_ = std::thread(std::move(run));
  } catch (...) {
    refused = current_error("start a role's thread");
  }
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  if (refused) throw *refused;
  std::optional<Error> failure;
  {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return opened_; });
    failure = failure_;
  }
  if (failure) {
    thread_.join();
    throw *failure;
  }
}

bool Role::opened(std::vector<std::string> found) {
  drop_capabilities();
  std::unique_lock lock(mutex_);
  for (std::string& line : found) notes_.push_back(std::move(line));
  opened_ = true;
  changed_.notify_all();
  changed_.wait(lock, [this] { return command() != Command::wait; });
  return command() == Command::run;
}

void Role::ended() noexcept {
  OnEnd on_end;
  {
    std::lock_guard lock(mutex_);
    on_end = std::exchange(on_end_, nullptr);
  }
  if (on_end) on_end(std::nullopt);
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return command() == Command::abort; });
}

void Role::start(OnEnd on_end) {
  {
    std::lock_guard lock(mutex_);
    if (command() != Command::wait)
      throw Error(ErrorCode::internal, "start a role", "it was started or closed already");
    on_end_ = std::move(on_end);
    command_.store(Command::run);
  }
  changed_.notify_all();
}

void Role::raise_command(Command command) noexcept {
  {
    std::lock_guard lock(mutex_);
    if (command_.load() < command) command_.store(command);
  }
  changed_.notify_all();
}

void Role::close() noexcept {
  raise_command(Command::abort);
  if (thread_.joinable()) thread_.join();
  program.reset();  // detached, unless another queue still uses it
  if (!timestamping_) return;
  if (std::string problem = timestamping_->release(); !problem.empty()) note(std::move(problem));
  timestamping_.reset();
}

std::vector<std::string> Role::notes() const {
  std::lock_guard lock(mutex_);
  return notes_;
}

void Role::note(std::string text) {
  std::lock_guard lock(mutex_);
  notes_.push_back(std::move(text));
}

}  // namespace carom
