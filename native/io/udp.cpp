#include "io/udp.h"

#include <linux/sock_diag.h>

#include <ctime>

#include "core/error.h"
#include "frame/headers.h"
#include "io/launch.h"

namespace carom {
namespace {

// Room for Ethernet and IPv6 headers in front of the payload; IPv4 frames begin further in.
constexpr uint32_t HEADROOM = ETHERNET_SIZE + IPV6_SIZE + UDP_SIZE;
constexpr uint32_t OPTIONS_SIZE = 4;    // in place of those a frame had: whoever sees them needs no more
constexpr uint8_t OPTION_NONE = 1;      // "no operation" (RFC 791, 3.1)
constexpr int SOCKET_BUFFER = 4 << 20;  // bytes; the kernel caps it at net.core.rmem_max

struct Arrival {
  uint8_t destination[16];
  bool destination_known = false;
  bool options = false;
  uint8_t ttl = 64;
};

void read_control(const msghdr& message, Arrival& arrival) noexcept {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr;
       c = CMSG_NXTHDR(const_cast<msghdr*>(&message), c)) {
    const uint8_t* data = CMSG_DATA(c);
    if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_PKTINFO) {
      memcpy(arrival.destination, data + offsetof(in_pktinfo, ipi_addr), 4);
      arrival.destination_known = true;
    } else if (c->cmsg_level == IPPROTO_IP && c->cmsg_type == IP_TTL) {
      arrival.ttl = data[0];
    } else if (c->cmsg_level == IPPROTO_IP && (c->cmsg_type == IP_RECVOPTS || c->cmsg_type == IP_RETOPTS)) {
      arrival.options = true;
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info;
      memcpy(&info, data, sizeof info);
      if (!IN6_IS_ADDR_V4MAPPED(&info.ipi6_addr)) memcpy(arrival.destination, &info.ipi6_addr, 16);
      arrival.destination_known |= !IN6_IS_ADDR_V4MAPPED(&info.ipi6_addr);
    } else if (c->cmsg_level == IPPROTO_IPV6 && c->cmsg_type == IPV6_HOPLIMIT) {
      arrival.ttl = data[0];
    }
  }
}

// The IPv4 address of a peer, or null for IPv6.
const uint8_t* address4_of(const sockaddr_in6& peer) noexcept {
  if (peer.sin6_family == AF_INET) {
    return reinterpret_cast<const uint8_t*>(&peer) + offsetof(sockaddr_in, sin_addr);
  }
  if (IN6_IS_ADDR_V4MAPPED(&peer.sin6_addr)) return peer.sin6_addr.s6_addr + 12;
  return nullptr;
}

}  // namespace

std::string UdpIo::probe(const IoConfig& config, bool) {
  interface_index("udp", config.link);
  return "";
}

int UdpIo::stamp_clock() noexcept { return CLOCK_REALTIME; }

