// The floor: an AF_XDP socket that sends one frame and spins until it is back, against one that swaps the MAC
// addresses and sends every frame back. No parsing, no checks, no ledger. What carom adds is measured against
// it.
//   bare_echo NEAR_NAMESPACE NEAR_INTERFACE NEAR_CPU FAR_NAMESPACE FAR_INTERFACE FAR_CPU SECONDS
// Prints the round trips in ns as JSON.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <linux/if_xdp.h>
#include <net/if.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <thread>

#include "core/clock.h"
#include "core/histogram.h"
#include "core/thread.h"

namespace {

constexpr uint32_t RING = 256;
constexpr uint32_t CHUNK = 2048;
constexpr uint32_t FRAME = 66;  // as long as a tick in UDP over IPv4

std::atomic<bool> stop{false};

[[noreturn]] void fail(const char* what) {
  perror(what);
  exit(3);
}

void check(bool good, const char* what) {
  if (!good) fail(what);
}

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

int option(int fd, int name, uint32_t value) { return setsockopt(fd, SOL_XDP, name, &value, sizeof value); }

xdp_mmap_offsets offsets_of(int fd) {
  xdp_mmap_offsets offsets{};
  socklen_t size = sizeof offsets;
  check(getsockopt(fd, SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &size) == 0, "XDP_MMAP_OFFSETS");
  return offsets;
}

int open_socket(uint8_t* umem) {
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
int attach_redirect(int socket, int interface) {
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
  return map;
}

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
    check(bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "bind");
    attach_redirect(fd, interface);
  }

  uint8_t* wait(uint32_t index) {
    while (__atomic_load_n(rx.producer, __ATOMIC_ACQUIRE) == index) {
      if (stop.load(std::memory_order_relaxed)) return nullptr;
    }
    return umem + rx.at<xdp_desc>(index).addr;
  }

  void release(uint32_t index) {
    fill.at<uint64_t>(RING + index) = rx.at<xdp_desc>(index).addr & ~uint64_t{CHUNK - 1};
    __atomic_store_n(fill.producer, RING + index + 1, __ATOMIC_RELEASE);
    __atomic_store_n(rx.consumer, index + 1, __ATOMIC_RELEASE);
  }

  uint8_t* frame(uint32_t index) { return umem + size_t{RING + index % RING} * CHUNK; }

  void send(uint32_t index) {
    tx.at<xdp_desc>(index) = {static_cast<uint64_t>(frame(index) - umem), FRAME, 0};
    __atomic_store_n(tx.producer, index + 1, __ATOMIC_RELEASE);
    sendto(fd, nullptr, 0, MSG_DONTWAIT, nullptr, 0);
    __atomic_store_n(completion.consumer, __atomic_load_n(completion.producer, __ATOMIC_ACQUIRE),
                     __ATOMIC_RELEASE);
  }
};

void echo(Socket& socket) {
  for (uint32_t index = 0;; index++) {
    const uint8_t* received = socket.wait(index);
    if (received == nullptr) return;
    uint8_t* sent = socket.frame(index);
    memcpy(sent, received + 6, 6);
    memcpy(sent + 6, received, 6);
    memcpy(sent + 12, received + 12, FRAME - 12);
    socket.release(index);
    socket.send(index);
  }
}

void ping(Socket& socket, double seconds, carom::Histogram& histogram) {
  const carom::Clock& clock = carom::Clock::get();
  uint64_t begin = clock.now_ns();
  uint64_t warm = begin + 200'000'000;
  uint64_t end = warm + static_cast<uint64_t>(seconds * 1e9);
  const uint8_t head[14] = {0x02, 0xca, 0x40, 0, 0, 2,    0x02,
                            0xca, 0x40, 0,    0, 1, 0x88, 0xb5};  // experimental type
  uint64_t now = begin;
  for (uint32_t index = 0; now < end; index++) {
    uint8_t* frame = socket.frame(index);
    memset(frame, 0, FRAME);
    memcpy(frame, head, sizeof head);
    memcpy(frame + 14, &index, 4);
    uint64_t sent = clock.now_ns();
    socket.send(index);
    const uint8_t* received = socket.wait(index);
    now = clock.now_ns();
    if (received == nullptr || memcmp(received + 14, &index, 4) != 0) fail("the wrong frame came back");
    socket.release(index);
    if (sent > warm) histogram.record(now - sent);
  }
  stop.store(true);
}

double percentile(const carom::Histogram& histogram, double part) {
  uint64_t rank = static_cast<uint64_t>(part * static_cast<double>(histogram.count()));
  uint64_t seen = 0;
  uint32_t index = 0;
  while (index < carom::Histogram::SIZE && seen <= rank) seen += histogram.count_at(index++);
  uint32_t bucket = (index - 1) / 1024;
  return bucket == 0 ? index - 1 : static_cast<double>(((index - 1) % 1024 + 1024ull) << (bucket - 1));
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 8) {
    fputs("usage: bare_echo NAMESPACE INTERFACE CPU NAMESPACE INTERFACE CPU SECONDS\n", stderr);
    return 2;
  }
  carom::Histogram histogram;
  std::atomic<int> open{0};
  auto side = [&](int first, auto role) {
    carom::enter_network_namespace(arguments[first]);
    carom::pin_to_cpu(atoi(arguments[first + 2]));
    Socket socket(arguments[first + 1]);
    open++;
    while (open < 2) {
    }
    role(socket);
  };
  std::thread far([&] { side(4, [](Socket& socket) { echo(socket); }); });
  std::thread near([&] { side(1, [&](Socket& socket) { ping(socket, atof(arguments[7]), histogram); }); });
  near.join();
  far.join();
  printf(
      "{\"count\":%llu,\"min_ns\":%llu,\"p50_ns\":%.0f,\"p90_ns\":%.0f,\"p99_ns\":%.0f,\"p999_ns\":%.0f}\n",
      static_cast<unsigned long long>(histogram.count()), static_cast<unsigned long long>(histogram.min()),
      percentile(histogram, 0.5), percentile(histogram, 0.9), percentile(histogram, 0.99),
      percentile(histogram, 0.999));
}
