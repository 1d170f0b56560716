#include "io/af_xdp.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <bit>
#include <ctime>

#include "bpf/unserved_queues.h"
#include "core/error.h"
#include "io/carrier.h"
#include "redirect.bpf.h"

namespace carom {
namespace {

// From <linux/if_xdp.h> of newer kernels; Debian 12's header is older than what runs (xsk-tx-metadata.rst).
constexpr uint32_t UMEM_TX_METADATA_LEN = 1u << 2;  // XDP_UMEM_TX_METADATA_LEN
constexpr uint32_t DESC_TX_METADATA = 1u << 1;      // XDP_TX_METADATA
constexpr uint64_t TXMD_FLAGS_TIMESTAMP = 1u << 0;  // XDP_TXMD_FLAGS_TIMESTAMP

struct [[gnu::packed]] Constants {  // of bpf/redirect.bpf.c, in its order
  uint16_t port;
  uint8_t stamp;
};

struct UmemRegistration {  // struct xdp_umem_reg
  uint64_t address;
  uint64_t length;
  uint32_t chunk_size;
  uint32_t headroom;
  uint32_t flags;
  uint32_t tx_metadata_len;
};

struct TxMetadata {  // struct xsk_tx_metadata
  uint64_t flags;
  uint64_t tx_timestamp;  // filled in when the frame was sent
  uint64_t launch_time;
};

constexpr uint32_t RX_HEADROOM = 256;  // XDP_PACKET_HEADROOM, which copy mode leaves in front of a frame
constexpr int KICK_TRIES = 16;         // the frames stay in the ring, and the next call takes them along
constexpr int BIND_TRIES = 50;
constexpr useconds_t BIND_PAUSE_US = 20'000;
constexpr int BUSY_POLL_BUDGET = 64;
constexpr int SO_PREFER_BUSY_POLL_ = 69;  // <asm-generic/socket.h>, missing from glibc's header
constexpr int SO_BUSY_POLL_BUDGET_ = 70;

template <class Entry>
uint32_t available(const XskRing<Entry>& ring) noexcept {  // entries the kernel has produced
  return __atomic_load_n(ring.producer, __ATOMIC_ACQUIRE) - ring.head;
}

template <class Entry>
void publish_consumed(XskRing<Entry>& ring) noexcept {
  __atomic_store_n(ring.consumer, ring.head, __ATOMIC_RELEASE);
}

// Of a buffer for one frame, in bytes. Throws Error when a frame does not fit into a page.
uint32_t chunk_size(const Link& link, const std::string& operation) {
  uint32_t size = std::max(2048u, std::bit_ceil(link.mtu + 22 + RX_HEADROOM));
  uint32_t page = static_cast<uint32_t>(getpagesize());
  if (size <= page) return size;
  throw Error(
      ErrorCode::usage, operation, "an MTU of " + std::to_string(link.mtu) + " does not fit into one page",
      "set an MTU of at most " + std::to_string(page - RX_HEADROOM - 22) + ", or use af_packet or udp");
}

constexpr XdpObject OBJECT{redirect_object, sizeof redirect_object, "redirect"};

template <class Entry>
void publish_produced(XskRing<Entry>& ring) noexcept {
  __atomic_store_n(ring.producer, ring.head, __ATOMIC_RELEASE);
}

template <class Entry>
void map_ring(XskRing<Entry>& ring, int fd, const xdp_ring_offset& offset, uint32_t size, off_t page,
              const std::string& operation) {
  ring.mapping_size = offset.desc + size * sizeof(Entry);
  void* memory =
      mmap(nullptr, ring.mapping_size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, page);
  if (memory == MAP_FAILED) throw system_error(operation + " (map a ring)", errno);
  ring.mapping = memory;
  auto* base = static_cast<uint8_t*>(memory);
  ring.producer = reinterpret_cast<uint32_t*>(base + offset.producer);
  ring.consumer = reinterpret_cast<uint32_t*>(base + offset.consumer);
  ring.flags = reinterpret_cast<uint32_t*>(base + offset.flags);
  ring.entries = reinterpret_cast<Entry*>(base + offset.desc);
  ring.mask = size - 1;
}

template <class Entry>
void unmap_ring(XskRing<Entry>& ring) noexcept {
  if (ring.mapping != nullptr) munmap(ring.mapping, ring.mapping_size);
  ring.mapping = nullptr;
}

}  // namespace

// Frames only come by it: this thread sends by its own queue.
struct AfXdpIo::Queue {
  Queue(const IoConfig& config, std::shared_ptr<XdpProgram> program)
      : io(config, counters, std::move(program), OBJECT, nullptr, false) {}

