#include "io/af_packet.h"

#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/net_tstamp.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/types.h>
// Needs the types above.
#include <pcap/pcap.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <ctime>

#include "core/clock.h"
#include "core/error.h"
#include "filter/packet_filter.h"
#include "io/launch.h"

namespace carom {
namespace {

constexpr uint32_t TAG_BYTES = 4;
constexpr uint32_t ADDRESSES_BYTES = 12;  // of an Ethernet header, in front of the tag
constexpr int KICK_TRIES = 16;            // the frames stay in the ring, and the next call takes them along

constexpr uint64_t BLOCKED_NS = 10'000'000;  // longer than a link is without any room while it sends

// Where the bytes of a frame begin in a slot of the TX ring.
constexpr uint32_t TX_DATA_OFFSET = TPACKET_ALIGN(sizeof(tpacket2_hdr));

uint32_t load_status(const uint8_t* slot) noexcept {
  const auto* header = reinterpret_cast<const tpacket2_hdr*>(slot);
  return __atomic_load_n(&header->tp_status, __ATOMIC_ACQUIRE);
}

// Of a frame to be sent, without what the kernel says about its stamp.
uint32_t tx_status(const uint8_t* slot) noexcept {
  return load_status(slot) & ~(TP_STATUS_TS_SOFTWARE | TP_STATUS_TS_RAW_HARDWARE);
}

void store_status(uint8_t* slot, uint32_t status) noexcept {
  auto* header = reinterpret_cast<tpacket2_hdr*>(slot);
  __atomic_store_n(&header->tp_status, status, __ATOMIC_RELEASE);
}

// UDP datagrams to one port, over IPv4 or IPv6, that the expression's code wants; everything else never
// reaches the ring. The expression is not asked about a frame whose tag the kernel took out: it would see
// another frame than the one that came.
void attach_filter(int fd, uint16_t port, std::span<const bpf_insn> expression,
                   const std::string& operation) {
  std::vector<sock_filter> code = {
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 12),  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IP, 0, 5),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 23),  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 9),
      BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 14), BPF_STMT(BPF_LD | BPF_H | BPF_IND, 16),
      BPF_JUMP(BPF_JMP | BPF_JA, 4, 0, 0),     BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ETH_P_IPV6, 0, 5),
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 20),  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 3),
      BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 56),  BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, port, 0, 1),
      BPF_STMT(BPF_JMP | BPF_JA, 1),           BPF_STMT(BPF_RET | BPF_K, 0),
  };
  if (!expression.empty()) {
    code.push_back(
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, static_cast<uint32_t>(SKF_AD_OFF + SKF_AD_VLAN_TAG_PRESENT)));
    code.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 0));
    code.push_back(BPF_STMT(BPF_RET | BPF_K, 0xffff));
  }
  for (const bpf_insn& from : expression) {
    code.push_back({static_cast<uint16_t>(from.code), static_cast<uint8_t>(from.jt),
                    static_cast<uint8_t>(from.jf), from.k});
  }
  if (expression.empty()) code.push_back(BPF_STMT(BPF_RET | BPF_K, 0xffff));
  sock_fprog program{static_cast<uint16_t>(code.size()), code.data()};
  set_option(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program, operation + " (SO_ATTACH_FILTER)");
}

// Puts the tag back that the kernel took out of a frame. There is room in front of it (PACKET_RESERVE).
uint8_t* restore_tag(uint8_t* frame, const tpacket2_hdr* header) noexcept {
  bool has_type = (header->tp_status & TP_STATUS_VLAN_TPID_VALID) != 0;
  const uint16_t tag[2] = {htons(has_type ? header->tp_vlan_tpid : ETH_P_8021Q), htons(header->tp_vlan_tci)};
  memmove(frame - TAG_BYTES, frame, ADDRESSES_BYTES);
  memcpy(frame - TAG_BYTES + ADDRESSES_BYTES, tag, TAG_BYTES);
  return frame - TAG_BYTES;
}

void set_ring(int fd, int which, uint32_t frame_size, uint32_t frames, const std::string& operation) {
  // Blocks of 64 KiB: physically contiguous memory of that size is nearly always there.
  uint32_t block_size = frame_size > 65536 ? frame_size : 65536;
  uint32_t per_block = block_size / frame_size;
  tpacket_req request{block_size, frames / per_block, frame_size, frames};
  set_option(fd, SOL_PACKET, which, &request, sizeof request, operation);
}

}  // namespace

