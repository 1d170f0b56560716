// The responder's whole way in user space, on frames that are in memory: receive, filter, decode, strategy,
// and where the strategy wants one, the order. The loop is the responder's own (loop/respond.h).
//   pipeline [ROUNDS]
// Prints JSON: for each case millions of frames a second, a figure a round.
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "core/clock.h"
#include "core/error.h"
#include "filter/packet_filter.h"
#include "loop/respond.h"
#include "market_frames.h"

namespace {

using namespace carom;

constexpr uint32_t FRAMES_A_ROUND = 1 << 22;

// Receives the frames in turn, as a ring of a NIC hands them out; what is sent goes into a few buffers.
class MarketIo {
 public:
  static constexpr std::string_view NAME = "market";

  explicit MarketIo(MarketFrames& frames) : frames_(frames) {}

  uint32_t rx_peek(std::span<Frame> into) noexcept {
    for (Frame& frame : into) frame = {frames_.at(next_++ % MARKET_FRAMES), MARKET_FRAME_BYTES, false, 0};
    return static_cast<uint32_t>(into.size());
  }
  void rx_release(uint32_t) noexcept {}
  uint32_t tx_reserve(std::span<Frame> into) noexcept {
    for (size_t i = 0; i < into.size(); i++) into[i] = {buffers_[i], sizeof buffers_[i], false, 0};
    return static_cast<uint32_t>(into.size());
  }
  uint32_t tx_submit(std::span<const Frame> from) noexcept { return static_cast<uint32_t>(from.size()); }
  uint32_t tx_stamps(std::span<TxStamp>) noexcept { return 0; }
  void settle() noexcept {}
  static bool filters() noexcept { return false; }
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  MarketFrames& frames_;
  uint32_t next_ = 0;
  alignas(64) uint8_t buffers_[MAX_BATCH][FrameTemplate::MIN_BUFFER];
  std::vector<std::string> notes_;
};

ResponderConfig configuration(const char* filter, uint32_t threshold) {
  ResponderConfig config{};
  const uint8_t mac[6] = {0x02, 0xca, 0x40, 0, 0, 2};
  const uint8_t address[4] = {198, 18, 0, 2};
  memcpy(config.io.link.mac, mac, sizeof mac);
  memcpy(config.io.link.address4, address, sizeof address);
  for (uint8_t net = 1; net <= MARKET_NETS; net++) {
    for (uint8_t host = 1; host <= MARKET_HOSTS; host++) {
      const uint8_t group[4] = {239, 1, net, host};
      memcpy(config.io.groups.emplace_back().address, group, sizeof group);
    }
  }
  config.io.link.has_address4 = true;
  config.io.link.mtu = 1500;
  config.io.local_port = config.io.send_port = 8080;
  config.io.vlan = -1;
  config.io.ttl = 16;
  config.io.stall_threshold_ns = 1'000'000'000;
  if (*filter != '\0') config.io.filter = open_filter(filter, {"auto", IO_FRAMES});
  config.strategy.settings.threshold = threshold;
  config.strategy.settings.quantity = 100;
  config.response.port = 9999;
  return config;
}

struct Case {
  const char* name;
  const char* filter;  // "" for none
  bool all_are_ticks;  // or of six ports, and one of ten TCP
  uint32_t threshold;  // in cents: prices are 1 to 20,000
};

// The last two take every frame to the end.
constexpr Case CASES[] = {
    {"one port of six", "udp dst port 8080", false, 0},
    {"one symbol", "udp dst port 8080 and symbol AAPL and price < 10.00", false, 1000},
    {"every frame a tick", "udp dst port 8080", true, 0},
    {"every tick an order", "udp dst port 8080", true, 20001},
};

bool measure(const Case& one, int rounds) {
  MarketFrames frames(one.all_are_ticks ? 1 : 6, one.all_are_ticks ? 0 : 10);
  MarketIo io(frames);
  ResponderRole role(configuration(one.filter, one.threshold));
  auto loop = std::make_unique<RespondLoop<MarketIo, STRATEGY_threshold>>(role, io);
  const Clock& clock = Clock::get();
  printf("{\"name\":\"%s\",\"filter\":\"%s\",\"rounds\":[", one.name, one.filter);
  for (int round = -1; round < rounds; round++) {  // the first one warms up
    uint64_t begin_ns = clock.now_ns();
    for (uint32_t done = 0; done < FRAMES_A_ROUND; done += MAX_BATCH)
      loop->process(io.rx_peek(loop->rx()), clock.now_ns());
    double took_ns = static_cast<double>(clock.now_ns() - begin_ns);
    if (round >= 0) printf("%s%.2f", round > 0 ? "," : "", FRAMES_A_ROUND / took_ns * 1e3);
  }
  const ResponderCounters& is = role.counters;
  double all = static_cast<double>(rounds + 1) * FRAMES_A_ROUND;
  uint64_t refused = is.frames.get() - is.datagrams.get();
  printf("],\"wanted\":%.4f,\"ticks\":%.4f,\"orders\":%.4f}", static_cast<double>(is.frames.get()) / all,
         static_cast<double>(is.ticks.get()) / all, static_cast<double>(is.orders.get()) / all);
  bool is_whole = static_cast<double>(is.frames.get() + role.io_counters.filtered.get()) == all;
  return is_whole && refused == 0 && is.orders.get() + is.quiet_ticks.get() == is.ticks.get();
}

}  // namespace

int main(int count, char** arguments) {
  int rounds = count > 1 ? atoi(arguments[1]) : 9;
  try {
    printf("[");
    for (const Case& one : CASES) {
      if (&one != CASES) printf(",");
      if (measure(one, rounds)) continue;
      fprintf(stderr, "pipeline: %s: a frame was lost, or refused behind the filter\n", one.name);
      return 1;
    }
    printf("]\n");
  } catch (const Error& error) {
    fprintf(stderr, "%s: %s\n", error.operation.c_str(), error.detail.c_str());
    return 1;
  }
}