  IoCounters counters;
  AfXdpIo io;
};

std::string AfXdpIo::probe(const IoConfig& config, bool tries) {
  return reason_of([&] {
    IoCounters counters;
    if (tries) return void(AfXdpIo(config, counters));
    look_at(config);
    XdpProgram(config, OBJECT, nullptr);
  });
}

void AfXdpIo::look_at(const IoConfig& config) {
  const std::string operation = operation_text("af_xdp", config.link, "set up");
  interface_index("af_xdp", config.link);
  chunk_size(config.link, operation);
  if (!Fd(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0)).open())
    throw system_error(operation + " (open a socket)", errno);
}

// XDP programs and TX metadata give CLOCK_TAI.
int AfXdpIo::stamp_clock() noexcept { return CLOCK_TAI; }

AfXdpIo::AfXdpIo(const IoConfig& config, IoCounters& counters, std::shared_ptr<XdpProgram> program)
    : AfXdpIo(config, counters, std::move(program), OBJECT, [&, this](XdpProgram& loaded) {
        owns_redirect_ = true;
        const Constants constants{htons(config.local_port),
                                  config.rx_stamps && config.timestamps == Provenance::kernel};
        loaded.set_constants(&constants, sizeof constants);
      }) {}

AfXdpIo::AfXdpIo(const IoConfig& config, IoCounters& counters, std::shared_ptr<XdpProgram> program,
                 const XdpObject& object, const XdpProgram::Prepare& prepare, bool sends)
    : config_(config),
      sends_(sends),
      program_(std::move(program)),
      owns_program_(!program_),
      counters_(counters) {
  const std::string operation = operation_text("af_xdp", config.link, "set up");
  int interface = interface_index("af_xdp", config.link);
  if (config.timestamps == Provenance::hardware && (config.rx_stamps || config.tx_stamps)) {
    throw Error(ErrorCode::usage, operation, "af_xdp can't read the NIC's receive time",
                "use --backend af_packet or udp for hardware timestamps, or --timestamps kernel or tsc");
  }
  if (config.queue >= XdpProgram::QUEUES) {
    throw Error(ErrorCode::usage, operation,
                "queue " + std::to_string(config.queue) + " is beyond the highest, " +
                    std::to_string(XdpProgram::QUEUES - 1));
  }
  if (!program_) held_port_ = hold_port("af_xdp", config);
  fd_ = Fd(socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0));
  if (!fd_.open()) throw system_error(operation_text("af_xdp", config.link, "open an AF_XDP socket"), errno);
  const bool had_carrier = has_carrier(config.link);
  try {
    make_umem(operation);
    make_rings(operation);  // the fill ring, too: what comes as soon as the link is up finds buffers
    if (!program_) program_ = std::make_shared<XdpProgram>(config, interface, object, prepare);
    bind_socket(interface,
                operation_text("af_xdp", config.link, "bind queue " + std::to_string(config.queue)));
    program_->direct(config.queue, fd_.get());
    open_more(operation);
    std::string told = await_carrier(config.link, had_carrier, operation);
    if (!told.empty()) notes_.push_back(std::move(told));
  } catch (...) {
    unmap();
    throw;
  }
}

