#include "io/timestamping.h"

#include <linux/errqueue.h>
#include <linux/ethtool.h>
#include <linux/net_tstamp.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace carom {
namespace {

ifreq request_for(const std::string& interface, void* data) {
  ifreq request{};
  strncpy(request.ifr_name, interface.c_str(), IFNAMSIZ - 1);
  request.ifr_data = static_cast<char*>(data);
  return request;
}

uint64_t to_ns(const timespec& time) {
  return static_cast<uint64_t>(time.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(time.tv_nsec);
}

}  // namespace

TimestampingInfo timestamping_info(const Link& link) {
  const std::string operation = "timestamping of " + link.interface_name;
  Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd.open()) throw system_error(operation, errno);
  ethtool_ts_info info{};
  info.cmd = ETHTOOL_GET_TS_INFO;
  ifreq request = request_for(link.interface_name, &info);
  if (ioctl(fd.get(), SIOCETHTOOL, &request) != 0) throw system_error(operation, errno);
  constexpr uint32_t RAW = SOF_TIMESTAMPING_RAW_HARDWARE;
  constexpr uint32_t SOFTWARE = SOF_TIMESTAMPING_SOFTWARE;
  auto has = [&](uint32_t bits) { return (info.so_timestamping & bits) == bits; };
  return {has(RAW | SOF_TIMESTAMPING_TX_HARDWARE) && (info.tx_types & (1u << HWTSTAMP_TX_ON)) != 0,
          has(RAW | SOF_TIMESTAMPING_RX_HARDWARE) && (info.rx_filters & (1u << HWTSTAMP_FILTER_ALL)) != 0,
          has(SOFTWARE | SOF_TIMESTAMPING_TX_SOFTWARE), has(SOFTWARE | SOF_TIMESTAMPING_RX_SOFTWARE),
          info.phc_index};
}

void request_timestamps(int fd, const IoConfig& config, const std::string& operation) {
  if (config.timestamps == Provenance::tsc || !(config.rx_stamps || config.tx_stamps)) return;
  bool hardware = config.timestamps == Provenance::hardware;
  int flags = hardware ? SOF_TIMESTAMPING_RAW_HARDWARE : SOF_TIMESTAMPING_SOFTWARE;
  if (config.rx_stamps) flags |= hardware ? SOF_TIMESTAMPING_RX_HARDWARE : SOF_TIMESTAMPING_RX_SOFTWARE;
  if (config.tx_stamps) {
    flags |= hardware ? SOF_TIMESTAMPING_TX_HARDWARE : SOF_TIMESTAMPING_TX_SOFTWARE;
    flags |= SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY;
  }
  set_option(fd, SOL_SOCKET, SO_TIMESTAMPING, flags, operation + " (SO_TIMESTAMPING)");
}

uint64_t stamp_of(const msghdr& message, Provenance wanted) noexcept {
  for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr;
       c = CMSG_NXTHDR(const_cast<msghdr*>(&message), c)) {
    if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_TIMESTAMPING) continue;
    timespec times[3];  // software, deprecated, raw hardware
    memcpy(times, CMSG_DATA(c), sizeof times);
    return to_ns(times[wanted == Provenance::hardware ? 2 : 0]);
  }
  return 0;
}

namespace {

uint32_t read_error_queue(int fd, std::span<TxStamp> stamps, uint32_t base, Provenance wanted,
                          uint64_t& launches_missed) noexcept {
  uint32_t count = 0;
  while (count < stamps.size()) {
    alignas(cmsghdr) char control[256];
    msghdr message{};
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    if (recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) break;
    uint64_t stamp_ns = stamp_of(message, wanted);
    for (cmsghdr* c = CMSG_FIRSTHDR(&message); c != nullptr; c = CMSG_NXTHDR(&message, c)) {
      if (c->cmsg_level == SOL_SOCKET) continue;
      sock_extended_err extended;
      memcpy(&extended, CMSG_DATA(c), sizeof extended);
      if (extended.ee_origin == SO_EE_ORIGIN_TXTIME) launches_missed++;
      if (extended.ee_origin != SO_EE_ORIGIN_TIMESTAMPING || stamp_ns == 0) continue;
      stamps[count++] = {base + extended.ee_data, stamp_ns};
      break;
    }
  }
  return count;
}

}  // namespace

uint32_t TxStampReader::read(int fd, std::span<TxStamp> stamps, Provenance wanted) noexcept {
  if (kept_count_ == 0) [[likely]]
    return read_error_queue(fd, stamps, base_, wanted, launches_missed_);
  uint32_t count = std::min(kept_count_, static_cast<uint32_t>(stamps.size()));
  std::copy_n(kept_.begin(), count, stamps.begin());
  std::copy(kept_.begin() + count, kept_.begin() + kept_count_, kept_.begin());
  kept_count_ -= count;
  return count;
}

// The kernel counts from 0 when the option is switched on, and only when it was off.
void TxStampReader::restart(int fd, uint32_t index, Provenance wanted) noexcept {
  kept_count_ +=
      read_error_queue(fd, std::span<TxStamp>(kept_).subspan(kept_count_), base_, wanted, launches_missed_);
  int flags = 0;
  socklen_t size = sizeof flags;
  if (getsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, &size) != 0 || flags == 0) return;
  int without = flags & ~SOF_TIMESTAMPING_OPT_ID;
  if (setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &without, sizeof without) != 0) return;
  setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &flags, sizeof flags);
  base_ = index;
}

}  // namespace carom
