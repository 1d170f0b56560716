#include "loop/generate_live.h"

#include <bit>

#include "core/thread.h"
#include "generate/replay.h"
#include "io/interruptions.h"
#include "loop/link_rules.h"
#include "loop/live_frames.h"
#include "loop/live_ticks.h"

namespace carom {
namespace {

constexpr uint32_t LARGEST_BATCH = 64;
constexpr double ONE_BY_ONE_PPS = 1.5e6;
constexpr uint32_t PACED_BATCH = 8;
constexpr double FRAMES_MARGIN = 4;  // a tick may be several frames, and the peak is one of 50 ms
constexpr uint32_t FRAMES_MIN = 1 << 10;
constexpr uint32_t FRAMES_MAX = 1 << 13;  // little enough for a core's cache, and more than 1 ms at 6 M/s

// Frames between two flushes: as many as a window lets go at once; by a schedule one, until that is too slow:
// what waits for the others of its batch is late.
uint32_t batch_of(const GeneratorConfig& config) {
  if (config.closed) return std::min(config.window, LARGEST_BATCH);  // without a window the largest
  return config.feed.peak_pps <= ONE_BY_ONE_PPS ? 1 : PACED_BATCH;
}

generate_headers headers_of(const FrameTemplate& made) {
  generate_headers headers{};
  static_assert(sizeof headers.words >= MAX_HEADER_SIZE);
  memcpy(headers.words, made.headers(), made.header_length());
  headers.sum = made.sum();
  return headers;
}

// What both sending programs are told.
generate_constants constants_of(const GeneratorConfig& config) {
  generate_constants constants{};
  constants.stall_ns = config.io.stall_threshold_ns;
  constants.timeout_ns = config.ledger.timeout_ns;
  constants.quiet_ns = config.quiet_ns;
  constants.count = config.count == 0 ? UINT64_MAX : config.count;
  constants.late_ns = config.late_threshold_ns;
  constants.late = config.late == LatePolicy::skip   ? GENERATE_SKIP
                   : config.late == LatePolicy::slip ? GENERATE_SLIP
                                                     : GENERATE_CATCH_UP;
  constants.mask = config.ledger.capacity - 1;
  constants.closed = config.closed;
  constants.flat_out = config.flat_out;
  constants.window = config.window;
  constants.receives = config.io.receives;
  constants.batch = batch_of(config);
  return constants;
}

LivePrograms tick_programs(const GeneratorConfig& config) {
  const StreamConfig& stream = config.streams[0];
  const LineConfig& line = stream.lines[0];
  LivePrograms programs{constants_of(config), link_rules_of(config.io), {}};
  generate_constants& constants = programs.constants;
  Endpoint from{};
  memcpy(from.mac, config.io.link.mac, 6);
  memcpy(from.address, line.ipv6 ? config.io.link.address6 : config.io.link.address4, line.ipv6 ? 16 : 4);
  for (uint32_t flow = 0; flow < stream.flows; flow++) {
    from.port = static_cast<uint16_t>(stream.source_port + flow);
    FrameTemplate made(from, line.destination, line.ipv6, line.vlan, config.io.ttl, line.dscp,
                       MARKET_DATA_SIZE);
    programs.headers.push_back(headers_of(made));
    constants.header_length = made.header_length();
    constants.longest = made.frame_length();
  }
  constants.padded = !stream.sizes.empty();
  for (uint32_t size : stream.sizes) constants.longest = std::max(constants.longest, size);
  return programs;
}

// Of all streams, in bytes.
uint32_t longest_frame(const GeneratorConfig& config) {
  uint32_t longest = FrameTemplate::HEADER_SPACE;
  if (config.replay) return std::max(longest, ETHERNET_SIZE + VLAN_SIZE + config.io.link.mtu);
  for (const StreamConfig& stream : config.streams) {
    for (const LineConfig& line : stream.lines) {
      uint32_t headers =
          ETHERNET_SIZE + (line.vlan >= 0 ? VLAN_SIZE : 0) + (line.ipv6 ? IPV6_SIZE : IPV4_SIZE) + UDP_SIZE;
      longest = std::max(longest, headers + stream.most * MARKET_DATA_SIZE);
    }
    for (uint32_t size : stream.sizes) longest = std::max(longest, size);
  }
  return longest;
}

LivePrograms frame_programs(const GeneratorConfig& config) {
  LivePrograms programs{constants_of(config), link_rules_of(config.io), {}};
  programs.constants.longest = longest_frame(config);
  programs.constants.frames = 1;
  programs.constants.frame_mask = frames_ahead(config) - 1;
  return programs;
}

}  // namespace

uint32_t frames_ahead(const GeneratorConfig& config) noexcept {
  if (config.replay) return FRAMES_MAX;  // a capture may have any rate
  double wanted = FRAMES_MARGIN * config.feed.peak_pps * static_cast<double>(FRAMES_AHEAD_NS) / 1e9;
  return std::bit_ceil(static_cast<uint32_t>(std::clamp<double>(wanted, FRAMES_MIN, FRAMES_MAX)));
}

void generate_live(GeneratorRole& role) {
  const GeneratorConfig& config = role.config;
  bool plain = !config.replay && is_plain(config.streams);
  XdpLiveIo io(role.io, role.io_counters, plain ? tick_programs(config) : frame_programs(config));
  auto run = [&](auto& loop) {
    leave_cpu(role.io.cpu);  // the sending thread has it to itself
    gather_evidence(role.watch.evidence(), role.io.cpu, io.sender());
    if (!role.opened(io.notes())) return;
    loop.run();
    io.settle();
    role.ended();
  };
  if (plain) {
    auto loop = std::make_unique<LiveTicks>(role, io);
    return run(*loop);
  }
  if (config.replay) {
    Replay replay(*config.replay, *role.replay, nullptr);
    auto loop = std::make_unique<LiveFrames<Replay>>(role, io, replay);
    return run(*loop);
  }
  Feed feed(config.streams, config.feed, config.io.link, config.io.ttl, role.lines,
            config.io.receives ? &role.ledger : nullptr);
  auto loop = std::make_unique<LiveFrames<Feed>>(role, io, feed);
  run(*loop);
}

}  // namespace carom