void AfXdpIo::open_more(const std::string& operation) {
  for (uint32_t queue : config_.more_queues) {
    IoConfig config = config_;
    config.queue = queue;
    config.more_queues.clear();
    config.tx_stamps = false;
    more_.push_back(std::make_unique<Queue>(config, program_));
  }
  if (more_.empty()) return;
  std::string queues = std::to_string(config_.queue);
  for (uint32_t queue : config_.more_queues) queues += ", " + std::to_string(queue);
  notes_.push_back("it receives by queues " + queues + ", over which " + config_.link.interface_name +
                   " spreads what comes, and sends by queue " + std::to_string(config_.queue));
}

AfXdpIo::~AfXdpIo() {
  more_.clear();
  program_->withdraw(config_.queue);  // no frame is directed here any more
  program_.reset();
  fd_ = Fd();
  unmap();
}

void AfXdpIo::unmap() noexcept {
  unmap_ring(fill_);
  unmap_ring(completion_);
  unmap_ring(rx_);
  unmap_ring(tx_);
  if (umem_ != nullptr) munmap(umem_, umem_size_);
  umem_ = nullptr;
}

void AfXdpIo::make_umem(const std::string& operation) {
  bool stamped = config_.tx_stamps && config_.timestamps != Provenance::tsc;
  metadata_size_ = stamped ? sizeof(TxMetadata) : 0;
  chunk_size_ = chunk_size(config_.link, operation);
  // One half is received into, the other half sent from.
  uint32_t chunks = (sends_ ? 2 : 1) * config_.ring_size;
  umem_size_ = size_t{chunks} * chunk_size_;
  void* memory =
      mmap(nullptr, umem_size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED) throw system_error(operation + " (memory for frames)", errno);
  umem_ = static_cast<uint8_t*>(memory);
  UmemRegistration registration{reinterpret_cast<uint64_t>(umem_), umem_size_, chunk_size_, 0, 0, 0};
  if (stamped) {
    registration.flags = UMEM_TX_METADATA_LEN;
    registration.tx_metadata_len = metadata_size_;
  }
  if (setsockopt(fd_.get(), SOL_XDP, XDP_UMEM_REG, &registration, sizeof registration) != 0) {
    const char* hint = stamped && errno == EINVAL
                           ? "timestamps of sent frames on af_xdp need Linux 6.11: try --timestamps tsc"
                           : "";
    throw system_error(operation + " (XDP_UMEM_REG)", errno, hint);
  }
  if (!sends_) return;
  tx_free_.reserve(config_.ring_size);
  tx_index_.resize(chunks);
  if (stamped) stamps_.resize(config_.ring_size);
  for (uint32_t i = 0; i < config_.ring_size; i++) {
    tx_free_.push_back(uint64_t{chunks - 1 - i} * chunk_size_);
  }
}

void AfXdpIo::make_rings(const std::string& operation) {
  int size = static_cast<int>(config_.ring_size);
  for (int ring : {XDP_UMEM_FILL_RING, XDP_UMEM_COMPLETION_RING, XDP_RX_RING, XDP_TX_RING}) {
    if (ring == XDP_TX_RING && !sends_) continue;
    set_option(fd_.get(), SOL_XDP, ring, size, operation + " (ring of " + std::to_string(size) + ")");
  }
  xdp_mmap_offsets offsets{};
  socklen_t length = sizeof offsets;
  if (getsockopt(fd_.get(), SOL_XDP, XDP_MMAP_OFFSETS, &offsets, &length) != 0) {
    throw system_error(operation + " (XDP_MMAP_OFFSETS)", errno);
  }
  map_ring(fill_, fd_.get(), offsets.fr, config_.ring_size, XDP_UMEM_PGOFF_FILL_RING, operation);
  map_ring(completion_, fd_.get(), offsets.cr, config_.ring_size, XDP_UMEM_PGOFF_COMPLETION_RING, operation);
  map_ring(rx_, fd_.get(), offsets.rx, config_.ring_size, XDP_PGOFF_RX_RING, operation);
  if (sends_) map_ring(tx_, fd_.get(), offsets.tx, config_.ring_size, XDP_PGOFF_TX_RING, operation);
  for (uint32_t i = 0; i < config_.ring_size; i++) fill_.entries[fill_.head++] = uint64_t{i} * chunk_size_;
  publish_produced(fill_);
}

