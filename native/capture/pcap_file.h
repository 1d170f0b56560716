// Reads pcap (draft-ietf-opsawg-pcap): µs and ns, both byte orders, and Kuznetsov's variant, as libpcap does;
// but a record may be longer than the snap length in the file's header, and is used as it is.
#pragma once

#include "capture/records.h"

namespace carom {

class PcapFile {
 public:
  // Whether a file that begins with these four bytes is one.
  static bool begins(const uint8_t* magic) noexcept;

  // Its header. Step::nothing, or Step::broken when it is not one that can be read.
  Step open(CaptureInput& in) noexcept;
  Step next(CaptureInput& in, CapturedFrame& out) noexcept;

  bool is_nano() const noexcept { return is_nano_; }
  uint32_t link_type() const noexcept { return link_type_; }

 private:
  enum class Lengths : uint8_t { straight, swapped, unsure };

  uint32_t number(const uint8_t* at) const noexcept;

  bool swapped_ = false;  // the other byte order
  bool is_nano_ = false;
  Lengths lengths_ = Lengths::straight;
  uint32_t head_size_ = 0;  // of a record
  uint32_t link_type_ = 0;
  uint32_t fcs_ = 0;  // bytes at the end of each frame
};

}  // namespace carom
