// A bare AF_XDP socket, in copy mode on queue 0: rings, one frame at a time, nothing else. Everything that
// comes in at its interface goes to it. It is never closed: the end of the process does that.
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <atomic>

#include "common.h"

namespace bench {

inline constexpr uint32_t RING = 256;
inline constexpr uint32_t CHUNK = 2048;

struct Ring {
  uint32_t* producer;
  uint32_t* consumer;
  uint8_t* entries;

  Ring(int fd, const xdp_ring_offset& offset, size_t entry, off_t page) {
    void* memory = mmap(nullptr, offset.desc + RING * entry, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_POPULATE, fd, page);
    check(memory != MAP_FAILED, "mmap");
    auto* base = static_cast<uint8_t*>(memory);
    producer = reinterpret_cast<uint32_t*>(base + offset.producer);
    consumer = reinterpret_cast<uint32_t*>(base + offset.consumer);
    entries = base + offset.desc;
  }

  template <class Entry>
  Entry& at(uint32_t index) {
    return reinterpret_cast<Entry*>(entries)[index & (RING - 1)];
  }
};

inline int option(int fd, int name, uint32_t value) {
  return setsockopt(fd, SOL_XDP, name, &value, sizeof value);
}

inline xdp_mmap_offsets offsets_of(int fd) {
  xdp_mmap_offsets offsets{};
  socklen_t size = sizeof offsets;
  check(getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &size) == 0, "XDP_MMAP_OFFSETS");
  return offsets;
}

inline int open_socket(uint8_t* umem) {
  int fd = socket(AF_XDP, SOCK_RAW, 0);
  check(fd >= 0, "socket");
  xdp_umem_reg registration{};
  registration.addr = reinterpret_cast<uint64_t>(umem);
  registration.len = 2 * RING * CHUNK;
  registration.chunk_size = CHUNK;
  check(setsockopt(fd, SOL_XDP, XDP_UMEM_REG, &registration, sizeof registration) == 0, "XDP_UMEM_REG");
  for (int name : {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING}) {
    check(option(fd, name, RING) == 0, "ring");
  }
  return fd;
}

// Everything that comes in on queue 0 goes to the socket: six instructions.
inline void attach_redirect(int socket, int interface) {
  int map = bpf_map_create(BPF_MAP_TYPE_XSKMAP, "sockets", 4, 4, 1, nullptr);
  check(map >= 0, "XSKMAP");
  const bpf_insn code[] = {
      {BPF_LD | BPF_DW | BPF_IMM, BPF_REG_1, BPF_PSEUDO_MAP_FD, 0, map},
      {0, 0, 0, 0, 0},
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_2, 0, 0, 0},
      {BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_3, 0, 0, XDP_PASS},
      {BPF_JMP | BPF_CALL, 0, 0, 0, BPF_FUNC_redirect_map},
      {BPF_JMP | BPF_EXIT, 0, 0, 0, 0},
  };
  int program = bpf_prog_load(BPF_PROG_TYPE_XDP, "bare", "GPL", code, sizeof code / sizeof *code, nullptr);
  check(program >= 0, "load the program");
  LIBBPF_OPTS(bpf_link_create_opts, options, .flags = XDP_FLAGS_DRV_MODE);
  check(bpf_link_create(program, interface, BPF_XDP, &options) >= 0, "attach");
  uint32_t key = 0;
  check(bpf_map_update_elem(map, &key, &socket, BPF_ANY) == 0, "XSKMAP entry");
}

struct Received {
  const uint8_t* data;  // nullptr: stopped instead
  uint32_t length;
};

struct Socket {
  uint8_t* umem;
  int fd;
  xdp_mmap_offsets offsets;
  Ring fill, completion, rx, tx;

  explicit Socket(const char* interface_name)
      : umem(static_cast<uint8_t*>(mmap(nullptr, 2 * RING * CHUNK, PROT_READ | PROT_WRITE,
                                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0))),
        fd(open_socket(umem)),
        offsets(offsets_of(fd)),
        fill(fd, offsets.fr, 8, XDP_UMEM_PGOFF_FILL_RING),
        completion(fd, offsets.cr, 8, XDP_UMEM_PGOFF_COMPLETION_RING),
        rx(fd, offsets.rx, sizeof(xdp_desc), XDP_PGOFF_RX_RING),
        tx(fd, offsets.tx, sizeof(xdp_desc), XDP_PGOFF_TX_RING) {
    int interface = static_cast<int>(if_nametoindex(interface_name));
    check(interface > 0, interface_name);
    for (uint32_t i = 0; i < RING; i++) fill.at<uint64_t>(i) = uint64_t{i} * CHUNK;
    __atomic_store_n(fill.producer, RING, __ATOMIC_RELEASE);
    sockaddr_xdp address{};
    address.sxdp_family = AF_XDP;
    address.sxdp_flags = XDP_COPY;
    address.sxdp_ifindex = static_cast<uint32_t>(interface);
    // The kernel gives a queue back a moment after the socket that had it was closed.
    int bound = -1;
    for (int tries = 0; tries < 200 && bound != 0; tries++) {
      if (tries > 0) usleep(5000);
      bound = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address);
      if (bound != 0 && errno != EBUSY) break;
    }
    check(bound == 0, "bind");
    attach_redirect(fd, interface);
  }

  // Spins until the frame of that number is there.
  Received wait(uint32_t index, const std::atomic<bool>& stop) {
    while (__atomic_load_n(rx.producer, __ATOMIC_ACQUIRE) == index) {
      if (stop.load(std::memory_order_relaxed)) return {nullptr, 0};
    }
    const xdp_desc& descriptor = rx.at<xdp_desc>(index);
    return {umem + descriptor.addr, descriptor.len};
  }

  void release(uint32_t index) {
    fill.at<uint64_t>(RING + index) = rx.at<xdp_desc>(index).addr & ~uint64_t{CHUNK - 1};
    __atomic_store_n(fill.producer, RING + index + 1, __ATOMIC_RELEASE);
    __atomic_store_n(rx.consumer, index + 1, __ATOMIC_RELEASE);
  }

  // Where the frame of that number is written before it is sent.
  uint8_t* frame(uint32_t index) { return umem + size_t{RING + index % RING} * CHUNK; }

  void send(uint32_t index, uint32_t length) {
    tx.at<xdp_desc>(index) = {static_cast<uint64_t>(frame(index) - umem), length, 0};
    __atomic_store_n(tx.producer, index + 1, __ATOMIC_RELEASE);
    sendto(fd, nullptr, 0, MSG_DONTWAIT, nullptr, 0);
    __atomic_store_n(completion.consumer, __atomic_load_n(completion.producer, __ATOMIC_ACQUIRE),
                     __ATOMIC_RELEASE);
  }
};

}  // namespace bench
