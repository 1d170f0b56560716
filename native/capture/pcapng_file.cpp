#include "capture/pcapng_file.h"

#include <algorithm>
#include <cstring>

#include "capture/pcapng.h"

namespace carom {
namespace {

constexpr uint32_t OBSOLETE_PACKET = 2;
constexpr uint32_t SIMPLE_PACKET = 3;
constexpr uint32_t BYTE_ORDER_MAGIC = 0x1a2b3c4d;
constexpr uint32_t HEAD = 8;  // of a block: its type and length
constexpr uint32_t TAIL = 4;  // its length once more
constexpr uint32_t SECTION_LEAST = 28;
constexpr uint32_t INTERFACE_LEAST = 20;
constexpr uint32_t PACKET_LEAST = 32;
constexpr uint32_t SIMPLE_LEAST = 16;
constexpr size_t INTERFACES_MAX = 1 << 16;  // of a section; packets of further ones are left out
constexpr size_t LINK_TYPES_MAX = 16;       // that are told

constexpr uint16_t END_OF_OPTIONS = 0;
constexpr uint16_t IF_TSRESOL = 9;
constexpr uint16_t IF_FCSLEN = 13;
constexpr uint16_t IF_TSOFFSET = 14;
constexpr uint16_t EPB_FLAGS = 2;  // and pack_flags
constexpr uint32_t FLAGS_FCS_SHIFT = 5;
constexpr uint32_t FLAGS_FCS = 15;
constexpr uint8_t BINARY = 0x80;
constexpr uint32_t DIGITS_NS = 9;
constexpr uint32_t DIGITS_MAX = DIGITS_NS + 19;  // 10^19 is the largest power of ten in 64 bits
constexpr __int128 SECOND_NS = 1'000'000'000;

uint64_t power_of_ten(uint32_t exponent) noexcept {
  uint64_t value = 1;
  while (exponent-- > 0) value *= 10;
  return value;
}

uint32_t padded(uint32_t size) noexcept { return (size + 3) & ~3u; }

void add_link_type(std::vector<uint32_t>& to, uint32_t link_type) noexcept {
  if (to.size() == LINK_TYPES_MAX || std::find(to.begin(), to.end(), link_type) != to.end()) return;
  to.push_back(link_type);
}

}  // namespace

bool PcapngFile::begins(const uint8_t* type) noexcept { return pcapng_word(type) == PCAPNG_SECTION; }

uint16_t PcapngFile::number16(const uint8_t* at) const noexcept {
  uint16_t value;
  memcpy(&value, at, sizeof value);
  return swapped_ ? __builtin_bswap16(value) : value;
}

uint32_t PcapngFile::number(const uint8_t* at) const noexcept {
  return swapped_ ? __builtin_bswap32(pcapng_word(at)) : pcapng_word(at);
}

// Section Header Block (4.1): its type is the same in both byte orders, and the magic number tells which one.
Step PcapngFile::section(CaptureInput& in) noexcept {
  if (!in.window.has(SECTION_LEAST))
    return in.cut_short(in.window.position(), SECTION_LEAST, "bytes of a section's header");
  const uint8_t* block = in.window.data();
  swapped_ = pcapng_word(block + HEAD) != BYTE_ORDER_MAGIC;
  if (number(block + HEAD) != BYTE_ORDER_MAGIC)
    return in.broken("the byte-order magic of a section's header is neither order's");
  uint32_t length = number(block + 4);
  if (length < SECTION_LEAST || length % 4 != 0)
    return in.broken("a section's header has a length of " + std::to_string(length) + " bytes");
  if (number16(block + 12) != 1)
    return in.broken("version " + std::to_string(number16(block + 12)) + "." +
                     std::to_string(number16(block + 14)) + " of pcapng is not known");
  interfaces_.clear();
  return end_block(in, length);
}

// Passes over the block, which may be longer than the window, up to its end, where its length is once more.
Step PcapngFile::end_block(CaptureInput& in, uint32_t length) noexcept {
  CaptureWindow& window = in.window;
  uint64_t from = window.position();
  if (!window.skip(length - TAIL) || !window.has(TAIL)) return in.cut_short(from, length, "bytes of a block");
  uint32_t again = number(window.data());
  if (again != length)
    return in.broken("the length of a block is " + std::to_string(length) + " in front and " +
                     std::to_string(again) + " at its end");
  window.pass(TAIL);
  return Step::nothing;
}

Step PcapngFile::next(CaptureInput& in, CapturedFrame& out) noexcept {
  CaptureWindow& window = in.window;
  if (pending_ != 0) {
    uint32_t length = pending_;
    pending_ = 0;
    return end_block(in, length);
  }
  if (!window.has(HEAD)) {
    if (window.size() == 0) return Step::end;
    return in.cut_short(window.position(), HEAD, "bytes of a block's head");
  }
  uint32_t type = number(window.data());
  if (type == PCAPNG_SECTION) return section(in);
  uint32_t length = number(window.data() + 4);
  if (length < PCAPNG_LEAST || length % 4 != 0)
    return in.broken("a block of type " + std::to_string(type) + " has a length of " +
                     std::to_string(length) + " bytes");
  bool is_packet = type == PCAPNG_PACKET || type == OBSOLETE_PACKET || type == SIMPLE_PACKET;
  if (!is_packet && type != PCAPNG_INTERFACE) return end_block(in, length);
  auto there = static_cast<uint32_t>(std::min<uint64_t>(length, CaptureWindow::SIZE));
  if (!window.has(there)) return in.cut_short(window.position(), length, "bytes of a block");
  if (length == there && number(window.data() + length - TAIL) != length)
    return end_block(in, length);  // which says so
  if (is_packet) return packet(in, out, type, length, there);
  interface(window.data(), length, there);
  return end_block(in, length);
}

// Calls each(code, value, size) until one returns false. False: they break off, or one returned it.
template <class Each>
bool PcapngFile::each_option(const uint8_t* at, const uint8_t* end, Each each) const noexcept {
  while (end - at >= 4) {
    uint16_t code = number16(at);
    uint16_t size = number16(at + 2);
    if (code == END_OF_OPTIONS) return true;
    if (end - at - 4 < static_cast<ptrdiff_t>(padded(size)) || !each(code, at + 4, size)) return false;
    at += 4 + padded(size);
  }
  return at == end;  // nothing marks their end where the block ends
}

// Interface Description Block (4.2). One that can't be read has its number all the same.
void PcapngFile::interface(const uint8_t* block, uint32_t length, uint32_t there) noexcept {
  described_++;
  if (interfaces_.size() == INTERFACES_MAX) return;
  Interface& out = interfaces_.emplace_back();
  if (length < INTERFACE_LEAST) return;
  out.link_type = number16(block + 8);
  out.snap_length = number(block + 12);
  add_link_type(known_, out.link_type);
  // Whoever does not know the unit of time knows no time: an interface needs all of its options.
  out.is_readable =
      length == there && each_option(block + 16, block + length - TAIL,
                                     [&](uint16_t code, const uint8_t* value, uint32_t size) noexcept {
                                       return read_option(out, code, value, size);
                                     });
  if (out.is_binary) return;
  if (out.exponent <= DIGITS_NS) {
    out.factor = power_of_ten(DIGITS_NS - out.exponent);
  } else {
    out.factor = 1;
    out.divisor = out.exponent > DIGITS_MAX ? 0 : power_of_ten(out.exponent - DIGITS_NS);
  }
}

// Whether its length is right.
bool PcapngFile::read_option(Interface& out, uint16_t code, const uint8_t* value, uint32_t size) noexcept {
  switch (code) {
    case IF_TSRESOL:
      out.is_binary = size == 1 && (*value & BINARY) != 0;
      out.exponent = size == 1 ? *value & ~BINARY : 0;
      return size == 1;
    case IF_FCSLEN:
      // In bits by the draft, in bytes by its example ("4") and by some that write it: no FCS has 4 bits.
      if (size == 1) out.fcs = *value < 8 ? *value : *value / 8u;
      return size == 1;
    case IF_TSOFFSET: {
      if (size != 8) return false;
      uint64_t offset;
      memcpy(&offset, value, sizeof offset);
      out.offset_s = static_cast<int64_t>(swapped_ ? __builtin_bswap64(offset) : offset);
      return true;
    }
    default:
      return true;
  }
}

// Enhanced (4.3), obsolete (appendix A) and Simple (4.4) Packet Block.
PcapngFile::Packet PcapngFile::read_packet(const uint8_t* block, uint32_t type) const noexcept {
  if (type == SIMPLE_PACKET) {
    uint32_t length = number(block + 8);
    uint32_t snap_length = interfaces_.empty() ? 0 : interfaces_.front().snap_length;
    return {0, snap_length == 0 ? length : std::min(length, snap_length), length, 12, 0, false};
  }
  uint32_t interface = type == OBSOLETE_PACKET ? number16(block + 8) : number(block + 8);
  uint64_t units = uint64_t{number(block + 12)} << 32 | number(block + 16);
  return {interface, number(block + 20), number(block + 24), 28, units, true};
}

// `there` bytes of the block are in the window.
Step PcapngFile::packet(CaptureInput& in, CapturedFrame& out, uint32_t type, uint32_t length,
                        uint32_t there) noexcept {
  const uint8_t* block = in.window.data();
  in.packets++;
  // The frame stays at its place until the next call.
  if (length == there) {
    in.window.pass(length);
  } else {
    pending_ = length;
  }
  if (length < (type == SIMPLE_PACKET ? SIMPLE_LEAST : PACKET_LEAST))
    return in.leave_out(RemarkKind::bad_block);
  Packet found = read_packet(block, type);
  if (found.captured > length - TAIL - found.data) return in.leave_out(RemarkKind::bad_block);
  if (found.captured > CAPTURED_MAX) return in.leave_out(RemarkKind::oversized);
  if (found.interface >= interfaces_.size() || !interfaces_[found.interface].is_readable)
    return in.leave_out(RemarkKind::unknown_interface);
  Interface& from = interfaces_[found.interface];
  if (!from.is_used) add_link_type(used_, from.link_type);
  from.is_used = true;
  out.data = block + found.data;
  out.captured = found.captured;
  out.length = found.length;
  out.link_type = from.link_type;
  uint32_t fcs = from.fcs;
  uint32_t options = found.data + padded(found.captured);
  uint32_t end = length == there ? length - TAIL : there;
  if (type != SIMPLE_PACKET && options < end) fcs = fcs_of(in, from, block + options, block + end);
  if (!found.has_time) {
    in.note(RemarkKind::no_time);
    return in.take(out, in.last_ns, fcs);
  }
  __int128 time_ns;
  if (from.is_binary) {
    time_ns = static_cast<__int128>(found.units) * SECOND_NS >> from.exponent;
  } else if (from.divisor == 1) {
    time_ns = static_cast<__int128>(found.units) * from.factor;
  } else {
    time_ns = from.divisor == 0 ? 0 : found.units / from.divisor;
  }
  return in.take(out, time_ns + from.offset_s * SECOND_NS, fcs);
}

// The length of the FCS by the packet's flags (4.3.1), in bytes; by its interface where they don't say.
uint32_t PcapngFile::fcs_of(CaptureInput& in, const Interface& from, const uint8_t* at,
                            const uint8_t* end) noexcept {
  uint32_t flags = 0;
  bool whole = each_option(at, end, [&](uint16_t code, const uint8_t* value, uint32_t size) noexcept {
    if (code != EPB_FLAGS) return true;
    if (size == 4) flags = number(value);
    return size == 4;
  });
  if (!whole) in.note(RemarkKind::bad_options);
  uint32_t fcs = flags >> FLAGS_FCS_SHIFT & FLAGS_FCS;
  return fcs != 0 ? fcs : from.fcs;
}

}  // namespace carom
