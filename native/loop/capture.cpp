#include "loop/capture.h"

#include <algorithm>

#include "core/clock.h"

namespace carom {
namespace {

constexpr int POLL_MS = 50;
constexpr uint64_t LOOK_NS = 1'000'000'000;  // how often the interface's counters are read
constexpr uint16_t KERNEL_STAMP = 1;         // the kind of a record's note, which has no bytes

CaptureSource source_of(CaptureRole& role) {
  const TapConfig& tap = role.config.tap;
  CaptureSource source;
  source.interface.name = tap.link.interface_name;
  source.interface.filter = tap.filter;
  source.interface.os = role.config.output.section.os;
  source.interface.snap_length = tap.snap_length;
  std::copy(std::begin(tap.link.mac), std::end(tap.link.mac), source.interface.mac.begin());
  source.interface.comment = role.config.output.interface_comment;
  source.statistics = [&role](uint64_t dropped) {
    const CaptureCounters& counters = role.counters;
    PcapngStatistics statistics{};
    uint64_t accepted = counters.frames.get() + counters.ring_drops.get();
    // As libpcap's tools have it: what the kernel's filter leaves out, nobody counts.
    statistics.received = accepted + counters.filtered.get();
    statistics.accepted = accepted;
    statistics.interface_drops = counters.interface_drops.get();
    statistics.os_drops = counters.ring_drops.get();
    statistics.comment = "carom: " + std::to_string(dropped) + " packets dropped by the writer, " +
                         std::to_string(counters.ring_drops.get()) + " by the kernel's ring, " +
                         std::to_string(counters.interface_drops.get()) + " by the interface";
    return statistics;
  };
  source.comment = [](const CaptureRecord& record, std::vector<std::string>& comments) {
    if (record.kind == KERNEL_STAMP) comments.emplace_back("carom: timestamp by the kernel, not by the NIC");
  };
  return source;
}

PcapngReception reception_of(uint8_t type) noexcept {
  switch (type) {
    case PACKET_HOST:
      return PcapngReception::unicast;
    case PACKET_MULTICAST:
      return PcapngReception::multicast;
    case PACKET_BROADCAST:
      return PcapngReception::broadcast;
    case PACKET_OTHERHOST:
      return PcapngReception::promiscuous;
    default:
      return PcapngReception::unknown;
  }
}

class CaptureLoop {
 public:
  CaptureLoop(CaptureRole& role, PacketTap& tap)
      : config_(role.config),
        role_(role),
        counters_(role.counters),
        ring_(role.writer->ring()),
        tap_(tap),
        filter_(tap.filters_in_kernel() ? "" : config_.tap.filter),
        is_hardware_(config_.tap.timestamps == Provenance::hardware) {}

  void run() noexcept {
    const Clock& clock = Clock::get();
    uint64_t now_ns = clock.now_ns();
    uint64_t end_ns = config_.duration_ns == 0 ? UINT64_MAX : now_ns + config_.duration_ns;
    uint64_t look_ns = now_ns;
    while (role_.command() == Role::Command::run && !is_full() && now_ns < end_ns &&
           !role_.writer->has_failed()) {
      uint64_t left_ms = (end_ns - now_ns) / 1'000'000 + 1;
      bool found = next(static_cast<int>(std::min<uint64_t>(left_ms, POLL_MS)));
      now_ns = clock.now_ns();
      if (now_ns < look_ns) continue;
      look_ns = now_ns + LOOK_NS;
      look();
      if (found || !tap_.is_gone()) continue;
      role_.failure = Error(ErrorCode::environment, "capture on " + config_.tap.link.interface_name,
                            "the interface is gone", "what came before is in the file");
      break;
    }
    tap_.mute();
    // What came before the end is still on its way out of the kernel, or in its ring, however full that is.
    uint64_t over_ns = clock.now_ns() + uint64_t{PacketTap::FLUSH_MS} * 1'000'000;
    for (bool found = true;
         !is_full() && role_.command() != Role::Command::abort && (found || clock.now_ns() < over_ns);) {
      found = next(PacketTap::FLUSH_MS);
    }
    look();
    count_ring_drops();
  }

 private:
  bool is_full() const noexcept { return config_.count != 0 && counters_.frames.get() >= config_.count; }

  bool next(int timeout_ms) noexcept {
    return tap_.next_block(timeout_ms, [this](const TappedFrame& frame) {
      if (frame.losing) [[unlikely]]
        count_ring_drops();
      take(frame);
      return !is_full();
    });
  }

  void take(const TappedFrame& frame) noexcept {
    bool is_out = frame.type == PACKET_OUTGOING;
    CaptureHead head{};
    head.time_ns = frame.time_ns;
    head.length = frame.length + (frame.tag >= 0 ? CaptureRing::TAG_SIZE : 0);
    head.tag = frame.tag;
    head.tag_protocol = frame.tag_type;
    head.direction = is_out ? PcapngDirection::out : PcapngDirection::in;
    head.reception = reception_of(frame.type);
    if (is_hardware_ && !frame.hardware_stamped) head.kind = KERNEL_STAMP;
    if (!matches(frame, head)) {
      ++counters_.filtered;
      return;
    }
    ring_.put(head, {frame.data, frame.captured}, config_.tap.snap_length);
    ++counters_.frames;
    counters_.bytes.add(head.length);
    counters_.captured_bytes.add(std::min(head.length, config_.tap.snap_length));
    ++(is_out ? counters_.out : counters_.in);
    if (frame.hardware_stamped) ++counters_.hardware_stamped;
    if (counters_.first_ns.get() == 0) counters_.first_ns.set(frame.time_ns);
    counters_.last_ns.set(frame.time_ns);
  }

  // Where the kernel can't, the filter sees the frame as it was on the wire.
  bool matches(const TappedFrame& frame, const CaptureHead& head) noexcept {
    if (tap_.filters_in_kernel()) [[likely]]
      return true;
    if (frame.tag < 0 || frame.captured < CaptureRing::ADDRESSES_SIZE)
      return filter_.matches(frame.data, frame.captured, frame.length);
    uint32_t size = std::min<uint32_t>(frame.captured + CaptureRing::TAG_SIZE, sizeof whole_);
    CaptureRing::put_tagged(whole_, size, head, {frame.data, frame.captured});
    return filter_.matches(whole_, size, head.length);
  }

  void count_ring_drops() noexcept {
    uint64_t drops = tap_.take_ring_drops();
    counters_.ring_drops.add(drops);
    ring_.skip(drops);
  }

  // Not for the ring's drops: they are asked for where they are missing. The kernel forgets them once told.
  void look() noexcept { counters_.interface_drops.set(tap_.interface_drops()); }

  const CaptureConfig& config_;
  CaptureRole& role_;
  CaptureCounters& counters_;
  CaptureRing& ring_;
  PacketTap& tap_;
  PacketFilter filter_;
  bool is_hardware_;
  uint8_t whole_[1 << 17];  // a frame with its tag put back
};

}  // namespace

void capture(CaptureRole& role) {
  PacketTap tap(role.config.tap);
  // Only now: what can't be captured overwrites no file.
  role.writer = std::make_unique<CaptureWriter>(role.config.output, source_of(role));
  auto loop = std::make_unique<CaptureLoop>(role, tap);
  // Stopped at once, it still has what came since it was opened.
  if (!role.opened(tap.notes()) && role.command() != Role::Command::stop) return;
  loop->run();
  role.writer->finish([&] { return role.command() == Role::Command::abort; });
}

}  // namespace carom
