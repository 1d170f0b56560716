// What is in a capture, gathered in one pass over it; the memory that this takes does not depend on its size.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>

#include "capture/bursts.h"
#include "capture/ethernet.h"
#include "capture/layers.h"
#include "capture/rate_bins.h"
#include "capture/reader.h"
#include "capture/top_table.h"
#include "capture/trading.h"
#include "core/histogram.h"
#include "filter/packet_filter.h"

namespace carom {

struct InspectConfig {
  std::string path;  // "-" is standard input
  std::string filter;
  uint64_t from_ns;  // of the time after the first frame
  uint64_t to_ns;
  uint16_t tick_port;
  uint16_t order_port;
};

// What one thread does and another one shows.
struct InspectProgress {
  std::atomic<uint64_t> frames{0};
  std::atomic<uint64_t> bytes_read{0};
  std::atomic<uint64_t> bytes_total{0};  // 0: not known
};

enum class FrameKind : uint8_t {
  vlan,  // with a tag, whatever is in it
  ipv4,
  ipv6,
  arp,
  other_ethertype,
  bad_ip,  // an IP header that ends early or has another version or length
  runt,    // shorter than an Ethernet header
  udp,
  tcp,
  icmp,
  igmp,
  other_protocol,
  fragment,
  ip_options,  // or extension headers
  COUNT
};
constexpr const char* FRAME_KIND_NAMES[] = {
    "vlan", "ipv4", "ipv6", "arp",  "other_ethertype", "bad_ip",   "runt",
    "udp",  "tcp",  "icmp", "igmp", "other_protocol",  "fragment", "ip_options"};
static_assert(sizeof FRAME_KIND_NAMES / sizeof *FRAME_KIND_NAMES == static_cast<size_t>(FrameKind::COUNT));

enum class BadChecksum : uint8_t { ip, udp, tcp, unfinished, COUNT };
constexpr const char* BAD_CHECKSUM_NAMES[] = {"ip", "udp", "tcp", "unfinished"};

// Sizes as Wireshark's statistics have them: below 20, 40, 80, …, 5120, and what is longer.
constexpr uint32_t SIZE_RANGES = 10;
inline uint32_t size_range(uint32_t length) noexcept {
  uint32_t range = 0;
  while (range < SIZE_RANGES - 1 && length >= (20u << range)) range++;
  return range;
}

// Both directions as one: the lower end first.
struct ConversationKey {
  std::array<uint8_t, 16> address[2];
  uint16_t port[2];
  uint8_t protocol;
  uint8_t ipv6;
  uint8_t has_ports;
  uint8_t unused;
};
struct ConversationCount {
  uint64_t frames = 0;
  uint64_t bytes = 0;
  uint64_t forth = 0;  // frames from the first end to the second
  void add(const ConversationCount& other) noexcept {
    frames += other.frames;
    bytes += other.bytes;
    forth += other.forth;
  }
};

struct GroupKey {
  std::array<uint8_t, 16> address;
  uint16_t port;
  uint8_t ipv6;
  uint8_t has_port;
};
struct GroupCount : FrameCount {
  void add(const GroupCount& other) noexcept {
    frames += other.frames;
    bytes += other.bytes;
  }
};

// Of the frames that were wanted.
struct InspectCounters {
  uint64_t frames = 0;
  uint64_t bytes = 0;        // on the wire
  uint64_t captured = 0;     // of them in the file
  uint64_t truncated = 0;    // frames of which not all is in the file
  uint64_t empty = 0;        // without a byte
  uint64_t unconverted = 0;  // that have no Ethernet header and can't get one
  uint64_t shortest = UINT64_MAX;
  uint64_t longest = 0;
  uint64_t first_ns = 0;
  uint64_t last_ns = 0;  // of the last one in the file
  uint64_t least_ns = UINT64_MAX;
  uint64_t most_ns = 0;
  uint64_t backwards = 0;  // frames earlier than the one before
  uint64_t backwards_max_ns = 0;
  uint64_t backwards_frame = 0;  // the number of the first of them in the file, from 1
  uint64_t filtered = 0;         // not wanted: by the filter
  uint64_t outside = 0;          // by the time
  std::array<uint64_t, static_cast<size_t>(FrameKind::COUNT)> kinds{};
  std::array<uint64_t, static_cast<size_t>(BadChecksum::COUNT)> bad{};
  std::array<FrameCount, SIZE_RANGES> sizes{};
};

class Inspection {
 public:
  explicit Inspection(const InspectConfig& config);

