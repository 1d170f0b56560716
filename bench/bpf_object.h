// A compiled eBPF object: opened, loaded, and one of its programs attached for as long as this process lives.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <unistd.h>

#include "common.h"

namespace bench {

inline bpf_object* open_object(const char* file) {
  bpf_object* object = bpf_object__open_file(file, nullptr);
  check(object != nullptr, file);
  return object;
}

inline int program_of(const bpf_object* object, const char* name) {
  const bpf_program* program = bpf_object__find_program_by_name(object, name);
  check(program != nullptr, name);
  return bpf_program__fd(program);
}

inline int map_of(const bpf_object* object, const char* name) {
  int fd = bpf_object__find_map_fd_by_name(object, name);
  check(fd >= 0, name);
  return fd;
}

inline int interface_of(const char* name) {
  int interface = static_cast<int>(if_nametoindex(name));
  check(interface > 0, name);
  return interface;
}

// In the driver, by a link that is not pinned: the kernel takes it off when the process ends.
inline void attach(int program, int interface) {
  LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
  check(bpf_link_create(program, interface, BPF_XDP, &options) >= 0, "attach the XDP program");
}

}  // namespace bench
