// What a role's thread does to itself: enter a namespace, pin to a core.
#pragma once

#include <optional>
#include <string>
#include <thread>

#include "core/error.h"

namespace carom {

// The calling thread alone moves to the network namespace at the path. Throws Error.
void enter_network_namespace(const std::string& path);

// Runs an action on a thread of its own in the namespace at the path ("" for this one): the sockets it opens
// stay there. Throws what the action threw.
template <class Action>
void in_network_namespace(const std::string& path, Action action) {
  std::optional<Error> failure;
  std::thread thread([&] {
    try {
      if (!path.empty()) enter_network_namespace(path);
      action();
    } catch (...) {
      failure = current_error("work in a network namespace");
    }
  });
  thread.join();
  if (failure) throw *failure;
}

// Throws Error when there is no such core, or the process may not use it.
void pin_to_cpu(int cpu);

// The calling thread leaves this core (-1: none) to another one, where the process may use more than that.
void leave_cpu(int cpu) noexcept;

}  // namespace carom
