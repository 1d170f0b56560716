// A PTP hardware clock: a NIC's own, or any other that the kernel shows as /dev/ptpN.
// Source: Documentation/driver-api/ptp.rst of the Linux kernel.
#pragma once

#include <ctime>
#include <memory>
#include <string>
#include <string_view>

#include "core/clock.h"
#include "io/socket.h"

namespace carom {

// The clock and one of the system's at one moment.
struct PhcReading {
  int64_t phc_ns;
  int64_t system_ns;
  bool is_raw;          // the system's is CLOCK_MONOTONIC_RAW, otherwise CLOCK_REALTIME
  int64_t realtime_ns;  // CLOCK_REALTIME at that moment
  uint64_t width_ns;    // of the bracket: the two are not further apart than half of this
};

class Phc {
 public:
  // Throws Error (environment) when there is none of that path, or it may not be read.
  explicit Phc(const std::string& path);

  int clock_id() const noexcept { return static_cast<int>((~static_cast<clockid_t>(fd_.get()) << 3) | 3); }
  const ClockReading& first() const noexcept { return first_; }  // when it was opened

  // By the best way that the driver has. Throws Error (environment) when it can't be read any more.
  PhcReading read();
  std::string_view method() const noexcept;  // of the last reading

 private:
  enum class Method : uint8_t { precise, extended, plain };

  bool read_precise(PhcReading& reading) noexcept;
  bool read_extended(PhcReading& reading) noexcept;
  bool read_plain(PhcReading& reading) noexcept;

  std::string path_;
  Fd fd_;
  Method method_ = Method::precise;
  ClockReading first_;
};

}  // namespace carom
