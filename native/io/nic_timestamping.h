// The switch of a NIC's timestamping (SIOCSHWTSTAMP), which belongs to the whole interface: a PTP daemon, and
// other processes of carom, use it, too. Whoever holds it has it on; the last one to let go puts it back to
// what it was before the first. Source: Documentation/networking/timestamping.rst of the Linux kernel.
//
// What it was is in a file that is written before anything is changed. Each holder has a shared lock (flock)
// on that file: whoever gets an exclusive one is alone. The kernel takes the lock from a process that is
// killed, so that what a killed one left on is found, and put back: by a process that watches over it, and
// where that was killed, too, by the next carom.
#pragma once

#include <linux/net_tstamp.h>
#include <sys/types.h>

#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "core/error.h"
#include "io/packet_io.h"
#include "io/socket.h"
#include "io/watcher.h"

namespace carom {

// How the switch is read and turned; 0, or an errno.
class TimestampingSwitch {
 public:
  virtual ~TimestampingSwitch() = default;
  virtual int read(hwtstamp_config& config) noexcept = 0;
  virtual int write(hwtstamp_config& config) noexcept = 0;  // changes it to what the driver made of it
};

// The interface, whatever it is called meanwhile.
struct TimestampingPlace {
  ino_t network_namespace;
  uint32_t interface;
  std::string interface_name;
  std::string namespace_path;  // "" for the one that carom was started in
};

class NicTimestamping {
 public:
  static constexpr const char* DIRECTORY = "/run/carom/timestamping";

  // Switches on stamps of every frame in the calling thread's namespace. Throws Error with the reason where
  // the NIC can't, or what it was can't be written down.
  explicit NicTimestamping(const Link& link);

  NicTimestamping(const std::string& operation, const TimestampingPlace& place,
                  std::unique_ptr<TimestampingSwitch> device, const std::string& directory,
                  std::shared_ptr<Watcher> watcher = nullptr);
  ~NicTimestamping();
  NicTimestamping(const NicTimestamping&) = delete;
  NicTimestamping& operator=(const NicTimestamping&) = delete;

  // Lets go. "" if all is as it was before, or others still hold it; otherwise what went wrong.
  std::string release() noexcept;

 private:
  bool turn_on(const std::string& operation, const TimestampingPlace& place);
  void change(const std::string& operation, const TimestampingPlace& place, bool is_alone);
  void keep() noexcept;
  void let_go() noexcept;

  std::string path_;
  std::unique_ptr<TimestampingSwitch> device_;
  Fd record_;
  Fd released_;  // an eventfd
  // The thread that lets go: it keeps CAP_NET_ADMIN, which those that read packets have given up by then.
  std::thread keeper_;
  std::shared_ptr<Watcher> watcher_;
  std::string problem_;
};

// Puts back what processes that were killed have left on, where the calling thread may. Returns a line for
// each, for people.
std::vector<std::string> restore_timestamping();

// The same, with another way to a switch; null where there is none from here.
using OpenSwitch = std::function<std::unique_ptr<TimestampingSwitch>(const TimestampingPlace& place)>;
std::vector<std::string> restore_timestamping(const std::string& directory, const OpenSwitch& open);

}  // namespace carom