void AfXdpIo::bind_socket(int interface, const std::string& operation) {
  if (config_.busy_poll_us > 0) {
    set_option(fd_.get(), SOL_SOCKET, SO_PREFER_BUSY_POLL_, 1, operation + " (SO_PREFER_BUSY_POLL)");
    set_option(fd_.get(), SOL_SOCKET, SO_BUSY_POLL, static_cast<int>(config_.busy_poll_us),
               operation + " (SO_BUSY_POLL)");
    set_option(fd_.get(), SOL_SOCKET, SO_BUSY_POLL_BUDGET_, BUSY_POLL_BUDGET,
               operation + " (SO_BUSY_POLL_BUDGET)");
    busy_poll_ = true;
  }
  sockaddr_xdp address{};
  address.sxdp_family = AF_XDP;
  address.sxdp_ifindex = static_cast<uint32_t>(interface);
  address.sxdp_queue_id = config_.queue;
  address.sxdp_flags = XDP_USE_NEED_WAKEUP;
  if (config_.copy_mode == "copy" || std::string(program_->mode()) == "generic")
    address.sxdp_flags |= XDP_COPY;
  if (config_.copy_mode == "zero-copy") address.sxdp_flags |= XDP_ZEROCOPY;
  // The kernel gives a queue back a moment after the socket that had it was closed: a run right after another
  // one would be refused.
  int result = -1;
  for (int tries = 0; tries < BIND_TRIES && result != 0; tries++) {
    if (tries > 0) usleep(BIND_PAUSE_US);
    result = bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
    if (result != 0 && errno != EBUSY) break;
  }
  if (result != 0) {
    std::string hint;
    if (errno == EBUSY)
      hint =
          "the queue already has a socket: ss --xdp -ap says whose, where the kernel can tell; end that "
          "program or "
          "pass another --queue";
    if (errno == EINVAL) {
      hint = "is there such a queue? ethtool -l " + config_.link.interface_name + " shows how many there are";
      // The kernel says the same of a queue that is there and whose driver has no zero-copy for it.
      if (config_.copy_mode == "zero-copy")
        hint += "; if there is, the driver refuses zero-copy for it: use --copy-mode auto or copy";
    }
    if (errno == EOPNOTSUPP) hint = "the driver has no zero-copy: use --copy-mode auto or copy";
    throw system_error(operation, errno, hint);
  }
  xdp_options options{};
  socklen_t size = sizeof options;
  bool zero_copy = getsockopt(fd_.get(), SOL_XDP, XDP_OPTIONS, &options, &size) == 0 &&
                   (options.flags & XDP_OPTIONS_ZEROCOPY) != 0;
  notes_.push_back(std::string(zero_copy ? "zero-copy" : "copy") + " mode, " + program_->mode() + " XDP" +
                   (program_->lacks_native()
                        ? " (the driver " + driver_name(config_.link) + " has none of its own)"
                        : "") +
                   ", queue " + std::to_string(config_.queue) + ", rings of " +
                   std::to_string(config_.ring_size) + " frames");
  if (config_.filter) {
    notes_.push_back(filters() ? "the filter is in the driver"
                               : "the filter runs in this thread: " + program_->why_no_filter());
  }
}

uint32_t AfXdpIo::rx_peek(std::span<Frame> frames) noexcept {
  return more_.empty() ? peek(frames) : peek_in_turn(frames);
}

// Of the queue that follows the one that was looked at last, as none is to wait for the others.
uint32_t AfXdpIo::peek_in_turn(std::span<Frame> frames) noexcept {
  for (size_t tries = 0; tries <= more_.size(); tries++) {
    peeked_ = peeked_ == OWN ? 0 : peeked_ + 1 == more_.size() ? OWN : peeked_ + 1;
    uint32_t count = peeked_ == OWN ? peek(frames) : more_[peeked_]->io.peek(frames);
    if (count != 0) return count;
  }
  return 0;
}

