#include "io/link_watch.h"

#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "core/clock.h"
#include "core/error.h"
#include "core/privileges.h"
#include "core/thread.h"

namespace carom {
namespace {

constexpr uint32_t HAS_CARRIER = 1 << 16;  // IFF_LOWER_UP of <linux/if.h>, which <net/if.h> excludes

// An attribute of a message; everything in it is checked for its bounds.
template <class T>
std::optional<T> find(std::span<const uint8_t> attributes, uint16_t wanted) {
  while (attributes.size() >= sizeof(rtattr)) {
    rtattr header;
    memcpy(&header, attributes.data(), sizeof header);
    if (header.rta_len < sizeof header || header.rta_len > attributes.size()) break;
    if (header.rta_type == wanted && header.rta_len >= RTA_LENGTH(sizeof(T))) {
      T value;
      memcpy(&value, attributes.data() + RTA_LENGTH(0), sizeof value);
      return value;
    }
    attributes = attributes.subspan(std::min<size_t>(RTA_ALIGN(header.rta_len), attributes.size()));
  }
  return std::nullopt;
}

}  // namespace

LinkWatch::LinkWatch(const Link& link, std::function<void()> on_gone)
    : on_gone_(std::move(on_gone)),
      index_(static_cast<uint32_t>(interface_index("rtnetlink", link))),
      began_ns_(Clock::get().now_ns()),
      netlink_(socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE)),
      wake_(eventfd(0, EFD_CLOEXEC)) {
  const std::string operation = "follow the link of " + link.interface_name;
  sockaddr_nl address{};
  address.nl_family = AF_NETLINK;
  address.nl_groups = RTMGRP_LINK;
  if (!netlink_.open() || !wake_.open() ||
      bind(netlink_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    throw system_error(operation, errno);
  }
  ask();
  thread_ = start_confined("link watch", {}, [this] { follow(); });
}

LinkWatch::~LinkWatch() {
  const uint64_t one = 1;
  while (write(wake_.get(), &one, sizeof one) < 0 && errno == EINTR) {
  }
  thread_.join();
}

LinkFindings LinkWatch::findings() {
  std::lock_guard lock(mutex_);
  LinkFindings found = found_;
  if (down_since_ns_ != 0 && !found.gone) found.down_ns += Clock::get().now_ns() - down_since_ns_;
  return found;
}

// The answer comes as what the kernel tells by itself does.
void LinkWatch::ask() {
  struct {
    nlmsghdr header;
    ifinfomsg body;
  } question{};
  question.header = {sizeof question, RTM_GETLINK, NLM_F_REQUEST, 1, 0};
  question.body.ifi_index = static_cast<int>(index_);
  (void)!send(netlink_.get(), &question, sizeof question, 0);
}

void LinkWatch::follow() {
  alignas(nlmsghdr) std::array<uint8_t, 32'768> buffer;
  std::array<pollfd, 2> wanted{{{netlink_.get(), POLLIN, 0}, {wake_.get(), POLLIN, 0}}};
  while (true) {
    if (poll(wanted.data(), wanted.size(), -1) < 0 && errno != EINTR) return;
    if (wanted[1].revents != 0) return;
    ssize_t got = recv(netlink_.get(), buffer.data(), buffer.size(), 0);
    if (got > 0) {
      take({buffer.data(), static_cast<size_t>(got)});
    } else if (got < 0 && errno == ENOBUFS) {
      ask();  // more was told than there was room for: what matters is how it is now
    }
  }
}

void LinkWatch::take(std::span<const uint8_t> bytes) {
  while (bytes.size() >= sizeof(nlmsghdr)) {
    nlmsghdr header;
    memcpy(&header, bytes.data(), sizeof header);
    if (header.nlmsg_len < sizeof header || header.nlmsg_len > bytes.size()) return;
    auto body = bytes.subspan(NLMSG_HDRLEN, header.nlmsg_len - NLMSG_HDRLEN);
    if (header.nlmsg_type == RTM_NEWLINK || header.nlmsg_type == RTM_DELLINK) {
      take_state(header.nlmsg_type == RTM_DELLINK, body);
    } else if (header.nlmsg_type == NLMSG_ERROR && body.size() >= sizeof(nlmsgerr)) {
      nlmsgerr error;
      memcpy(&error, body.data(), sizeof error);
      if (error.error == -ENODEV) lose();
    }
    bytes = bytes.subspan(std::min<size_t>(NLMSG_ALIGN(header.nlmsg_len), bytes.size()));
  }
}

void LinkWatch::take_state(bool removed, std::span<const uint8_t> body) {
  ifinfomsg about;
  if (body.size() < sizeof about) return;
  memcpy(&about, body.data(), sizeof about);
  if (about.ifi_family != AF_UNSPEC || static_cast<uint32_t>(about.ifi_index) != index_) return;
  auto attributes = body.subspan(std::min<size_t>(NLMSG_ALIGN(sizeof about), body.size()));
  const bool up = (about.ifi_flags & IFF_UP) != 0 && (about.ifi_flags & HAS_CARRIER) != 0;
  {
    std::lock_guard lock(mutex_);
    if (found_.gone) return;
    uint64_t now_ns = Clock::get().now_ns();
    if (!up && !removed && down_since_ns_ == 0) {
      down_since_ns_ = now_ns;
      if (seen_downs_++ == 0) found_.first_ns = now_ns - began_ns_;
    } else if (up && down_since_ns_ != 0) {
      found_.down_ns += now_ns - down_since_ns_;
      down_since_ns_ = 0;
    }
    found_.outages = seen_downs_;
    // One that was over before it was told is in the kernel's count alone.
    if (auto downs = find<uint32_t>(attributes, IFLA_CARRIER_DOWN_COUNT)) {
      if (!downs_) downs_ = downs;
      found_.outages = std::max<uint64_t>(found_.outages, *downs - *downs_);
    }
    if (auto now = find<rtnl_link_stats64>(attributes, IFLA_STATS64); now && !removed)
      take_counters({now->rx_packets, now->rx_errors, now->rx_dropped, now->tx_packets, now->tx_errors,
                     now->tx_dropped});
  }
  if (removed) lose();
}

// The kernel tells them with each change of the link: once when it has gone down, and again when it is back.
void LinkWatch::take_counters(const LinkCounters& now) noexcept {
  bool is_reset = false;
  for (size_t i = 0; i < now.size(); i++) {
    if (now[i] >= counted_[i]) continue;
    is_reset = true;
    found_.lost[i] += counted_[i];
  }
  if (is_reset) found_.resets++;
  counted_ = now;
}

void LinkWatch::lose() {
  {
    std::lock_guard lock(mutex_);
    if (found_.gone) return;
    uint64_t now_ns = Clock::get().now_ns();
    if (down_since_ns_ != 0) found_.down_ns += now_ns - down_since_ns_;
    found_.gone = true;
    found_.gone_ns = now_ns - began_ns_;
  }
  on_gone_();
}

}  // namespace carom
