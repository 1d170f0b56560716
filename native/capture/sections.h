// Walks over the bytes of a capture before libpcap sees them: tells the format, and takes the snap lengths
// out of pcapng's interfaces. libpcap refuses a file whose interfaces differ in them, as most merged captures
// do, though nothing depends on it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

namespace carom {

enum class CaptureFormat : uint8_t { unknown, pcap_us, pcap_ns, pcapng };
constexpr const char* CAPTURE_FORMAT_NAMES[] = {"unknown", "pcap µs", "pcap ns", "pcapng"};

class CaptureSections {
 public:
  // The next bytes of the file, which may be changed.
  void pass(uint8_t* bytes, size_t size) noexcept {
    while (size != 0 && !done_) {
      if (left_ != 0) {
        size_t skipped = static_cast<size_t>(std::min<uint64_t>(left_, size));
        left_ -= skipped;
        bytes += skipped;
        size -= skipped;
      } else {
        head(*bytes++);
        size--;
      }
    }
  }

  CaptureFormat format() const noexcept { return format_; }
  uint32_t interfaces() const noexcept { return interfaces_; }

 private:
  static constexpr uint32_t SECTION_HEADER = 0x0a0d0d0a;  // the same in both byte orders
  static constexpr uint32_t INTERFACE_DESCRIPTION = 1;
  static constexpr uint32_t BYTE_ORDER_MAGIC = 0x1a2b3c4d;
  static constexpr uint32_t HEAD = 16;       // of a block: type, length, link type, snap length
  static constexpr uint32_t SNAP_FROM = 12;  // draft-ietf-opsawg-pcapng, 4.2
  static constexpr uint32_t SMALLEST = 12;   // block: type, and its length twice

  // One more byte of the beginning of a block.
  void head(uint8_t& byte) noexcept {
    head_[have_] = byte;
    if (have_ >= SNAP_FROM && type() == INTERFACE_DESCRIPTION) byte = 0;  // no limit
    have_++;
    if (have_ == 4 && format_ == CaptureFormat::unknown) detect();
    if (done_ || have_ < SMALLEST) return;
    if (type() == SECTION_HEADER) swapped_ = load(8) != BYTE_ORDER_MAGIC;
    uint32_t length = number(4);
    if (length < SMALLEST || length % 4 != 0) {
      done_ = true;  // libpcap will say what is wrong with it
    } else if (have_ == std::min(length, HEAD)) {
      if (type() == INTERFACE_DESCRIPTION) interfaces_++;
      left_ = length - have_;
      have_ = 0;
    }
  }

  void detect() noexcept {
    uint32_t magic = load(0);
    if (magic == SECTION_HEADER) {
      format_ = CaptureFormat::pcapng;
      return;
    }
    done_ = true;
    // 0xa1b2cd34: Kuznetzov's patch; libpcap reads it, too.
    for (uint32_t order : {magic, __builtin_bswap32(magic)}) {
      if (order == 0xa1b2c3d4 || order == 0xa1b2cd34) format_ = CaptureFormat::pcap_us;
      if (order == 0xa1b23c4d) format_ = CaptureFormat::pcap_ns;
    }
  }

  uint32_t load(uint32_t at) const noexcept {
    uint32_t value;
    memcpy(&value, head_ + at, 4);
    return value;
  }
  uint32_t number(uint32_t at) const noexcept { return swapped_ ? __builtin_bswap32(load(at)) : load(at); }
  uint32_t type() const noexcept { return number(0); }

  CaptureFormat format_ = CaptureFormat::unknown;
  bool swapped_ = false;
  bool done_ = false;
  uint32_t have_ = 0;
  uint64_t left_ = 0;  // of a block whose beginning has been seen
  uint32_t interfaces_ = 0;
  uint8_t head_[HEAD] = {};
};

}  // namespace carom
