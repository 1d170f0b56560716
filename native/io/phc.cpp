#include "io/phc.h"

#include <fcntl.h>
#include <linux/ptp_clock.h>
#include <sys/ioctl.h>

#include "core/error.h"

namespace carom {
namespace {

constexpr unsigned SAMPLES = 9;  // of which the narrowest counts
constexpr int FIRST_TRIES = 9;

int64_t to_ns(const ptp_clock_time& time) noexcept { return time.sec * 1'000'000'000 + time.nsec; }

// Keeps the narrowest of brackets: the clock's reading between two of the system's.
void offer(PhcReading& best, int64_t before_ns, int64_t phc_ns, int64_t after_ns) noexcept {
  auto width_ns = static_cast<uint64_t>(after_ns - before_ns);
  if (after_ns >= before_ns && width_ns < best.width_ns) {
    int64_t realtime_ns = before_ns + static_cast<int64_t>(width_ns / 2);
    best = {phc_ns, realtime_ns, false, realtime_ns, width_ns};
  }
}

// Has the driver read its clock several times, each between two readings of the system's. `Found` is what the
// request fills in; `time_of` finds in it the reading before, of and behind the device.
template <class Found, class TimeOf>
bool read_brackets(const Fd& clock, unsigned long request, PhcReading& best, TimeOf time_of) noexcept {
  Found found{};
  found.n_samples = SAMPLES;
  if (ioctl(clock.get(), request, &found) != 0) return false;
  best.width_ns = UINT64_MAX;
  for (unsigned i = 0; i < SAMPLES; i++)
    offer(best, to_ns(time_of(found, i, 0)), to_ns(time_of(found, i, 1)), to_ns(time_of(found, i, 2)));
  return best.width_ns != UINT64_MAX;
}

}  // namespace

Phc::Phc(const std::string& path) : path_(path), fd_(open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  const char* hint =
      "ls /dev/ptp* shows the clocks, ethtool -T INTERFACE that of a NIC; run as root or with sudo";
  if (!fd_.open()) throw system_error("open the clock " + path, errno, hint);
  first_ = Clock::get().read(clock_id(), FIRST_TRIES);
  if (first_.width_ns == UINT64_MAX) throw system_error("read the clock " + path, errno, hint);
}

// In this order: exact by the hardware itself; by readings of the system's clock close around the device's
// register; around the whole call of the driver.
PhcReading Phc::read() {
  PhcReading reading{};
  if (method_ == Method::precise && read_precise(reading)) return reading;
  if (method_ != Method::plain && read_extended(reading)) {
    method_ = Method::extended;
    return reading;
  }
  method_ = Method::plain;
  if (!read_plain(reading)) throw system_error("read the clock " + path_, errno);
  return reading;
}

bool Phc::read_precise(PhcReading& reading) noexcept {
  ptp_sys_offset_precise found{};
  if (ioctl(fd_.get(), PTP_SYS_OFFSET_PRECISE, &found) != 0) return false;
  reading = {to_ns(found.device), to_ns(found.sys_monoraw), true, to_ns(found.sys_realtime), 0};
  return true;
}

bool Phc::read_extended(PhcReading& reading) noexcept {
  return read_brackets<ptp_sys_offset_extended>(
      fd_, PTP_SYS_OFFSET_EXTENDED, reading,
      [](const auto& found, unsigned i, unsigned place) { return found.ts[i][place]; });
}

bool Phc::read_plain(PhcReading& reading) noexcept {
  // Those of the system follow each other: the one behind a device's is the one before the next.
  return read_brackets<ptp_sys_offset>(
      fd_, PTP_SYS_OFFSET, reading,
      [](const auto& found, unsigned i, unsigned place) { return found.ts[2 * i + place]; });
}

std::string_view Phc::method() const noexcept {
  if (method_ == Method::precise) return "PTP_SYS_OFFSET_PRECISE";
  return method_ == Method::extended ? "PTP_SYS_OFFSET_EXTENDED" : "PTP_SYS_OFFSET";
}

}  // namespace carom
