#include "capture/pcap_file.h"

#include <cstring>
#include <utility>

namespace carom {
namespace {

constexpr uint32_t MAGIC_US = 0xa1b2c3d4;
constexpr uint32_t MAGIC_NS = 0xa1b23c4d;
constexpr uint32_t MAGIC_KUZNETSOV = 0xa1b2cd34;  // µs, and 8 more bytes in the head of a record
constexpr uint32_t FILE_HEAD = 24;
constexpr uint32_t RECORD_HEAD = 16;
constexpr uint32_t KUZNETSOV_HEAD = 24;
constexpr uint32_t RECORD_MAX = 1 << 24;  // bytes that a record can have: beyond, the file is damaged

// Link type and additional information (draft-ietf-opsawg-pcap, 4): the length of the FCS in units of 16 bits
// is in the upper four bits, if it is known.
constexpr uint32_t FCS_KNOWN = 0x0400'0000;
constexpr uint32_t FCS_SHIFT = 28;
constexpr uint32_t FCS_UNIT = 2;
constexpr uint32_t LINK_TYPE = 0x03ff'ffff;

constexpr uint32_t SECOND_NS = 1'000'000'000;

bool is_magic(uint32_t magic) noexcept {
  return magic == MAGIC_US || magic == MAGIC_NS || magic == MAGIC_KUZNETSOV;
}

uint32_t load(const uint8_t* at) noexcept {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

}  // namespace

bool PcapFile::begins(const uint8_t* magic) noexcept {
  return is_magic(load(magic)) || is_magic(__builtin_bswap32(load(magic)));
}

uint32_t PcapFile::number(const uint8_t* at) const noexcept {
  return swapped_ ? __builtin_bswap32(load(at)) : load(at);
}

Step PcapFile::open(CaptureInput& in) noexcept {
  if (!in.window.has(FILE_HEAD)) return in.cut_short(0, FILE_HEAD, "file header bytes");
  const uint8_t* head = in.window.data();
  swapped_ = !is_magic(load(head));
  is_nano_ = number(head) == MAGIC_NS;
  head_size_ = number(head) == MAGIC_KUZNETSOV ? KUZNETSOV_HEAD : RECORD_HEAD;
  uint32_t versions = number(head + 4);  // two numbers of 16 bits
  uint32_t major = swapped_ ? versions >> 16 : versions & 0xffff;
  uint32_t minor = swapped_ ? versions & 0xffff : versions >> 16;
  if (major != 2 && !(major == 543 && minor == 0))
    return in.broken("unsupported pcap savefile version " + std::to_string(major) + "." +
                     std::to_string(minor));
  // Old versions had the two lengths the other way round, and in one of them not always; as libpcap has it.
  if (major == 543 || minor == 3) {
    lengths_ = Lengths::unsure;
  } else if (minor < 3) {
    lengths_ = Lengths::swapped;
  }
  uint32_t information = number(head + 20);
  link_type_ = information & LINK_TYPE;
  if ((information & FCS_KNOWN) != 0) fcs_ = (information >> FCS_SHIFT) * FCS_UNIT;
  in.window.pass(FILE_HEAD);
  return Step::nothing;
}

Step PcapFile::next(CaptureInput& in, CapturedFrame& out) noexcept {
  CaptureWindow& window = in.window;
  if (!window.has(head_size_)) {
    if (window.size() == 0) return Step::end;
    return in.cut_short(window.position(), head_size_, "header bytes");
  }
  const uint8_t* head = window.data();
  uint32_t seconds = number(head);  // without a sign: until 2106
  uint32_t fraction = number(head + 4);
  uint32_t captured = number(head + 8);
  uint32_t length = number(head + 12);
  if (lengths_ == Lengths::swapped || (lengths_ == Lengths::unsure && captured > length))
    std::swap(captured, length);
  window.pass(head_size_);
  if (captured > RECORD_MAX)
    return in.broken("invalid packet capture length " + std::to_string(captured) +
                     ", bigger than maximum of " + std::to_string(RECORD_MAX));
  if (captured > CAPTURED_MAX) {
    uint64_t from = window.position();
    if (!window.skip(captured)) return in.cut_short(from, captured, "captured bytes");
    in.packets++;
    return in.leave_out(RemarkKind::oversized);
  }
  if (!window.has(captured)) return in.cut_short(window.position(), captured, "captured bytes");
  in.packets++;
  out.data = window.data();
  out.captured = captured;
  out.length = length;
  out.link_type = link_type_;
  window.pass(captured);
  uint64_t fraction_ns = is_nano_ ? fraction : uint64_t{fraction} * 1000;
  if (fraction_ns >= SECOND_NS) in.note(RemarkKind::long_fraction);
  return in.take(out, uint64_t{seconds} * SECOND_NS + fraction_ns, fcs_);
}

}  // namespace carom
