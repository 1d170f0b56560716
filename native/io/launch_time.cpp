#include "io/launch_time.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <functional>

#include "io/socket.h"

namespace carom {
namespace {

// From <linux/netdev.h> of newer kernels; Debian 12's header is older than what runs.
constexpr uint8_t NETDEV_CMD_DEV_GET_ = 1;
constexpr uint16_t NETDEV_A_DEV_IFINDEX_ = 1;
constexpr uint16_t NETDEV_A_DEV_XSK_FEATURES_ = 6;
constexpr uint64_t XSK_FLAGS_TX_LAUNCH_TIME_FIFO = 4;

using Attribute = std::function<void(uint16_t type, const uint8_t* data, size_t size)>;

// One request with one attribute, and the attributes of its answer; none where the kernel refuses it.
void ask(const Fd& socket, uint16_t family, uint8_t command, uint16_t type, const void* value, uint16_t size,
         const Attribute& attribute) {
  alignas(4) std::array<uint8_t, 256> request{};
  auto* header = reinterpret_cast<nlmsghdr*>(request.data());
  header->nlmsg_type = family;
  header->nlmsg_flags = NLM_F_REQUEST;
  auto* generic = reinterpret_cast<genlmsghdr*>(request.data() + NLMSG_HDRLEN);
  generic->cmd = command;
  generic->version = 1;
  auto* first = reinterpret_cast<nlattr*>(request.data() + NLMSG_HDRLEN + GENL_HDRLEN);
  first->nla_type = type;
  first->nla_len = static_cast<uint16_t>(NLA_HDRLEN + size);
  memcpy(reinterpret_cast<uint8_t*>(first) + NLA_HDRLEN, value, size);
  header->nlmsg_len = static_cast<uint32_t>(NLMSG_HDRLEN + GENL_HDRLEN + NLA_ALIGN(first->nla_len));
  alignas(4) std::array<uint8_t, 16384> answer{};
  if (send(socket.get(), request.data(), header->nlmsg_len, 0) < 0) return;
  ssize_t got = recv(socket.get(), answer.data(), answer.size(), 0);
  const auto* back = reinterpret_cast<const nlmsghdr*>(answer.data());
  if (got < static_cast<ssize_t>(NLMSG_HDRLEN + GENL_HDRLEN) || back->nlmsg_type != family) return;
  size_t end = std::min<size_t>(static_cast<size_t>(got), back->nlmsg_len);
  for (size_t at = NLMSG_HDRLEN + GENL_HDRLEN; at + NLA_HDRLEN <= end;) {
    const auto* found = reinterpret_cast<const nlattr*>(answer.data() + at);
    if (found->nla_len < NLA_HDRLEN || at + found->nla_len > end) return;
    attribute(found->nla_type & NLA_TYPE_MASK, answer.data() + at + NLA_HDRLEN,
              static_cast<size_t>(found->nla_len - NLA_HDRLEN));
    at += NLA_ALIGN(found->nla_len);
  }
}

}  // namespace

bool has_launch_time(const Link& link) {
  uint32_t interface = if_nametoindex(link.interface_name.c_str());
  Fd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
  if (!socket.open() || interface == 0) return false;
  uint16_t family = 0;
  ask(socket, GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME, "netdev", sizeof "netdev",
      [&](uint16_t type, const uint8_t* data, size_t size) {
        if (type == CTRL_ATTR_FAMILY_ID && size == sizeof family) memcpy(&family, data, size);
      });
  uint64_t features = 0;
  if (family == 0) return false;
  ask(socket, family, NETDEV_CMD_DEV_GET_, NETDEV_A_DEV_IFINDEX_, &interface, sizeof interface,
      [&](uint16_t type, const uint8_t* data, size_t size) {
        if (type == NETDEV_A_DEV_XSK_FEATURES_ && size == sizeof features) memcpy(&features, data, size);
      });
  return (features & XSK_FLAGS_TX_LAUNCH_TIME_FIFO) != 0;
}

}  // namespace carom
