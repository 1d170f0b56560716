// Follows an interface while something runs on it, by what the kernel tells of it (rtnetlink(7)): when its
// link goes down and comes back, and whether it is removed or goes to another namespace. A thread of its own
// sleeps until there is something to tell.
#pragma once

#include <array>
#include <atomic>
#include <functional>
#include <mutex>
#include <optional>
#include <span>
#include <thread>

#include "io/packet_io.h"
#include "io/socket.h"

namespace carom {

// What an interface counts that a report looks at, in the order of LinkWatch::COUNTERS.
using LinkCounters = std::array<uint64_t, 6>;

struct LinkFindings {
  uint64_t outages = 0;   // the link went down, as it was seen or as the kernel counted
  uint64_t down_ns = 0;   // in all; of outages that were over before they were told nothing is known
  uint64_t first_ns = 0;  // when the first one began, after the watch
  bool gone = false;      // removed, or in another namespace
  uint64_t gone_ns = 0;   // when, after the watch began
  uint64_t resets = 0;    // its driver began to count anew, as some do when the link comes back
  LinkCounters lost{};    // what it had counted until then, as far as it was told: to be added
};

class LinkWatch {
 public:
  static constexpr std::array<const char*, 6> COUNTERS{"rx_packets", "rx_errors", "rx_dropped",
                                                       "tx_packets", "tx_errors", "tx_dropped"};

  // For an interface in the calling thread's namespace. `on_gone` is called once, by the watch's thread.
  // Throws Error.
  LinkWatch(const Link& link, std::function<void()> on_gone);
  ~LinkWatch();

  LinkFindings findings();

 private:
  void follow();
  void take(std::span<const uint8_t> bytes);
  void take_state(bool removed, std::span<const uint8_t> body);
  void take_counters(const LinkCounters& now) noexcept;
  void lose();
  void ask();

  std::function<void()> on_gone_;
  uint32_t index_;
  uint64_t began_ns_;
  Fd netlink_;
  Fd wake_;
  std::mutex mutex_;  // of what is found
  LinkFindings found_;
  uint64_t down_since_ns_ = 0;     // 0: it is up
  std::optional<uint32_t> downs_;  // as the kernel counts, at the beginning
  uint64_t seen_downs_ = 0;
  LinkCounters counted_{};  // as it was told last
  std::thread thread_;
};

}  // namespace carom
