// What the backends' sockets have in common: an owned descriptor, options with errors, addresses, the held
// port.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <string>
#include <utility>

#include "core/error.h"
#include "io/packet_io.h"

namespace carom {

// Owns a descriptor.
class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Fd() {
    if (fd_ >= 0) close(fd_);
  }
  int get() const noexcept { return fd_; }
  bool open() const noexcept { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

// Why an action can't be done, as a probe says it; "" if it can.
template <class Action>
std::string reason_of(Action action) {
  try {
    action();
    return "";
  } catch (const Error& error) {
    return error.operation + ": " + error.detail;
  }
}

// "af_xdp on eth1: bind", the operation of an error.
std::string operation_text(const char* backend, const Link& link, const std::string& what);

// Throws Error with the operation when the kernel refuses.
void set_option(int fd, int level, int name, const void* value, socklen_t size, const std::string& operation);
void set_option(int fd, int level, int name, int value, const std::string& operation);

// The index of the link's interface in the calling thread's namespace. Throws Error when there is none or it
// is down.
int interface_index(const char* backend, const Link& link);

// How many receive queues the interface has; `otherwise` where the driver does not say.
uint32_t receive_queues(const Link& link, uint32_t otherwise);

// The receive queues over which the interface spreads what comes, in their order: those of its RSS table, and
// where it has none all that there are. Empty where the driver says neither.
std::vector<uint32_t> spread_queues(const Link& link);

// A UDP socket on the link's interface, bound to a port, with the groups joined. Throws Error.
Fd open_udp_socket(const char* backend, const IoConfig& config, uint16_t port, bool join_groups);

// The same, but it throws away everything: with it the kernel sends the IGMP or MLD reports and no "port
// unreachable", while another way in takes the frames.
Fd hold_port(const char* backend, const IoConfig& config);

// Bytes of a frame buffer that holds the link's largest frame.
uint32_t frame_buffer_size(const Link& link);

}  // namespace carom