std::string AfPacketIo::probe(const IoConfig& config, bool) {
  interface_index("af_packet", config.link);
  Fd fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
  return fd.open() ? "" : system_error("open a packet socket", errno).detail;
}

int AfPacketIo::stamp_clock() noexcept { return CLOCK_REALTIME; }

AfPacketIo::AfPacketIo(const IoConfig& config, IoCounters& counters) : config_(config), counters_(counters) {
  auto operation = [&](const char* what) { return operation_text("af_packet", config.link, what); };
  int interface = interface_index("af_packet", config.link);
  held_port_ = hold_port("af_packet", config);
  // Protocol 0 receives nothing until bind: no frame slips in before the filter is there.
  fd_ = Fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd_.open()) throw system_error(operation("open a packet socket"), errno);
  set_option(fd_.get(), SOL_PACKET, PACKET_VERSION, TPACKET_V2, operation("PACKET_VERSION"));
  set_option(fd_.get(), SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, operation("PACKET_IGNORE_OUTGOING"));
  if (config.launches) {
    request_launches(fd_.get(), operation("set up"));  // by the qdisc
  } else {
    set_option(fd_.get(), SOL_PACKET, PACKET_QDISC_BYPASS, 1, operation("PACKET_QDISC_BYPASS"));
  }
  if (config.rx_stamps) {
    // Which of its stamps the kernel copies into the ring; without it, the time at which it fills the slot.
    bool hardware = config.timestamps == Provenance::hardware;
    set_option(fd_.get(), SOL_PACKET, PACKET_TIMESTAMP,
               hardware ? SOF_TIMESTAMPING_RAW_HARDWARE : SOF_TIMESTAMPING_SOFTWARE,
               operation("PACKET_TIMESTAMP"));
  }
  if (config.busy_poll_us > 0) {
    set_option(fd_.get(), SOL_SOCKET, SO_BUSY_POLL, static_cast<int>(config.busy_poll_us),
               operation("SO_BUSY_POLL"));
  }
  attach(operation("set up"));
  set_option(fd_.get(), SOL_PACKET, PACKET_RESERVE, static_cast<int>(TAG_BYTES), operation("PACKET_RESERVE"));
  uint32_t header = TPACKET_ALIGN(TPACKET2_HDRLEN) + 16 + TAG_BYTES;
  frame_size_ = std::bit_ceil(config.link.mtu + 22 + header);
  mask_ = config.ring_size - 1;
  set_ring(fd_.get(), PACKET_RX_RING, frame_size_, config.ring_size,
           operation("make the RX ring (PACKET_RX_RING)"));
  set_ring(fd_.get(), PACKET_TX_RING, frame_size_, config.ring_size,
           operation("make the TX ring (PACKET_TX_RING)"));
  size_t one = size_t{frame_size_} * config.ring_size;
  ring_bytes_ = 2 * one;
  void* memory = mmap(nullptr, ring_bytes_, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd_.get(), 0);
  if (memory == MAP_FAILED) throw system_error(operation("map the rings"), errno);
  ring_ = rx_ring_ = static_cast<uint8_t*>(memory);
  tx_ring_ = rx_ring_ + one;
  try {
    request_timestamps(fd_.get(), config, operation("set up"));
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(config.receives ? ETH_P_ALL : 0);
    address.sll_ifindex = interface;
    if (bind(fd_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      throw system_error(operation("bind"), errno);
    }
  } catch (...) {
    munmap(ring_, ring_bytes_);
    throw;
  }
  notes_.push_back("TPACKET_V2 rings of " + std::to_string(config.ring_size) + " frames");
}

// The kernel's filter sees no tags: where frames have them, the thread decides. It looks at what the kernel
// lets through once more, as some of that may be tagged.
void AfPacketIo::attach(const std::string& operation) {
  std::vector<bpf_insn> expression;
  if (config_.filter) {
    if (config_.vlan < 0) expression = socket_code(*config_.filter);
    notes_.push_back(!expression.empty()
                         ? "the filter is attached to the socket, and the kernel does not count what it drops"
                     : config_.vlan < 0 ? "the filter runs in this thread: it is more than a socket takes"
                                        : "the filter runs in this thread: a socket's sees no VLAN tags");
  }
  attach_filter(fd_.get(), config_.local_port, expression, operation);
}

AfPacketIo::~AfPacketIo() {
  if (ring_ != nullptr) munmap(ring_, ring_bytes_);
}