UdpIo::UdpIo(const IoConfig& config, IoCounters& counters)
    : config_(config), buffer_size_(frame_buffer_size(config.link) + HEADROOM), counters_(counters) {
  const std::string operation = operation_text("udp", config.link, "set up");
  if (config.vlan >= 0) {
    throw Error(ErrorCode::usage, operation, "kernel sockets don't see VLAN tags",
                "make a VLAN interface (ip link add link " + config.link.interface_name +
                    " type vlan id …) and use that one, or another backend");
  }
  rx_ = open_udp_socket("udp", config, config.local_port, true);
  if (config.send_port != config.local_port)
    tx_own_ = open_udp_socket("udp", config, config.send_port, false);
  tx_ = tx_own_.open() ? tx_own_.get() : rx_.get();
  int interface = interface_index("udp", config.link);
  bool ipv6 = config.link.has_address6;
  set_option(rx_.get(), SOL_SOCKET, SO_RCVBUF, SOCKET_BUFFER, operation + " (SO_RCVBUF)");
  set_option(rx_.get(), IPPROTO_IP, IP_PKTINFO, 1, operation + " (IP_PKTINFO)");
  set_option(rx_.get(), IPPROTO_IP, IP_RECVTTL, 1, operation + " (IP_RECVTTL)");
  set_option(rx_.get(), IPPROTO_IP, IP_RECVOPTS, 1, operation + " (IP_RECVOPTS)");
  if (ipv6) {
    set_option(rx_.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, 1, operation + " (IPV6_RECVPKTINFO)");
    set_option(rx_.get(), IPPROTO_IPV6, IPV6_RECVHOPLIMIT, 1, operation + " (IPV6_RECVHOPLIMIT)");
    set_option(tx_, IPPROTO_IPV6, IPV6_MULTICAST_IF, interface, operation + " (IPV6_MULTICAST_IF)");
    set_option(tx_, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, config.ttl, operation + " (IPV6_MULTICAST_HOPS)");
    set_option(tx_, IPPROTO_IPV6, IPV6_MULTICAST_LOOP, 0, operation + " (IPV6_MULTICAST_LOOP)");
    set_option(tx_, IPPROTO_IPV6, IPV6_UNICAST_HOPS, config.ttl, operation + " (IPV6_UNICAST_HOPS)");
  }
  ip_mreqn multicast{};
  multicast.imr_ifindex = interface;
  set_option(tx_, IPPROTO_IP, IP_MULTICAST_IF, &multicast, sizeof multicast,
             operation + " (IP_MULTICAST_IF)");
  set_option(tx_, IPPROTO_IP, IP_MULTICAST_TTL, config.ttl, operation + " (IP_MULTICAST_TTL)");
  set_option(tx_, IPPROTO_IP, IP_MULTICAST_LOOP, 0, operation + " (IP_MULTICAST_LOOP)");
  set_option(tx_, IPPROTO_IP, IP_TTL, config.ttl, operation + " (IP_TTL)");
  if (config.busy_poll_us > 0) {
    set_option(rx_.get(), SOL_SOCKET, SO_BUSY_POLL, static_cast<int>(config.busy_poll_us),
               operation + " (SO_BUSY_POLL)");
  }
  IoConfig rx_only = config;
  rx_only.tx_stamps = config.tx_stamps && tx_ == rx_.get();
  request_timestamps(rx_.get(), rx_only, operation);
  if (tx_own_.open()) {
    IoConfig tx_only = config;
    tx_only.rx_stamps = false;
    request_timestamps(tx_, tx_only, operation);
  }
  if (config.launches) request_launches(tx_, operation);
  rx_buffers_ = std::make_unique<uint8_t[]>(size_t{BATCH} * buffer_size_);
  tx_buffers_ = std::make_unique<uint8_t[]>(size_t{BATCH} * buffer_size_);
  for (uint32_t i = 0; i < BATCH; i++) {
    rx_slots_[i].vector = {rx_buffers_.get() + size_t{i} * buffer_size_ + HEADROOM, buffer_size_ - HEADROOM};
    rx_messages_[i].msg_hdr.msg_iov = &rx_slots_[i].vector;
    rx_messages_[i].msg_hdr.msg_iovlen = 1;
    tx_messages_[i].msg_hdr.msg_iov = &tx_slots_[i].vector;
    tx_messages_[i].msg_hdr.msg_iovlen = 1;
    tx_messages_[i].msg_hdr.msg_name = &tx_slots_[i].peer;
  }
  notes_.push_back("kernel sockets: checksums, TTL and addresses are the kernel's work");
  if (config.filter) {
    notes_.push_back(
        "the filter runs in this thread, on headers made up from what the kernel tells: addresses, "
        "ports, TTL and payload are those of the frame");
  }
}

uint32_t UdpIo::rx_peek(std::span<Frame> frames) noexcept {
  uint32_t wanted = static_cast<uint32_t>(frames.size() < BATCH ? frames.size() : BATCH);
  for (uint32_t i = 0; i < wanted; i++) {
    msghdr& header = rx_messages_[i].msg_hdr;
    header.msg_name = &rx_slots_[i].peer;
    header.msg_namelen = sizeof rx_slots_[i].peer;
    header.msg_control = rx_slots_[i].control;
    header.msg_controllen = CONTROL_SIZE;
  }
  int count = recvmmsg(rx_.get(), rx_messages_.data(), wanted, MSG_DONTWAIT, nullptr);
  if (count <= 0) {
    // A datagram of ours that was refused ("port unreachable") shows here, too: it is the far side's doing.
    if (count < 0 && (errno == ENETDOWN || errno == ENODEV)) ++counters_.link_errors;
    return 0;
  }
  ++counters_.wakeups;
  for (uint32_t i = 0; i < static_cast<uint32_t>(count); i++)
    restore_headers(frames[i], rx_messages_[i], rx_slots_[i]);
  return static_cast<uint32_t>(count);
}

