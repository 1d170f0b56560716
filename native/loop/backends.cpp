#include "loop/backends.h"

#include "io/af_packet.h"
#include "io/af_xdp.h"
#include "io/interruptions.h"
#include "io/udp.h"
#include "io/xdp.h"
#include "io/xdp_live.h"
#include "loop/generate_live.h"
#include "loop/link_rules.h"

namespace carom {
namespace {

template <class Io>
concept SharesProgram =
    std::is_constructible_v<Io, const IoConfig&, IoCounters&, std::shared_ptr<XdpProgram>>;

// Opens the backend: with the program of another queue's thread, where there is one.
template <PacketIo Io>
Io open_io(Role& role) {
  if constexpr (SharesProgram<Io>) {
    return Io(role.io, role.io_counters, role.program);
  } else {
    return Io(role.io, role.io_counters);
  }
}

// The qdisc compares launch times with CLOCK_TAI, the NIC with its own clock.
void demand_tai(const GeneratorConfig& config) {
  uint64_t off_ns = off_tai_ns(config.schedule_clock.id);
  if (off_ns <= config.launch_lead_ns / 4) return;
  const std::string& name = config.io.link.interface_name;
  throw Error(ErrorCode::environment, "--pacing launch-time on " + name,
              "its clock is " + std::to_string(off_ns) + " ns off CLOCK_TAI, and a quarter of the lead, " +
                  std::to_string(config.launch_lead_ns / 4) + " ns, is allowed",
              "have phc2sys keep the two together, or raise --launch-lead");
}

template <PacketIo Io>
void generate(GeneratorRole& role) {
  if (role.config.launch_lead_ns != 0) demand_tai(role.config);
  Io io = open_io<Io>(role);
  if constexpr (SharesProgram<Io>) role.program = io.program();
  role.open_capture();
  auto loop = std::make_unique<GenerateLoop<Io>>(role, io);
  gather_evidence(role.watch.evidence(), role.io.cpu);
  if (!role.opened(io.notes())) return;
  loop->run();
  io.settle();
  role.finish_capture();
  role.ended();
}

// What opening found out, and what it means for a filter that some of it can't be told by every backend.
template <PacketIo Io>
std::vector<std::string> notes_of(const ResponderRole& role, Io& io) {
  std::vector<std::string> notes = io.notes();
  if (role.io.filter && role.io.filter->always_ethernet()) notes.push_back("the filter wants every frame");
  return notes;
}

// The loop of the role's strategy.
template <PacketIo Io>
void respond_by_strategy(ResponderRole& role, Io& io) {
  auto run = [&]<StrategyId ID>() {
    auto loop = std::make_unique<RespondLoop<Io, ID>>(role, io);
    if constexpr (!KernelAssisted<Io>) gather_evidence(role.watch.evidence(), role.io.cpu);
    if (!role.opened(notes_of(role, io))) return;
    loop->run();
    io.settle();
    role.ended();
  };
  switch (role.config.strategy.id) {
#define CAROM_STRATEGY_LOOP(name, keeps_state) \
  case STRATEGY_##name:                        \
    return run.template operator()<STRATEGY_##name>();
    CAROM_STRATEGIES(CAROM_STRATEGY_LOOP)
#undef CAROM_STRATEGY_LOOP
    case STRATEGY_COUNT:
      break;
  }
}

template <PacketIo Io>
void respond(ResponderRole& role) {
  Io io = open_io<Io>(role);
  if constexpr (SharesProgram<Io>) role.program = io.program();
  respond_by_strategy(role, io);
}

// The settings of the responder for its eBPF program.
respond_settings kernel_settings(const ResponderConfig& config) {
  respond_settings settings{};
  settings.strategy = config.strategy.settings;
  settings.limit = config.limit;
  settings.link = link_rules_of(config.io);
  settings.response_port = __builtin_bswap16(config.response.port);
  settings.ttl = config.io.ttl;
  settings.traffic_class = static_cast<uint32_t>(config.io.dscp) << 2;
  settings.enabled = 1;
  return settings;
}

void respond_in_kernel(ResponderRole& role) {
  if (role.config.has_response_address) {
    throw Error(ErrorCode::usage,
                operation_text("xdp", role.io.link, "answer to another host than the sender"),
                "the program sends a frame back the way it came", "use --backend af_xdp with --response-ip");
  }
  const StrategyConfig& strategy = role.config.strategy;
  KernelProgram program{
      {strategy.id, !strategy.symbols.empty(), strategy.symbol_limit}, kernel_settings(role.config), {}};
  for (const auto& symbol : strategy.symbols) program.symbols.push_back(symbol_word(symbol));
  XdpIo io(role.io, role.io_counters, role.program, program);
  role.program = io.program();
  role.fixed_symbols = true;
  respond_by_strategy(role, io);
}

template <PacketIo Io>
constexpr BackendEntry entry() {
  return {Io::NAME, Io::probe, generate<Io>, respond<Io>};
}

constexpr BackendEntry TABLE[] = {
    entry<AfXdpIo>(),
    entry<AfPacketIo>(),
    entry<UdpIo>(),
    {XdpIo::NAME, XdpIo::probe, nullptr, respond_in_kernel},
    {XdpLiveIo::NAME, XdpLiveIo::probe, generate_live, nullptr},
};

}  // namespace

std::span<const BackendEntry> backends() noexcept { return TABLE; }

const BackendEntry& find_backend(const std::string& name) {
  std::string names;
  for (const BackendEntry& candidate : TABLE) {
    if (candidate.name == name) return candidate;
    names += (names.empty() ? "" : ", ") + std::string(candidate.name);
  }
  throw Error(ErrorCode::usage, "choose a backend", "there is none called " + name, "there are " + names);
}

}  // namespace carom