uint32_t AfPacketIo::rx_peek(std::span<Frame> frames) noexcept {
  uint32_t count = 0;
  while (count < frames.size() && rx_head_ - rx_tail_ <= mask_) {
    uint8_t* slot = rx_slot(rx_head_);
    uint32_t status = load_status(slot);
    if ((status & TP_STATUS_USER) == 0) break;
    rx_head_++;
    const auto* header = reinterpret_cast<const tpacket2_hdr*>(slot);
    const auto* address = reinterpret_cast<const sockaddr_ll*>(slot + TPACKET_ALIGN(sizeof(tpacket2_hdr)));
    Frame& frame = frames[count++];
    frame.data = slot + header->tp_mac;
    // A frame for another MAC address is shown with no bytes: it is refused like any other that is too short.
    bool ours = address->sll_pkttype != PACKET_OTHERHOST;
    if (!ours) ++counters_.rx_other_host;
    frame.length = ours ? header->tp_snaplen : 0;
    if ((status & TP_STATUS_VLAN_VALID) != 0 && ours) {
      frame.data = restore_tag(frame.data, header);
      frame.length += TAG_BYTES;
    }
    frame.checksums_verified = (status & (TP_STATUS_CSUM_VALID | TP_STATUS_CSUMNOTREADY)) != 0;
    // The kernel stamps all frames of the machine once any program asks for it: what was not asked for is not
    // used.
    uint32_t wanted =
        config_.timestamps == Provenance::hardware ? TP_STATUS_TS_RAW_HARDWARE : TP_STATUS_TS_SOFTWARE;
    bool stamped = config_.rx_stamps && (status & wanted) != 0;
    frame.stamp_ns = stamped ? uint64_t{header->tp_sec} * 1'000'000'000 + header->tp_nsec : 0;
  }
  return count;
}

void AfPacketIo::rx_release(uint32_t count) noexcept {
  for (; count > 0; count--) store_status(rx_slot(rx_tail_++), TP_STATUS_KERNEL);
}

uint32_t AfPacketIo::tx_reserve(std::span<Frame> frames) noexcept {
  uint32_t count = 0;
  for (; count < frames.size(); count++) {
    uint8_t* slot = tx_slot(tx_head_ + count);
    if (tx_status(slot) != TP_STATUS_AVAILABLE) break;
    frames[count] = {slot + TX_DATA_OFFSET, frame_size_ - TX_DATA_OFFSET, false, 0};
  }
  if (count < frames.size()) counters_.tx_full.add(frames.size() - count);
  return count;
}

uint32_t AfPacketIo::tx_submit(std::span<const Frame> frames) noexcept {
  if (!config_.launches) [[likely]]
    return submit(frames);
  // A call sends all that the ring has, with the one launch time that is given to it.
  for (const Frame& frame : frames) {
    launch_ns_ = frame.stamp_ns;
    submit({&frame, 1});
  }
  return static_cast<uint32_t>(frames.size());
}

// Has the kernel send what is in the ring.
int AfPacketIo::kick() noexcept {
  if (!config_.launches) [[likely]]
    return static_cast<int>(send(fd_.get(), nullptr, 0, MSG_DONTWAIT));
  alignas(cmsghdr) uint8_t control[LAUNCH_CONTROL];
  msghdr message{};
  add_launch(message, control, launch_ns_);
  return static_cast<int>(sendmsg(fd_.get(), &message, MSG_DONTWAIT));
}

uint32_t AfPacketIo::submit(std::span<const Frame> frames) noexcept {
  uint32_t longest = 0;
  for (const Frame& frame : frames) {
    uint8_t* slot = tx_slot(tx_head_++);
    reinterpret_cast<tpacket2_hdr*>(slot)->tp_len = frame.length;
    store_status(slot, TP_STATUS_SEND_REQUEST);
    longest = std::max(longest, frame.length);
  }
  for (int tries = 0; tries < KICK_TRIES; tries++) {
    ++counters_.wakeups;
    if (kick() >= 0) {
      longest_sent_ = std::max(longest_sent_, longest);
      if (longest >= shortest_refused_) [[unlikely]]
        shortest_refused_ = UINT32_MAX;
      break;
    }
    int number = errno;
    if ((number == EMSGSIZE || number == EINVAL) && drop_refused()) {
      tries--;
      continue;
    }
    if (number == ENOBUFS && config_.launches) [[unlikely]] {
      // The qdisc has thrown it away, which the error queue tells; the ring would send it with the next one's
      // time.
      store_status(tx_slot(--tx_head_), TP_STATUS_AVAILABLE);
      tx_dropped_++;
      renumber();
      break;
    }
    if (number == ENOBUFS && tries + 1 == KICK_TRIES && drop_blocking()) {
      tries = -1;
      longest = 0;  // it may be of one that did not leave
    }
    if (number == EAGAIN || number == ENOBUFS) {
      renumber();
      continue;
    }
    if (number == ENETDOWN || number == ENXIO || number == ENODEV) ++counters_.link_errors;
    break;
  }
  return static_cast<uint32_t>(frames.size());
}