void UdpIo::restore_headers(Frame& frame, mmsghdr& message, Slot& slot) noexcept {
  Arrival arrival;
  read_control(message.msg_hdr, arrival);
  const uint8_t* source4 = address4_of(slot.peer);
  uint8_t* payload = static_cast<uint8_t*>(slot.vector.iov_base);
  uint8_t* udp = payload - UDP_SIZE;
  uint32_t options_size = source4 != nullptr && arrival.options ? OPTIONS_SIZE : 0;
  uint8_t* ip = udp - (source4 != nullptr ? IPV4_SIZE + options_size : IPV6_SIZE);
  uint32_t udp_length = UDP_SIZE + message.msg_len;
  store_be16(udp, ntohs(slot.peer.sin6_port));  // at the same place in a sockaddr_in
  store_be16(udp + 2, config_.local_port);
  store_be16(udp + 4, static_cast<uint16_t>(udp_length));
  store_be16(udp + 6, 0);
  if (source4 != nullptr) {
    memset(ip, 0, IPV4_SIZE);
    memset(ip + IPV4_SIZE, OPTION_NONE, options_size);
    ip[0] = static_cast<uint8_t>(0x45 + options_size / 4);
    store_be16(ip + 2, static_cast<uint16_t>(IPV4_SIZE + options_size + udp_length));
    ip[8] = arrival.ttl;
    ip[9] = PROTOCOL_UDP;
    memcpy(ip + 12, source4, 4);
    memcpy(ip + 16, arrival.destination_known ? arrival.destination : config_.link.address4, 4);
  } else {
    memset(ip, 0, IPV6_SIZE);
    ip[0] = 0x60;
    store_be16(ip + 4, static_cast<uint16_t>(udp_length));
    ip[6] = PROTOCOL_UDP;
    ip[7] = arrival.ttl;
    memcpy(ip + 8, &slot.peer.sin6_addr, 16);
    memcpy(ip + 24, arrival.destination_known ? arrival.destination : config_.link.address6, 16);
  }
  uint8_t* ethernet = ip - ETHERNET_SIZE;
  memcpy(ethernet, config_.link.mac, 6);
  memset(ethernet + 6, 0, 6);  // the kernel finds the way back itself
  store_be16(ethernet + 12, source4 != nullptr ? ETHERTYPE_IPV4 : ETHERTYPE_IPV6);
  frame.data = ethernet;
  frame.length = static_cast<uint32_t>(payload - ethernet) + message.msg_len;
  frame.checksums_verified = true;
  frame.stamp_ns = config_.rx_stamps ? stamp_of(message.msg_hdr, config_.timestamps) : 0;
}

uint32_t UdpIo::tx_reserve(std::span<Frame> frames) noexcept {
  uint32_t count = static_cast<uint32_t>(frames.size() < BATCH ? frames.size() : BATCH);
  for (uint32_t i = 0; i < count; i++) {
    frames[i] = {tx_buffers_.get() + size_t{i} * buffer_size_, buffer_size_, false, 0};
  }
  return count;
}

// The frame's traffic class: of each datagram, as the frames of several streams may differ.
void UdpIo::write_control(msghdr& header, Slot& slot, bool ipv6, int traffic_class) noexcept {
  header.msg_control = nullptr;
  header.msg_controllen = 0;
  if (traffic_class == 0) return;
  auto* control = reinterpret_cast<cmsghdr*>(slot.control);
  control->cmsg_level = ipv6 ? IPPROTO_IPV6 : IPPROTO_IP;
  control->cmsg_type = ipv6 ? IPV6_TCLASS : IP_TOS;
  control->cmsg_len = CMSG_LEN(sizeof traffic_class);
  memcpy(CMSG_DATA(control), &traffic_class, sizeof traffic_class);
  header.msg_control = slot.control;
  header.msg_controllen = CMSG_SPACE(sizeof traffic_class);
}