void AfXdpIo::rx_release(uint32_t count) noexcept {
  if (peeked_ == OWN) return release(count);
  more_[peeked_]->io.release(count);
}

uint32_t AfXdpIo::peek(std::span<Frame> frames) noexcept {
  uint32_t count = std::min(available(rx_), static_cast<uint32_t>(frames.size()));
  if (count == 0) {
    // Only a driver that sleeps until it is called, or busy polling, needs the system call.
    if (busy_poll_ || (__atomic_load_n(fill_.flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP) != 0)
        [[unlikely]] {
      recvfrom(fd_.get(), nullptr, 0, MSG_DONTWAIT, nullptr, nullptr);
    }
    return 0;
  }
  for (uint32_t i = 0; i < count; i++) {
    const xdp_desc& descriptor = rx_.entries[(rx_.head + i) & rx_.mask];
    uint8_t* data = umem_ + descriptor.addr;
    uint64_t stamp_ns = 0;
    if (config_.rx_stamps) memcpy(&stamp_ns, data - sizeof stamp_ns, sizeof stamp_ns);
    frames[i] = {data, descriptor.len, false, stamp_ns};
  }
  rx_.head += count;
  return count;
}

void AfXdpIo::release(uint32_t count) noexcept {
  // A received frame's chunk goes straight back to be filled again.
  uint64_t chunk_mask = ~uint64_t{chunk_size_ - 1};
  for (uint32_t i = 0; i < count; i++) {
    uint64_t address = rx_.entries[rx_released_++ & rx_.mask].addr;
    fill_.entries[fill_.head++ & fill_.mask] = address & chunk_mask;
  }
  publish_produced(fill_);
  __atomic_store_n(rx_.consumer, rx_released_, __ATOMIC_RELEASE);
}

uint32_t AfXdpIo::tx_reserve(std::span<Frame> frames) noexcept {
  if (tx_outstanding_ > 0) reclaim();
  uint32_t count = std::min(static_cast<uint32_t>(tx_free_.size()), static_cast<uint32_t>(frames.size()));
  for (uint32_t i = 0; i < count; i++) {
    uint64_t address = tx_free_[tx_free_.size() - 1 - i] + metadata_size_;
    frames[i] = {umem_ + address, chunk_size_ - metadata_size_, false, 0};
  }
  if (count < frames.size()) {
    counters_.tx_full.add(frames.size() - count);
    kick();  // the kernel may have stopped half way
  }
  return count;
}

uint32_t AfXdpIo::tx_submit(std::span<const Frame> frames) noexcept {
  for (const Frame& frame : frames) {
    uint64_t address = static_cast<uint64_t>(frame.data - umem_);
    xdp_desc& descriptor = tx_.entries[tx_.head++ & tx_.mask];
    descriptor = {address, frame.length, 0};
    if (metadata_size_ != 0) {
      descriptor.options = DESC_TX_METADATA;
      TxMetadata metadata{TXMD_FLAGS_TIMESTAMP, 0, 0};
      memcpy(frame.data - sizeof metadata, &metadata, sizeof metadata);
      tx_index_[address / chunk_size_] = tx_count_;
    }
    tx_count_++;
  }
  tx_free_.resize(tx_free_.size() - frames.size());
  tx_outstanding_ += static_cast<uint32_t>(frames.size());
  publish_produced(tx_);
  if ((__atomic_load_n(tx_.flags, __ATOMIC_RELAXED) & XDP_RING_NEED_WAKEUP) != 0) kick();
  return static_cast<uint32_t>(frames.size());
}

void AfXdpIo::rest(uint64_t most_ns) const noexcept {
  std::array<pollfd, XdpProgram::QUEUES> wanted;
  size_t count = 0;
  wanted[count++] = {fd_.get(), POLLIN, 0};
  for (const auto& queue : more_) wanted[count++] = {queue->io.fd_.get(), POLLIN, 0};
  timespec most{static_cast<time_t>(most_ns / 1'000'000'000), static_cast<long>(most_ns % 1'000'000'000)};
  ppoll(wanted.data(), count, &most, nullptr);
}

void AfXdpIo::kick() noexcept {
  for (int tries = 0; tries < KICK_TRIES; tries++) {
    ++counters_.wakeups;
    if (sendto(fd_.get(), nullptr, 0, MSG_DONTWAIT, nullptr, 0) >= 0) return;
    // Copy mode sends at most 32 frames a call and then says EAGAIN; all of these mean "again".
    if (errno != EAGAIN && errno != EBUSY && errno != ENOBUFS) break;
  }
  if (errno == ENETDOWN || errno == ENXIO || errno == ENODEV) ++counters_.link_errors;
}

void AfXdpIo::reclaim() noexcept {
  uint32_t count = available(completion_);
  if (count == 0) return;
  for (uint32_t i = 0; i < count; i++) {
    uint64_t address = completion_.entries[completion_.head++ & completion_.mask];
    if (metadata_size_ != 0) {
      TxMetadata metadata;
      memcpy(&metadata, umem_ + address - sizeof metadata, sizeof metadata);
      uint32_t next = (stamps_head_ + 1) & (config_.ring_size - 1);
      if (metadata.tx_timestamp != 0 && next != stamps_tail_) {
        stamps_[stamps_head_] = {tx_index_[address / chunk_size_], metadata.tx_timestamp};
        stamps_head_ = next;
      }
    }
    tx_free_.push_back(address & ~uint64_t{chunk_size_ - 1});
  }
  publish_consumed(completion_);
  tx_outstanding_ -= count;
}

uint32_t AfXdpIo::tx_stamps(std::span<TxStamp> stamps) noexcept {
  if (tx_outstanding_ > 0) reclaim();
  uint32_t count = 0;
  while (count < stamps.size() && stamps_tail_ != stamps_head_) {
    stamps[count++] = stamps_[stamps_tail_];
    stamps_tail_ = (stamps_tail_ + 1) & (config_.ring_size - 1);
  }
  return count;
}

void AfXdpIo::settle() noexcept {
  xdp_statistics statistics{};
  socklen_t size = sizeof statistics;
  if (getsockopt(fd_.get(), SOL_XDP, XDP_STATISTICS, &statistics, &size) == 0) {
    // The kernel counts a frame for which the fill ring had no buffer among those dropped, too (__xsk_rcv()
    // in net/xdp/xsk.c): here each is in one counter.
    uint64_t unfilled = std::min(statistics.rx_fill_ring_empty_descs, statistics.rx_dropped);
    counters_.rx_ring_drops.set(statistics.rx_dropped - unfilled + statistics.rx_ring_full);
    counters_.tx_invalid.set(statistics.tx_invalid_descs);
    counters_.fill_ring_empty.set(unfilled);
  }
  for (auto& queue : more_) {
    queue->io.settle();
    counters_.rx_ring_drops.add(queue->counters.rx_ring_drops.get());
    counters_.fill_ring_empty.add(queue->counters.fill_ring_empty.get());
  }
  if (owns_program_ && filters()) counters_.filtered.set(program_->filtered());
  if (owns_program_) count_unserved();
  if (owns_redirect_) {
    std::array<uint64_t, 2> sums{};
    if (program_->sum_cpus("owns", sums)) {
      counters_.passed_on.set(sums[0]);
      counters_.unserved_queue.set(sums[1]);
    }
  }
}

void AfXdpIo::count_unserved() noexcept {
  unserved_queues found{};
  if (!program_->read("unserved", &found)) return;
  for (uint32_t queue = 0; queue < UNSERVED_QUEUES; queue++)
    counters_.unserved_by_queue[queue].set(found.frames[queue]);
}

static_assert(PacketIo<AfXdpIo>);
static_assert(UNSERVED_QUEUES == IoCounters::QUEUES);

}  // namespace carom