// The kernel stops at a frame that it refuses (too large with a tag that it does not allow for, say), marks
// it and waits for another one in its place (tpacket_snd() of net/packet/af_packet.c): those behind it move
// up.
bool AfPacketIo::drop_refused() noexcept {
  uint32_t at = tx_head_ - mask_ - 1;
  while (at != tx_head_ && tx_status(tx_slot(at)) != TP_STATUS_WRONG_FORMAT) at++;
  if (at == tx_head_) return false;
  drop(at);
  return true;
}

// A link that drops a frame of its own accord, as a veth does with one that is too long for its other end,
// looks to the kernel like one that has no room for it: it comes back to the same frame for ever, and none of
// those behind it leaves. Where none as long as this one has left, it is tried for a while, and then dropped.
// Returns whether it is worth trying again now.
bool AfPacketIo::drop_blocking() noexcept {
  uint32_t at = tx_head_ - mask_ - 1;
  while (at != tx_head_ && tx_status(tx_slot(at)) != TP_STATUS_SEND_REQUEST) at++;
  if (at == tx_head_) return false;
  uint32_t length = reinterpret_cast<const tpacket2_hdr*>(tx_slot(at))->tp_len;
  if (length <= longest_sent_ || !has_carrier()) return false;
  if (length < shortest_refused_) {
    uint64_t now_ns = Clock::get().now_ns();
    if (at != blocking_ || blocking_since_ns_ == 0) {
      blocking_ = at;
      blocking_since_ns_ = now_ns;
    }
    if (now_ns - blocking_since_ns_ < BLOCKED_NS) return true;
    shortest_refused_ = length;
  }
  blocking_since_ns_ = 0;
  drop(at);
  return true;
}

bool AfPacketIo::has_carrier() const noexcept {
  ifreq request{};
  config_.link.interface_name.copy(request.ifr_name, IFNAMSIZ - 1);
  return ioctl(fd_.get(), SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_RUNNING) != 0;
}

// Takes a frame out of those that wait in the ring; the ones behind it move up.
void AfPacketIo::drop(uint32_t at) noexcept {
  ++counters_.tx_invalid;
  for (; at + 1 != tx_head_; at++) {
    uint8_t* to = tx_slot(at);
    const uint8_t* from = tx_slot(at + 1);
    uint32_t length = reinterpret_cast<const tpacket2_hdr*>(from)->tp_len;
    memcpy(to + TX_DATA_OFFSET, from + TX_DATA_OFFSET, length);
    reinterpret_cast<tpacket2_hdr*>(to)->tp_len = length;
    store_status(to, TP_STATUS_SEND_REQUEST);
  }
  store_status(tx_slot(at), TP_STATUS_AVAILABLE);
  tx_head_ = at;
  tx_dropped_++;
  renumber();
}

// The kernel has not sent a frame, and may have given it a number all the same. All in front of it have left.
void AfPacketIo::renumber() noexcept {
  if (!config_.tx_stamps) return;
  uint32_t at = tx_head_ - mask_ - 1;
  while (at != tx_head_ && (tx_status(tx_slot(at)) & TP_STATUS_SEND_REQUEST) == 0) at++;
  stamps_.restart(fd_.get(), at + tx_dropped_, config_.timestamps);
}

uint32_t AfPacketIo::tx_stamps(std::span<TxStamp> stamps) noexcept {
  uint32_t count = stamps_.read(fd_.get(), stamps, config_.timestamps);
  counters_.launch_missed.set(stamps_.launches_missed());
  return count;
}

void AfPacketIo::settle() noexcept {
  tpacket_stats statistics{};
  socklen_t size = sizeof statistics;
  if (getsockopt(fd_.get(), SOL_PACKET, PACKET_STATISTICS, &statistics, &size) == 0) {
    counters_.rx_ring_drops.add(statistics.tp_drops);
  }
}

static_assert(PacketIo<AfPacketIo>);

}  // namespace carom
