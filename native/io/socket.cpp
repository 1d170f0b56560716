#include "io/socket.h"

#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <numeric>

#include "core/error.h"

namespace carom {
namespace {

constexpr uint32_t RSS_TABLE_MAX = 1 << 16;      // entries; drivers have some hundreds
constexpr uint32_t FRAME_OVERHEAD = 14 + 4 + 4;  // Ethernet, VLAN, room for an FCS that some drivers leave

bool interface_is_up(const std::string& name) {
  Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  strncpy(request.ifr_name, name.c_str(), IFNAMSIZ - 1);
  return ioctl(fd.get(), SIOCGIFFLAGS, &request) == 0 && (request.ifr_flags & IFF_UP) != 0;
}

// ethtool's question, which the answer takes the place of. Returns whether the driver has one.
bool ask_driver(const Link& link, void* question) {
  Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  strncpy(request.ifr_name, link.interface_name.c_str(), sizeof request.ifr_name - 1);
  request.ifr_data = static_cast<char*>(question);
  return fd.open() && ioctl(fd.get(), SIOCETHTOOL, &request) == 0;
}

void join(int fd, const Group& group, int interface, const std::string& operation) {
  if (group.ipv6) {
    ipv6_mreq request{};
    memcpy(&request.ipv6mr_multiaddr, group.address, 16);
    request.ipv6mr_interface = static_cast<unsigned>(interface);
    set_option(fd, IPPROTO_IPV6, IPV6_JOIN_GROUP, &request, sizeof request, operation + " (join the group)");
    return;
  }
  ip_mreqn request{};
  memcpy(&request.imr_multiaddr, group.address, 4);
  request.imr_ifindex = interface;
  set_option(fd, IPPROTO_IP, IP_ADD_MEMBERSHIP, &request, sizeof request, operation + " (join the group)");
}

}  // namespace

std::string operation_text(const char* backend, const Link& link, const std::string& what) {
  return std::string(backend) + " on " + link.interface_name + ": " + what;
}

void set_option(int fd, int level, int name, const void* value, socklen_t size,
                const std::string& operation) {
  if (setsockopt(fd, level, name, value, size) != 0) throw system_error(operation, errno);
}

void set_option(int fd, int level, int name, int value, const std::string& operation) {
  set_option(fd, level, name, &value, sizeof value, operation);
}

int interface_index(const char* backend, const Link& link) {
  unsigned index = if_nametoindex(link.interface_name.c_str());
  if (index == 0) {
    throw Error(ErrorCode::environment, operation_text(backend, link, "find the interface"),
                errno_text(errno), "ip -br link shows which interfaces there are");
  }
  if (!interface_is_up(link.interface_name)) {
    throw Error(ErrorCode::environment, operation_text(backend, link, "use the interface"), "it is down",
                "ip link set " + link.interface_name + " up");
  }
  return static_cast<int>(index);
}

// One socket for both families where the link has both, so that one system call receives from either.
Fd open_udp_socket(const char* backend, const IoConfig& config, uint16_t port, bool join_groups) {
  const Link& link = config.link;
  const std::string operation = operation_text(backend, link, "UDP port " + std::to_string(port));
  int interface = interface_index(backend, link);
  bool ipv6 = link.has_address6;
  Fd fd(socket(ipv6 ? AF_INET6 : AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.open()) throw system_error(operation, errno);
  set_option(fd.get(), SOL_SOCKET, SO_BINDTODEVICE, link.interface_name.c_str(),
             static_cast<socklen_t>(link.interface_name.size()), operation + " (SO_BINDTODEVICE)");
  set_option(fd.get(), IPPROTO_IP, IP_MULTICAST_ALL, 0, operation + " (IP_MULTICAST_ALL)");
  if (ipv6) {
    set_option(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, 0, operation + " (IPV6_V6ONLY)");
    set_option(fd.get(), IPPROTO_IPV6, IPV6_MULTICAST_ALL, 0, operation + " (IPV6_MULTICAST_ALL)");
  }
  sockaddr_in6 address6{};
  address6.sin6_family = AF_INET6;
  address6.sin6_port = htons(port);
  sockaddr_in address4{};
  address4.sin_family = AF_INET;
  address4.sin_port = htons(port);
  const void* address = ipv6 ? static_cast<const void*>(&address6) : &address4;
  socklen_t size = ipv6 ? sizeof address6 : sizeof address4;
  if (bind(fd.get(), static_cast<const sockaddr*>(address), size) != 0) {
    const char* hint = errno == EADDRINUSE ? "another program has this port: ss -lunp shows which" : "";
    throw system_error(operation + " (bind)", errno, hint);
  }
  for (const Group& group : config.groups) {
    if (join_groups) join(fd.get(), group, interface, operation);
  }
  return fd;
}

Fd hold_port(const char* backend, const IoConfig& config) {
  Fd fd = open_udp_socket(backend, config, config.local_port, true);
  sock_filter reject[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
  sock_fprog program{1, reject};
  set_option(fd.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program,
             operation_text(backend, config.link, "hold the port (SO_ATTACH_FILTER)"));
  return fd;
}

uint32_t receive_queues(const Link& link, uint32_t otherwise) {
  ethtool_channels channels{};
  channels.cmd = ETHTOOL_GCHANNELS;
  if (!ask_driver(link, &channels)) return otherwise;
  uint32_t count = channels.rx_count + channels.combined_count;
  return count == 0 ? otherwise : count;
}

std::vector<uint32_t> spread_queues(const Link& link) {
  std::vector<uint32_t> words(sizeof(ethtool_rxfh_indir) / sizeof(uint32_t));
  auto table = [&] { return reinterpret_cast<ethtool_rxfh_indir*>(words.data()); };
  table()->cmd = ETHTOOL_GRXFHINDIR;  // asked without room it tells how much it wants
  std::vector<uint32_t> queues;
  if (ask_driver(link, table()) && table()->size != 0 && table()->size <= RSS_TABLE_MAX) {
    words.resize(words.size() + table()->size);
    if (ask_driver(link, table())) queues.assign(table()->ring_index, table()->ring_index + table()->size);
  }
  if (queues.empty()) {
    queues.resize(receive_queues(link, 0));
    std::iota(queues.begin(), queues.end(), 0);
  }
  std::ranges::sort(queues);
  const auto repeated = std::ranges::unique(queues);
  queues.erase(repeated.begin(), repeated.end());
  return queues;
}

uint32_t frame_buffer_size(const Link& link) { return std::bit_ceil(link.mtu + FRAME_OVERHEAD); }

}  // namespace carom
