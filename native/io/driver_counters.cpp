#include "io/driver_counters.h"

#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <cstring>

namespace carom {
namespace {

constexpr uint32_t MOST = 1 << 14;  // counters of one driver; those of large NICs have some thousands

bool ask(const DriverCounters& counters, void* command) noexcept {
  ifreq request{};
  strncpy(request.ifr_name, counters.interface_name.c_str(), IFNAMSIZ - 1);
  request.ifr_data = static_cast<char*>(command);
  return counters.socket.open() && ioctl(counters.socket.get(), SIOCETHTOOL, &request) == 0;
}

}  // namespace

DriverCounters find_driver_counters(const Link& link,
                                    const std::function<bool(std::string_view name)>& is_wanted) {
  DriverCounters found;
  found.interface_name = link.interface_name;
  found.socket = Fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  std::vector<uint32_t> sets((sizeof(ethtool_sset_info) + sizeof(uint32_t)) / sizeof(uint32_t));
  auto* info = reinterpret_cast<ethtool_sset_info*>(sets.data());
  info->cmd = ETHTOOL_GSSET_INFO;
  info->sset_mask = 1ull << ETH_SS_STATS;
  if (!ask(found, info) || info->sset_mask == 0 || info->data[0] > MOST) return found;
  found.count = info->data[0];
  std::vector<char> names(sizeof(ethtool_gstrings) + size_t{found.count} * ETH_GSTRING_LEN);
  auto* strings = reinterpret_cast<ethtool_gstrings*>(names.data());
  strings->cmd = ETHTOOL_GSTRINGS;
  strings->string_set = ETH_SS_STATS;
  strings->len = found.count;
  if (!ask(found, strings)) return found;
  for (uint32_t i = 0; i < found.count; i++) {
    const char* at = reinterpret_cast<const char*>(strings->data) + size_t{i} * ETH_GSTRING_LEN;
    if (is_wanted({at, strnlen(at, ETH_GSTRING_LEN)})) found.wanted.push_back(i);
  }
  return found;
}

uint64_t driver_counter(const DriverCounters& counters) noexcept {
  if (counters.wanted.empty()) return 0;
  static thread_local std::vector<uint64_t> buffer;
  buffer.resize(sizeof(ethtool_stats) / sizeof(uint64_t) + counters.count);
  auto* statistics = reinterpret_cast<ethtool_stats*>(buffer.data());
  statistics->cmd = ETHTOOL_GSTATS;
  statistics->n_stats = counters.count;
  if (!ask(counters, statistics)) return 0;
  uint64_t sum = 0;
  for (uint32_t index : counters.wanted) sum += statistics->data[index];
  return sum;
}

int64_t veth_drops(const Link& link) {
  DriverCounters counters = find_driver_counters(link, [](std::string_view name) {
    return name.starts_with("rx_queue_") && name.ends_with("_drops") && !name.ends_with("_xdp_drops");
  });
  return counters.wanted.empty() ? -1 : static_cast<int64_t>(driver_counter(counters));
}

}  // namespace carom
