#include "io/nic_timestamping.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cinttypes>
#include <cstdio>
#include <cstring>
#include <optional>

#include "core/privileges.h"
#include "core/thread.h"
#include "io/timestamping.h"

namespace carom {
namespace {

constexpr size_t RECORD_BYTES = 8192;  // more than a path and four numbers
constexpr const char* FORMAT = "carom.timestamping 1";

class NicSwitch : public TimestampingSwitch {
 public:
  // In the calling thread's namespace: the socket stays there.
  explicit NicSwitch(uint32_t interface)
      : fd_(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)), interface_(interface) {}

  int read(hwtstamp_config& config) noexcept override { return ask(SIOCGHWTSTAMP, config); }
  int write(hwtstamp_config& config) noexcept override { return ask(SIOCSHWTSTAMP, config); }

 private:
  int ask(unsigned long what, hwtstamp_config& config) noexcept {
    ifreq request{};
    request.ifr_ifindex = static_cast<int>(interface_);
    if (ioctl(fd_.get(), SIOCGIFNAME, &request) != 0) return errno;
    request.ifr_data = reinterpret_cast<char*>(&config);
    return ioctl(fd_.get(), what, &request) == 0 ? 0 : errno;
  }

  Fd fd_;
  uint32_t interface_;
};

ino_t this_namespace() noexcept {
  struct stat found {};
  return stat("/proc/thread-self/ns/net", &found) == 0 ? found.st_ino : 0;
}

bool lock(const Fd& fd, int how) noexcept {
  int result;
  do {
    result = flock(fd.get(), how);
  } while (result != 0 && errno == EINTR);
  return result == 0;
}

// Whether the file is still the one of that name.
bool is_linked(const Fd& fd) noexcept {
  struct stat found {};
  return fstat(fd.get(), &found) == 0 && found.st_nlink > 0;
}

struct Record {
  hwtstamp_config before;
  TimestampingPlace place;
};

// One line: the names come last, as they may have any character but a line's end and '/'.
std::string record_text(const Record& record) {
  const auto& [before, place] = record;
  return std::string(FORMAT) + " " + std::to_string(before.flags) + " " + std::to_string(before.tx_type) +
         " " + std::to_string(before.rx_filter) + " " + std::to_string(place.network_namespace) + " " +
         std::to_string(place.interface) + " " + place.interface_name + " " + place.namespace_path + "\n";
}

// Nothing for a file that was not written to its end: then nothing was changed either.
std::optional<Record> read_record(const Fd& fd) {
  std::string text(RECORD_BYTES, '\0');
  ssize_t length = pread(fd.get(), text.data(), text.size(), 0);
  if (length <= 0 || text[static_cast<size_t>(length) - 1] != '\n') return std::nullopt;
  text.resize(static_cast<size_t>(length) - 1);
  Record record{};
  uint64_t inode = 0;
  char name[IFNAMSIZ] = {};
  int path = 0;
  const std::string format = std::string(FORMAT) + " %d %d %d %" SCNu64 " %" SCNu32 " %15s %n";
  if (sscanf(text.c_str(), format.c_str(), &record.before.flags, &record.before.tx_type,
             &record.before.rx_filter, &inode, &record.place.interface, name, &path) != 6)
    return std::nullopt;
  record.place.network_namespace = inode;
  record.place.interface_name = name;
  if (path != 0) record.place.namespace_path = text.substr(static_cast<size_t>(path));
  return record;
}

Fd open_record(const std::string& path, int flags) noexcept {
  return Fd(open(path.c_str(), flags | O_RDWR | O_CLOEXEC | O_NOFOLLOW, 0600));
}

bool write_record(const Fd& fd, const Record& record) {
  const std::string text = record_text(record);
  return ftruncate(fd.get(), 0) == 0 &&
         pwrite(fd.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
}

void make_directory(const std::string& directory, const std::string& operation) {
  for (size_t end = directory.find('/', 1); end != std::string::npos; end = directory.find('/', end + 1))
    mkdir(directory.substr(0, end).c_str(), 0700);
  if (mkdir(directory.c_str(), 0700) != 0 && errno != EEXIST)
    throw system_error(operation + " (write down in " + directory + " what it was before)", errno);
}

bool stamps_all(const hwtstamp_config& config) noexcept {
  return config.tx_type == HWTSTAMP_TX_ON && config.rx_filter == HWTSTAMP_FILTER_ALL;
}

// With the exclusive lock: back to what it was, and the record goes. Where somebody else has turned the
// switch meanwhile, a PTP daemon say, or the interface is gone, it stays as it is. 0, or an errno.
int put_back(const Fd& file, const std::string& path, TimestampingSwitch& device) {
  int error = 0;
  hwtstamp_config now{};
  std::optional<Record> record = read_record(file);
  if (record) error = device.read(now);
  if (error == 0 && stamps_all(now)) error = device.write(record->before);
  if (error == ENODEV) error = 0;
  if (error == 0) unlink(path.c_str());
  return error;
}

std::string operation_for(const Link& link) {
  return operation_text("timestamps", link, "switch on in the NIC");
}

TimestampingPlace place_of(const Link& link) {
  uint32_t interface = if_nametoindex(link.interface_name.c_str());
  if (interface == 0)
    throw system_error(operation_for(link), errno, "ip -br link shows which interfaces there are");
  return {this_namespace(), interface, link.interface_name, link.network_namespace};
}

// Throws Error with the reason where the NIC can't stamp every frame, both ways.
void require_hardware(const Link& link) {
  TimestampingInfo info = timestamping_info(link);
  if (info.phc_index >= 0 && info.hardware_rx && info.hardware_tx) return;
  std::string detail = info.phc_index < 0  ? "the interface has no hardware clock"
                       : !info.hardware_rx ? "the NIC can't stamp every received frame"
                                           : "the NIC can't stamp sent frames";
  throw Error(ErrorCode::environment, operation_for(link), detail,
              "use --timestamps kernel or tsc, or auto to take the best there is");
}

std::unique_ptr<TimestampingSwitch> open_nic(const TimestampingPlace& place) {
  return std::make_unique<NicSwitch>(place.interface);
}

}  // namespace

NicTimestamping::NicTimestamping(const Link& link)
    : NicTimestamping((require_hardware(link), operation_for(link)), place_of(link), open_nic(place_of(link)),
                      DIRECTORY, Watcher::hold(operation_for(link))) {}

NicTimestamping::NicTimestamping(const std::string& operation, const TimestampingPlace& place,
                                 std::unique_ptr<TimestampingSwitch> device, const std::string& directory,
                                 std::shared_ptr<Watcher> watcher)
    : path_(directory + "/" + std::to_string(place.network_namespace) + "-" +
            std::to_string(place.interface)),
      device_(std::move(device)),
      released_(eventfd(0, EFD_CLOEXEC)),
      watcher_(std::move(watcher)) {
  if (!released_.open()) throw system_error(operation, errno);
  make_directory(directory, operation);
  while (!turn_on(operation, place)) continue;
  try {
    keeper_ = start_confined("carom-nic", {CAP_NET_ADMIN}, [this] { keep(); });
  } catch (...) {
    let_go();
    throw;
  }
}

// False when the file's last holder has removed it meanwhile, or never wrote it: then it begins anew.
bool NicTimestamping::turn_on(const std::string& operation, const TimestampingPlace& place) {
  record_ = open_record(path_, O_CREAT);
  if (!record_.open()) throw system_error(operation + " (open " + path_ + ")", errno);
  bool is_alone = lock(record_, LOCK_EX | LOCK_NB);
  if (!is_alone && !lock(record_, LOCK_SH)) throw system_error(operation + " (lock " + path_ + ")", errno);
  if (!is_linked(record_) || (!is_alone && !read_record(record_))) return false;
  try {
    change(operation, place, is_alone);
  } catch (...) {
    let_go();
    throw;
  }
  if (!is_alone) return true;
  // From exclusive to shared: for a moment it has none, and somebody may take it for abandoned.
  return lock(record_, LOCK_SH) && is_linked(record_);
}

void NicTimestamping::change(const std::string& operation, const TimestampingPlace& place, bool is_alone) {
  hwtstamp_config now{};
  if (int error = device_->read(now); error != 0) throw system_error(operation + " (SIOCGHWTSTAMP)", error);
  // What it was before a killed process is there already, unless somebody has turned the switch since.
  bool is_new = is_alone && (!stamps_all(now) || !read_record(record_));
  if (is_new && !write_record(record_, {now, place}))
    throw system_error(operation + " (write " + path_ + ")", errno);
  if (stamps_all(now)) return;
  hwtstamp_config wanted{0, HWTSTAMP_TX_ON, HWTSTAMP_FILTER_ALL};
  if (int error = device_->write(wanted); error != 0) {
    if (is_new) unlink(path_.c_str());  // nothing was changed
    throw system_error(operation + " (SIOCSHWTSTAMP)", error);
  }
  if (stamps_all(wanted)) return;
  if (is_new) device_->write(now);
  throw Error(ErrorCode::environment, operation, "the driver stamps fewer frames than it was asked to",
              "use --timestamps kernel or tsc");
}

NicTimestamping::~NicTimestamping() { release(); }

std::string NicTimestamping::release() noexcept {
  if (keeper_.joinable()) {
    eventfd_write(released_.get(), 1);
    keeper_.join();
  }
  watcher_.reset();
  return problem_;
}

void NicTimestamping::keep() noexcept {
  leave_cpu(-1);
  eventfd_t count = 0;
  while (eventfd_read(released_.get(), &count) != 0 && errno == EINTR) continue;
  let_go();
}

void NicTimestamping::let_go() noexcept {
  if (!lock(record_, LOCK_EX | LOCK_NB)) return;  // others hold it: the last of them puts it back
  if (int error = put_back(record_, path_, *device_); error != 0) {
    problem_ = "the NIC's timestamping could not be put back: " + errno_text(error) +
               "; carom doctor tries it again";
  }
  record_ = Fd();
}

namespace {

// Puts back what is in an abandoned record, and tells of it; "" where there is nothing to do, or no way to.
std::string restore_record(const std::string& path, const OpenSwitch& open) {
  Fd file = open_record(path, 0);
  if (!file.open() || !lock(file, LOCK_EX | LOCK_NB) || !is_linked(file)) return "";
  std::optional<Record> record = read_record(file);
  if (!record) {
    unlink(path.c_str());
    return "";
  }
  std::unique_ptr<TimestampingSwitch> device = open(record->place);
  if (!device) return "";
  int error = put_back(file, path, *device);
  return "timestamping of " + record->place.interface_name +
         " was left on by a process that was killed: " + (error == 0 ? "put back" : errno_text(error));
}

}  // namespace

std::vector<std::string> restore_timestamping(const std::string& directory, const OpenSwitch& open) {
  std::vector<std::string> lines;
  DIR* entries = opendir(directory.c_str());
  if (entries == nullptr) return lines;
  while (const dirent* entry = readdir(entries)) {
    if (entry->d_name[0] == '.') continue;
    std::string line = restore_record(directory + "/" + entry->d_name, open);
    if (!line.empty()) lines.push_back(std::move(line));
  }
  closedir(entries);
  return lines;
}

std::vector<std::string> restore_timestamping() {
  return restore_timestamping(NicTimestamping::DIRECTORY, [](const TimestampingPlace& place) {
    if (place.network_namespace == this_namespace()) return open_nic(place);
    std::unique_ptr<TimestampingSwitch> found;
    struct stat seen {};
    if (place.namespace_path.empty() || stat(place.namespace_path.c_str(), &seen) != 0 ||
        seen.st_ino != place.network_namespace)
      return found;
    in_network_namespace(place.namespace_path, [&] { found = open_nic(place); });
    return found;
  });
}

}  // namespace carom
