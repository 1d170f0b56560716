// Blocks of pcapng (draft-ietf-opsawg-pcapng, "PCAP Next Generation Dump File Format") into memory: section
// header, interface description, enhanced packet, interface statistics. In the byte order of this machine,
// as the format wants it; times are in ns.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace carom {

constexpr uint32_t PCAPNG_PACKET = 6;  // block types
constexpr uint32_t PCAPNG_STATISTICS = 5;
constexpr uint32_t PCAPNG_INTERFACE = 1;
constexpr uint32_t PCAPNG_SECTION = 0x0a0d0d0a;
constexpr uint32_t PCAPNG_LEAST = 12;  // bytes of the smallest block: type, length, length

// An option's text, or the part of it that 16 bits can measure, cut between characters.
constexpr uint32_t PCAPNG_TEXT_MAX = 60'000;

// What captures: texts that are "" are left out.
struct PcapngSection {
  std::string hardware;
  std::string os;
  std::string application;
  std::string comment;
};

struct PcapngInterface {
  std::string name;
  std::string description;
  std::string filter;  // of libpcap's language
  std::string hardware;
  std::string os;
  std::string comment;
  uint32_t snap_length;  // 0: no limit
  std::array<uint8_t, 6> mac;
};

enum class PcapngDirection : uint8_t { unknown, in, out };
enum class PcapngReception : uint8_t { unknown, unicast, multicast, broadcast, promiscuous };

struct PcapngPacket {
  uint64_t time_ns;  // since the epoch
  uint32_t length;   // on the wire; of which `frame` may be the beginning
  std::span<const uint8_t> frame;
  PcapngDirection direction = PcapngDirection::unknown;
  PcapngReception reception = PcapngReception::unknown;
  uint64_t dropped = 0;  // between the packet before and this one
  std::span<const std::string> comments = {};
};

// Of one interface, since the capture began. What is not known is left out.
struct PcapngStatistics {
  uint64_t time_ns;
  uint64_t start_ns;
  uint64_t end_ns;
  std::optional<uint64_t> received;         // by the interface
  std::optional<uint64_t> interface_drops;  // by the interface, for lack of resources
  std::optional<uint64_t> accepted;         // by the filter
  std::optional<uint64_t> os_drops;         // by the operating system
  std::optional<uint64_t> delivered;        // to the user: what is in the file
  std::string comment;
};

class PcapngBlocks {
 public:
  // Takes room for so many bytes at once.
  explicit PcapngBlocks(size_t bytes) { bytes_.reserve(bytes); }

  void section(const PcapngSection& section);
  void interface(const PcapngInterface& interface);
  void packet(const PcapngPacket& packet);
  void statistics(const PcapngStatistics& statistics);

  std::span<const uint8_t> bytes() const noexcept { return bytes_; }
  void clear() noexcept { bytes_.clear(); }

 private:
  template <class T>
  void put(T value);
  void put_padded(const void* data, size_t size);
  void option(uint16_t code, const void* data, size_t size);
  void text(uint16_t code, std::string_view text);
  template <class T>
  void number(uint16_t code, T value);
  void time(uint16_t code, uint64_t time_ns);
  void maybe(uint16_t code, std::optional<uint64_t> value);
  size_t begin(uint32_t type);
  void end(size_t block);

  std::vector<uint8_t> bytes_;
};

// The type of a whole block, or its length, as put.
uint32_t pcapng_word(const uint8_t* at) noexcept;

}  // namespace carom
