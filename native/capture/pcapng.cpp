#include "capture/pcapng.h"

#include <algorithm>
#include <cstring>

namespace carom {
namespace {

constexpr uint16_t LINK_ETHERNET = 1;
constexpr uint32_t BYTE_ORDER_MAGIC = 0x1a2b3c4d;
constexpr uint64_t LENGTH_UNKNOWN = UINT64_MAX;

// Options, by the draft's names.
constexpr uint16_t END_OF_OPTIONS = 0;
constexpr uint16_t COMMENT = 1;
constexpr uint16_t SHB_HARDWARE = 2;
constexpr uint16_t SHB_OS = 3;
constexpr uint16_t SHB_USERAPPL = 4;
constexpr uint16_t IF_NAME = 2;
constexpr uint16_t IF_DESCRIPTION = 3;
constexpr uint16_t IF_MACADDR = 6;
constexpr uint16_t IF_TSRESOL = 9;
constexpr uint16_t IF_FILTER = 11;
constexpr uint16_t IF_OS = 12;
constexpr uint16_t IF_HARDWARE = 15;
constexpr uint16_t EPB_FLAGS = 2;
constexpr uint16_t EPB_DROPCOUNT = 4;
constexpr uint16_t ISB_STARTTIME = 2;
constexpr uint16_t ISB_ENDTIME = 3;
constexpr uint16_t ISB_IFRECV = 4;
constexpr uint16_t ISB_IFDROP = 5;
constexpr uint16_t ISB_FILTERACCEPT = 6;
constexpr uint16_t ISB_OSDROP = 7;
constexpr uint16_t ISB_USRDELIV = 8;

constexpr uint8_t NANOSECONDS = 9;             // ten to the power of minus this
constexpr uint8_t FILTER_AS_TEXT = 0;          // the first byte of IF_FILTER
constexpr uint32_t RECEPTION_SHIFT = 2;        // in EPB_FLAGS, above the direction
constexpr uint8_t CONTINUATION = 0b1000'0000;  // bytes of UTF-8 behind a character's first one
constexpr uint8_t CONTINUATION_MASK = 0b1100'0000;

// At most PCAPNG_TEXT_MAX bytes of it, without a part of a character at the end.
std::string_view cut(std::string_view text) {
  if (text.size() <= PCAPNG_TEXT_MAX) return text;
  size_t size = PCAPNG_TEXT_MAX;
  while (size > 0 && (static_cast<uint8_t>(text[size]) & CONTINUATION_MASK) == CONTINUATION) size--;
  return text.substr(0, size);
}

}  // namespace

uint32_t pcapng_word(const uint8_t* at) noexcept {
  uint32_t value;
  memcpy(&value, at, sizeof value);
  return value;
}

void PcapngBlocks::section(const PcapngSection& section) {
  size_t block = begin(PCAPNG_SECTION);
  put(BYTE_ORDER_MAGIC);
  put(uint16_t{1});  // version 1.0
  put(uint16_t{0});
  put(LENGTH_UNKNOWN);
  text(SHB_HARDWARE, section.hardware);
  text(SHB_OS, section.os);
  text(SHB_USERAPPL, section.application);
  text(COMMENT, section.comment);
  end(block);
}

void PcapngBlocks::interface(const PcapngInterface& interface) {
  size_t block = begin(PCAPNG_INTERFACE);
  put(LINK_ETHERNET);
  put(uint16_t{0});
  put(interface.snap_length);
  text(IF_NAME, interface.name);
  text(IF_DESCRIPTION, interface.description);
  option(IF_MACADDR, interface.mac.data(), interface.mac.size());
  option(IF_TSRESOL, &NANOSECONDS, 1);
  if (!interface.filter.empty()) {
    std::string filter(1, static_cast<char>(FILTER_AS_TEXT));
    text(IF_FILTER, filter + interface.filter);
  }
  text(IF_OS, interface.os);
  text(IF_HARDWARE, interface.hardware);
  text(COMMENT, interface.comment);
  end(block);
}

void PcapngBlocks::packet(const PcapngPacket& packet) {
  size_t block = begin(PCAPNG_PACKET);
  put(uint32_t{0});  // of the one interface
  put(static_cast<uint32_t>(packet.time_ns >> 32));
  put(static_cast<uint32_t>(packet.time_ns));
  put(static_cast<uint32_t>(packet.frame.size()));
  put(packet.length);
  put_padded(packet.frame.data(), packet.frame.size());
  uint32_t flags = static_cast<uint32_t>(packet.direction) | static_cast<uint32_t>(packet.reception)
                                                                 << RECEPTION_SHIFT;
  if (flags != 0) number(EPB_FLAGS, flags);
  if (packet.dropped != 0) number(EPB_DROPCOUNT, packet.dropped);
  for (const std::string& comment : packet.comments) text(COMMENT, comment);
  end(block);
}

void PcapngBlocks::statistics(const PcapngStatistics& statistics) {
  size_t block = begin(PCAPNG_STATISTICS);
  put(uint32_t{0});
  put(static_cast<uint32_t>(statistics.time_ns >> 32));
  put(static_cast<uint32_t>(statistics.time_ns));
  time(ISB_STARTTIME, statistics.start_ns);
  time(ISB_ENDTIME, statistics.end_ns);
  maybe(ISB_IFRECV, statistics.received);
  maybe(ISB_IFDROP, statistics.interface_drops);
  maybe(ISB_FILTERACCEPT, statistics.accepted);
  maybe(ISB_OSDROP, statistics.os_drops);
  maybe(ISB_USRDELIV, statistics.delivered);
  text(COMMENT, statistics.comment);
  end(block);
}

template <class T>
void PcapngBlocks::put(T value) {
  const auto* from = reinterpret_cast<const uint8_t*>(&value);
  bytes_.insert(bytes_.end(), from, from + sizeof value);
}

void PcapngBlocks::put_padded(const void* data, size_t size) {
  const auto* from = static_cast<const uint8_t*>(data);
  bytes_.insert(bytes_.end(), from, from + size);
  bytes_.insert(bytes_.end(), (4 - size % 4) % 4, 0);
}

void PcapngBlocks::option(uint16_t code, const void* data, size_t size) {
  put(code);
  put(static_cast<uint16_t>(size));
  put_padded(data, size);
}

void PcapngBlocks::text(uint16_t code, std::string_view text) {
  if (text.empty()) return;
  std::string_view kept = cut(text);
  option(code, kept.data(), kept.size());
}

template <class T>
void PcapngBlocks::number(uint16_t code, T value) {
  option(code, &value, sizeof value);
}

// Times in options are, as everywhere, the upper half first.
void PcapngBlocks::time(uint16_t code, uint64_t time_ns) { number(code, time_ns << 32 | time_ns >> 32); }

void PcapngBlocks::maybe(uint16_t code, std::optional<uint64_t> value) {
  if (value) number(code, *value);
}

size_t PcapngBlocks::begin(uint32_t type) {
  size_t block = bytes_.size();
  put(type);
  put(uint32_t{0});  // known at the end
  return block;
}

void PcapngBlocks::end(size_t block) {
  option(END_OF_OPTIONS, nullptr, 0);
  auto length = static_cast<uint32_t>(bytes_.size() - block + sizeof(uint32_t));
  put(length);
  memcpy(bytes_.data() + block + sizeof(uint32_t), &length, sizeof length);
}

}  // namespace carom
