// What went wrong, for people: thrown while a role is opened, never in a hot loop.
#pragma once

#include <cerrno>
#include <cstring>
#include <exception>
#include <new>
#include <string>
#include <system_error>
#include <utility>

namespace carom {

enum class ErrorCode { usage, environment, internal };

// What was tried, what went wrong and what to do about it; native/error.ts has the same four.
struct Error : std::exception {
  ErrorCode code;
  std::string operation;
  std::string detail;
  std::string hint;

  Error(ErrorCode code, std::string operation, std::string detail, std::string hint = "")
      : code(code), operation(std::move(operation)), detail(std::move(detail)), hint(std::move(hint)) {}

  const char* what() const noexcept override { return detail.c_str(); }
};

// "EBUSY (Device or resource busy)" for an errno.
inline std::string errno_text(int number) {
  const char* name = strerrorname_np(number);
  return std::string(name != nullptr ? name : "errno") + " (" + strerror(number) + ")";
}

// A refused system call, with the hint that fits the errno where the caller has none of its own.
inline Error system_error(const std::string& operation, int number, std::string hint = "") {
  if (hint.empty() && (number == EPERM || number == EACCES)) {
    hint = "run as root, or with the capabilities CAP_NET_ADMIN, CAP_NET_RAW, CAP_SYS_ADMIN and CAP_BPF";
  }
  if (hint.empty() && (number == ENOMEM || number == ENOBUFS)) hint = "try a smaller --ring-size";
  return Error(ErrorCode::environment, operation, errno_text(number), std::move(hint));
}

// What is being handled, in a catch (...), as an Error: the library throws others when memory or threads run
// out. `operation` is for those that don't say what was tried.
inline Error current_error(const std::string& operation) {
  try {
    throw;
  } catch (const Error& error) {
    return error;
  } catch (const std::bad_alloc&) {
    return Error(ErrorCode::environment, operation, "there is not enough memory",
                 "end what uses it, or ask for less: fewer captures, smaller rings");
  } catch (const std::system_error& error) {
    return system_error(operation, error.code().value());
  } catch (const std::exception& error) {
    return Error(ErrorCode::internal, operation, error.what());
  } catch (...) {
    return Error(ErrorCode::internal, operation, "something was thrown that says nothing");
  }
}

}  // namespace carom
