#include "loop/backends.h"

#include "io/af_packet.h"
#include "io/af_xdp.h"
#include "io/udp.h"

namespace carom {
namespace {

template <PacketIo Io>
void generate(GeneratorRole& role) {
  Io io(role.io, role.io_counters);
  auto loop = std::make_unique<GenerateLoop<Io>>(role, io);
  if (!role.opened(io.notes())) return;
  loop->run();
  io.settle();
}

template <PacketIo Io>
void respond(ResponderRole& role) {
  Io io(role.io, role.io_counters);
  auto loop = std::make_unique<RespondLoop<Io, Threshold>>(role, io);
  if (!role.opened(io.notes())) return;
  loop->run();
  io.settle();
}

template <PacketIo Io>
constexpr BackendEntry entry() {
  return {Io::NAME, Io::probe, generate<Io>, respond<Io>};
}

constexpr BackendEntry TABLE[] = {
    entry<AfXdpIo>(),
    entry<AfPacketIo>(),
    entry<UdpIo>(),
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
