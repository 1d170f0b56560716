// The XDP program in front of AF_XDP sockets: loaded, configured, attached and, however the process ends,
// detached.
#pragma once

#include <memory>
#include <string>

#include "io/packet_io.h"

struct bpf_link;
struct bpf_object;

namespace carom {

class XdpProgram {
 public:
  // Attaches to the interface. Throws Error, with what is there already if something is. The attachment is a
  // BPF link that is not pinned, so the kernel removes it when the process ends, by kill -9 too.
  XdpProgram(const IoConfig& config, int interface, bool stamp);
  ~XdpProgram();
  XdpProgram(const XdpProgram&) = delete;
  XdpProgram& operator=(const XdpProgram&) = delete;

  // Gives the frames of a queue to an AF_XDP socket. Throws Error.
  void direct(uint32_t queue, int socket);

  // "native" or "generic".
  const char* mode() const noexcept { return mode_; }

 private:
  struct CloseObject {
    void operator()(bpf_object*) const noexcept;
  };

  Link link_;
  std::unique_ptr<bpf_object, CloseObject> object_;
  int link_fd_ = -1;
  const char* mode_ = "";
};

}  // namespace carom
