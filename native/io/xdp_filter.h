// The user's filter in the driver, between the program that takes frames and what it does with them
// (bpf/wanted.h): what is not wanted never leaves it.
#pragma once

#include <string>

#include "filter/filter.h"
#include "io/socket.h"

namespace carom {

// Of loading a program: the verifier gives up with EAGAIN whenever a signal comes, a stop of the process
// among them, and takes many milliseconds where others have the cores.
constexpr int LOAD_ATTEMPTS = 50;

class XdpFilter {
 public:
  // Loads the program. What the kernel does not take is no error: why_not() says so.
  explicit XdpFilter(const Filter& filter);

  // "" if the kernel took it.
  const std::string& why_not() const noexcept { return why_not_; }

  // The map that leads from program to program, and what fills it once the others are loaded.
  int stages() const noexcept { return stages_.get(); }
  void connect(int wanted, int unwanted);

 private:
  void refused(const char* what);

  Fd stages_;
  Fd tables_;
  Fd program_;
  std::string why_not_;
};

}  // namespace carom
