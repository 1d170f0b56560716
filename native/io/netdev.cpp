#include "io/netdev.h"

#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <optional>
#include <span>

#include "io/socket.h"

namespace carom {
namespace {

// From <linux/netdev.h> of newer kernels, which Debian 12 does not have.
constexpr uint8_t DEV_GET = 1;                 // NETDEV_CMD_DEV_GET
constexpr uint16_t DEV_IFINDEX = 1;            // NETDEV_A_DEV_IFINDEX
constexpr uint16_t DEV_XDP_FEATURES = 3;       // NETDEV_A_DEV_XDP_FEATURES
constexpr uint16_t DEV_XSK_FEATURES = 6;       // NETDEV_A_DEV_XSK_FEATURES
constexpr uint64_t TAKES_REDIRECTED = 1 << 2;  // NETDEV_XDP_ACT_NDO_XMIT
constexpr uint64_t HAS_LAUNCH_TIME = 1 << 2;   // NETDEV_XSK_FLAGS_TX_LAUNCH_TIME_FIFO

// The attributes of a generic netlink answer; everything in it is checked for its bounds.
class Attributes {
 public:
  explicit Attributes(std::span<const uint8_t> bytes) : bytes_(bytes) {}

  template <class T>
  std::optional<T> find(uint16_t wanted) const {
    for (auto rest = bytes_; rest.size() >= sizeof(nlattr);) {
      nlattr header;
      memcpy(&header, rest.data(), sizeof header);
      if (header.nla_len < sizeof header || header.nla_len > rest.size()) break;
      if ((header.nla_type & NLA_TYPE_MASK) == wanted && header.nla_len >= sizeof header + sizeof(T)) {
        T value;
        memcpy(&value, rest.data() + sizeof header, sizeof value);
        return value;
      }
      rest = rest.subspan(std::min<size_t>(NLA_ALIGN(header.nla_len), rest.size()));
    }
    return std::nullopt;
  }

 private:
  std::span<const uint8_t> bytes_;
};

// One question with one attribute; empty when the kernel gives no answer.
std::span<const uint8_t> ask(int fd, uint16_t family, uint8_t command, uint16_t attribute,
                             std::span<const uint8_t> value, std::span<uint8_t> answer) {
  struct {
    nlmsghdr message;
    genlmsghdr generic;
    nlattr attribute;
    std::array<uint8_t, 16> value;
  } question{};
  size_t length = NLMSG_LENGTH(GENL_HDRLEN) + NLA_ALIGN(NLA_HDRLEN + value.size());
  question.message = {static_cast<uint32_t>(length), family, NLM_F_REQUEST, 1, 0};
  question.generic = {command, 1, 0};
  question.attribute = {static_cast<uint16_t>(NLA_HDRLEN + value.size()), attribute};
  memcpy(question.value.data(), value.data(), value.size());
  if (send(fd, &question, length, 0) != static_cast<ssize_t>(length)) return {};
  ssize_t got = recv(fd, answer.data(), answer.size(), 0);
  constexpr size_t HEAD = NLMSG_LENGTH(GENL_HDRLEN);
  if (got < static_cast<ssize_t>(HEAD)) return {};
  nlmsghdr header;
  memcpy(&header, answer.data(), sizeof header);
  if (header.nlmsg_type == NLMSG_ERROR || header.nlmsg_len > static_cast<size_t>(got)) return {};
  return answer.subspan(HEAD, header.nlmsg_len - HEAD);
}

template <class T>
std::span<const uint8_t> bytes_of(const T& value) {
  return {reinterpret_cast<const uint8_t*>(&value), sizeof value};
}

// One of the numbers that the kernel knows of an interface; nothing where it does not.
std::optional<uint64_t> device_number(uint32_t interface, uint16_t attribute) {
  Fd fd(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC));
  if (!fd.open()) return std::nullopt;
  timeval patience{1, 0};
  setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  std::array<uint8_t, 8192> answer;
  const char name[] = "netdev";
  auto family = Attributes(ask(fd.get(), GENL_ID_CTRL, CTRL_CMD_GETFAMILY, CTRL_ATTR_FAMILY_NAME,
                               bytes_of(name), answer))
                    .find<uint16_t>(CTRL_ATTR_FAMILY_ID);
  if (!family) return std::nullopt;
  return Attributes(ask(fd.get(), *family, DEV_GET, DEV_IFINDEX, bytes_of(interface), answer))
      .find<uint64_t>(attribute);
}

}  // namespace

std::optional<uint64_t> xdp_features(const Link& link) {
  return device_number(static_cast<uint32_t>(interface_index("XDP", link)), DEV_XDP_FEATURES);
}

std::string redirect_lack(const Link& link) {
  auto features = xdp_features(link);
  return !features || (*features & TAKES_REDIRECTED) != 0 ? "" : redirect_lack_text(link);
}

std::string redirect_lack_text(const Link& link) {
  return "the driver of " + link.interface_name +
         " takes no redirected frames (ndo_xdp_xmit), or not while it is as it is: a veth does only while "
         "its "
         "other end has an XDP program or GRO on";
}

bool has_launch_time(const Link& link) {
  uint32_t interface = if_nametoindex(link.interface_name.c_str());
  if (interface == 0) return false;
  return (device_number(interface, DEV_XSK_FEATURES).value_or(0) & HAS_LAUNCH_TIME) != 0;
}

}  // namespace carom
