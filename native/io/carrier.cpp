#include "io/carrier.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <cstring>
#include <ctime>

#include "core/error.h"
#include "io/socket.h"

namespace carom {
namespace {

constexpr int64_t LIMIT_NS = 20'000'000'000;
constexpr useconds_t LOOK_US = 5'000;
constexpr int64_t TOLD_NS = 100'000'000;  // a shorter wait is nobody's concern

int64_t monotonic_ns() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
}

bool ask(const Link& link, unsigned long what, void* data, ifreq& request) noexcept {
  Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  request = {};
  strncpy(request.ifr_name, link.interface_name.c_str(), IFNAMSIZ - 1);
  request.ifr_data = static_cast<char*>(data);
  return fd.open() && ioctl(fd.get(), what, &request) == 0;
}

}  // namespace

bool has_carrier(const Link& link) noexcept {
  ifreq request{};
  // IFF_RUNNING follows a moment later than the driver's own word.
  ethtool_value carrier{ETHTOOL_GLINK, 0};
  if (ask(link, SIOCETHTOOL, &carrier, request) && carrier.data == 0) return false;
  return !ask(link, SIOCGIFFLAGS, nullptr, request) || (request.ifr_flags & IFF_RUNNING) != 0;
}

std::string await_carrier(const Link& link, bool had, const std::string& operation) {
  const int64_t begin_ns = monotonic_ns();
  bool is_up = has_carrier(link);
  while (!is_up && monotonic_ns() - begin_ns < LIMIT_NS) {
    usleep(LOOK_US);
    is_up = has_carrier(link);
  }
  const int64_t waited_ns = monotonic_ns() - begin_ns;
  const std::string waited = std::to_string(waited_ns / 100'000'000 / 10) + "." +
                             std::to_string(waited_ns / 100'000'000 % 10) + " s";
  if (is_up) return waited_ns < TOLD_NS ? "" : "the link came up " + waited + " after its rings were set up";
  if (!had) return "the link has no carrier";
  throw Error(
      ErrorCode::environment, operation,
      "the link went down when its rings were set up, and is not up again after " + waited,
      "ip -br link shows it; ethtool " + link.interface_name + " says what the driver sees of the cable");
}

std::string driver_name(const Link& link) {
  ethtool_drvinfo info{};
  info.cmd = ETHTOOL_GDRVINFO;
  ifreq request{};
  if (!ask(link, SIOCETHTOOL, &info, request)) return "";
  return {info.driver, strnlen(info.driver, sizeof info.driver)};
}

}  // namespace carom