  // A frame of the file, and the same with an Ethernet header; null when it can't have one.
  void add(const CapturedFrame& frame, const CapturedFrame* ethernet);
  void finish() { bursts_.finish(); }

  const InspectCounters& counters() const noexcept { return counters_; }
  const Histogram& gaps() const noexcept { return gaps_; }
  const RateBins& rate() const noexcept { return rate_; }
  const Bursts& bursts() const noexcept { return bursts_; }
  const Trading& trading() const noexcept { return trading_; }
  const TopTable<ConversationKey, ConversationCount>& conversations() const noexcept {
    return conversations_;
  }
  const TopTable<GroupKey, GroupCount>& groups() const noexcept { return groups_; }

 private:
  bool wanted(const CapturedFrame& frame, const CapturedFrame* ethernet) noexcept;
  void time(uint64_t time_ns, uint32_t length);
  void classify(const Layers& found) noexcept;
  void check(const CapturedFrame& ethernet, const Layers& found) noexcept;
  void converse(const uint8_t* frame, const Layers& found, uint32_t length);
  void count(FrameKind kind) noexcept { counters_.kinds[static_cast<size_t>(kind)]++; }
  void count(BadChecksum which) noexcept { counters_.bad[static_cast<size_t>(which)]++; }

  PacketFilter filter_;
  uint64_t from_ns_;
  uint64_t to_ns_;
  uint64_t number_ = 0;  // of the frame in the file
  bool began_ = false;
  uint64_t begin_ns_ = 0;
  InspectCounters counters_;
  Histogram gaps_;
  RateBins rate_;
  Bursts bursts_;
  Trading trading_;
  TopTable<ConversationKey, ConversationCount> conversations_{1 << 15};
  TopTable<GroupKey, GroupCount> groups_{1 << 13};
};

// What the file itself is.
struct FileFound {
  std::string format;
  std::string compression;
  std::string link_type;
  uint64_t interfaces = 0;
  CaptureEnd end;
  std::vector<CaptureRemark> remarks = {};
};

struct InspectResult {
  FileFound file;
  Inspection inspection;
};

// Reads a capture to its end, or where it broke. Throws Error.
std::unique_ptr<InspectResult> inspect_capture(const InspectConfig& config, InspectProgress& progress);

// Where a capture has no MAC addresses: those of carom's lab.
constexpr GivenMacs LAB_MACS{{2, 0xca, 0x40, 0, 0, 1}, {2, 0xca, 0x40, 0, 0, 2}};

// What can't be made Ethernet is for a filter a frame without a byte.
inline bool is_match(const PacketFilter& filter, const CapturedFrame* ethernet) noexcept {
  return ethernet != nullptr ? filter.matches(ethernet->data, ethernet->captured, ethernet->length)
                             : filter.matches(nullptr, 0, 0);
}

// Frames of a capture one by one: the frame, and the same with an Ethernet header or null. Throws Error, also
// at the end: when none of them could have one.
template <class Each>
FileFound read_capture(const std::string& path, InspectProgress& progress, Each each) {
  CaptureReader reader(path);
  ToEthernet to_ethernet(reader, LAB_MACS);
  progress.bytes_total.store(reader.file_size(), std::memory_order_relaxed);
  CapturedFrame frame{};
  CapturedFrame ethernet{};
  while (reader.next(frame)) {
    bool has = to_ethernet.convert(frame, ethernet);
    each(frame, has ? &ethernet : nullptr);
    if (frame.number % 1024 != 0) continue;
    progress.frames.store(frame.number, std::memory_order_relaxed);
    progress.bytes_read.store(reader.file_read(), std::memory_order_relaxed);
  }
  if (auto error = to_ethernet.useless(reader)) throw *error;
  FileFound found{CAPTURE_FORMAT_NAMES[static_cast<size_t>(reader.format())],
                  COMPRESSION_NAMES[static_cast<size_t>(reader.compression())],
                  reader.link_types_text(),
                  reader.interfaces(),
                  reader.end(),
                  reader.remarks()};
  to_ethernet.add_remarks(found.remarks);
  return found;
}

}  // namespace carom