uint32_t UdpIo::tx_submit(std::span<const Frame> frames) noexcept {
  uint32_t count = static_cast<uint32_t>(frames.size());
  bool ipv6_socket = config_.link.has_address6;
  for (uint32_t i = 0; i < count; i++) {
    const Frame& frame = frames[i];
    Slot& slot = tx_slots_[i];
    const uint8_t* ip = frame.data + ETHERNET_SIZE;
    bool ipv6 = load_be16(frame.data + 12) == ETHERTYPE_IPV6;
    uint32_t header = ETHERNET_SIZE + (ipv6 ? IPV6_SIZE : IPV4_SIZE) + UDP_SIZE;
    const uint8_t* udp = frame.data + header - UDP_SIZE;
    slot.vector = {frame.data + header, frame.length - header};
    write_control(tx_messages_[i].msg_hdr, slot, ipv6, ipv6 ? load_be16(ip) >> 4 & 0xff : ip[1]);
    if (config_.launches) [[unlikely]]
      add_launch(tx_messages_[i].msg_hdr, slot.control, frame.stamp_ns);
    memset(&slot.peer, 0, sizeof slot.peer);
    uint16_t port;
    memcpy(&port, udp + 2, 2);
    if (ipv6_socket) {
      slot.peer.sin6_family = AF_INET6;
      slot.peer.sin6_port = port;
      if (ipv6) {
        memcpy(&slot.peer.sin6_addr, ip + 24, 16);
      } else {
        slot.peer.sin6_addr.s6_addr[10] = slot.peer.sin6_addr.s6_addr[11] = 0xff;
        memcpy(slot.peer.sin6_addr.s6_addr + 12, ip + 16, 4);
      }
      tx_messages_[i].msg_hdr.msg_namelen = sizeof(sockaddr_in6);
    } else {
      sockaddr_in address{};
      address.sin_family = AF_INET;
      address.sin_port = port;
      memcpy(&address.sin_addr, ip + 16, 4);
      memcpy(&slot.peer, &address, sizeof address);
      tx_messages_[i].msg_hdr.msg_namelen = sizeof(sockaddr_in);
    }
  }
  uint32_t done = 0;
  while (done < count) {
    int sent = send_some(done, count - done);
    int number = errno;
    // Too long for what the route carries, or forbidden by the machine's packet filter: it would be so again.
    bool is_refused =
        sent < 0 && (number == EMSGSIZE || number == EPERM || number == EACCES || number == EINVAL);
    uint32_t over = sent > 0 ? static_cast<uint32_t>(sent) : is_refused ? 1 : 0;
    counters_.tx_invalid.add(is_refused);
    submitted_ += over;
    done += over;
    if (done < count || is_refused) renumber();
    if (over > 0) continue;  // the next one tells why it stopped
    if (number == ENETDOWN || number == ENODEV || number == ENETUNREACH) ++counters_.link_errors;
    break;
  }
  if (done < count) counters_.tx_refused.add(count - done);
  return done;
}

int UdpIo::send_some(uint32_t from, uint32_t count) noexcept {
  ++counters_.wakeups;
  int sent = sendmmsg(tx_, &tx_messages_[from], count, MSG_DONTWAIT);
  // A pending error of an earlier datagram is reported once, in the place of sending: the next call sends.
  if (sent < 0 && errno == ECONNREFUSED) {
    renumber();
    sent = sendmmsg(tx_, &tx_messages_[from], count, MSG_DONTWAIT);
  }
  return sent;
}

void UdpIo::renumber() noexcept {
  if (config_.tx_stamps) stamps_.restart(tx_, submitted_, config_.timestamps);
}

uint32_t UdpIo::tx_stamps(std::span<TxStamp> stamps) noexcept {
  uint32_t count = stamps_.read(tx_, stamps, config_.timestamps);
  counters_.launch_missed.set(stamps_.launches_missed());
  return count;
}

void UdpIo::settle() noexcept {
  uint32_t memory[SK_MEMINFO_VARS];
  socklen_t size = sizeof memory;
  if (getsockopt(rx_.get(), SOL_SOCKET, SO_MEMINFO, memory, &size) == 0) {
    counters_.rx_ring_drops.set(memory[SK_MEMINFO_DROPS]);
  }
}

static_assert(PacketIo<UdpIo>);

}  // namespace carom
