#include "io/xdp.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <poll.h>

#include <array>
#include <ctime>

#include "core/error.h"
#include "respond.bpf.h"

namespace carom {
namespace {

constexpr int REST_MS = 2;  // how long a change may have to wait
constexpr XdpObject OBJECT{respond_object, sizeof respond_object, "respond"};

int64_t epoch_offset_ns() {
  timespec epoch{};
  timespec monotonic{};
  clock_gettime(CLOCK_REALTIME, &epoch);
  clock_gettime(CLOCK_MONOTONIC, &monotonic);
  return (epoch.tv_sec - monotonic.tv_sec) * 1'000'000'000 + epoch.tv_nsec - monotonic.tv_nsec;
}

}  // namespace

std::string XdpIo::probe(const IoConfig& config) {
  try {
    IoCounters counters;
    AfXdpIo opened(config, counters, OBJECT, nullptr);
    return "";
  } catch (const Error& error) {
    return error.operation + ": " + error.detail;
  }
}

XdpIo::XdpIo(const IoConfig& config, IoCounters& counters, const respond_settings& settings,
             const std::vector<uint64_t>& symbols)
    : below_(config, counters, OBJECT, nullptr), settings_(settings) {
  if (symbols.size() > RESPOND_SYMBOLS_MAX) {
    throw Error(ErrorCode::usage, operation_text("xdp", config.link, "trade the symbols"),
                "there are more than " + std::to_string(RESPOND_SYMBOLS_MAX));
  }
  const uint8_t traded = 1;
  for (uint64_t symbol : symbols) below_.program().update("symbols", &symbol, &traded);
  settings_.has_symbols = symbols.empty() ? 0 : 1;
  set_epoch_offset();
  notes_.push_back(std::string("in the kernel, ") + below_.program().mode() +
                   " XDP, on the core that receives; the thread sleeps and takes what is handed up");
}

void XdpIo::put_in_force() noexcept {
  // Written where no packet looks, then put in force at once: a packet sees one or the other.
  uint32_t zero = 0;
  uint32_t other = 1 - in_force_;
  bpf_map_update_elem(below_.program().map("settings"), &other, &settings_, BPF_ANY);
  bpf_map_update_elem(below_.program().map("in_force"), &zero, &other, BPF_ANY);
  in_force_ = other;
}

void XdpIo::set_epoch_offset() noexcept {
  settings_.epoch_offset_ns = static_cast<uint64_t>(epoch_offset_ns());
  put_in_force();
}

void XdpIo::change(const KernelSettings& wanted) noexcept {
  settings_.enabled = wanted.enabled ? 1 : 0;
  settings_.threshold = wanted.threshold;
  settings_.quantity = wanted.quantity;
  settings_.price_offset = wanted.price_offset;
  settings_.side = wanted.side;
  put_in_force();
}

void XdpIo::rest() noexcept {
  pollfd wanted{below_.descriptor(), POLLIN, 0};
  poll(&wanted, 1, REST_MS);
}

KernelTally XdpIo::take_tally() noexcept {
  // One value for each possible CPU: 1,024 is more than any machine this runs on has.
  static thread_local std::array<uint64_t, 1024> values;
  std::array<uint64_t, RESPOND_COUNTERS> sums{};
  int cpus = libbpf_num_possible_cpus();
  for (uint32_t which = 0; which < RESPOND_COUNTERS && cpus > 0 && cpus <= 1024; which++) {
    if (bpf_map_lookup_elem(below_.program().map("counters"), &which, values.data()) != 0) continue;
    for (int cpu = 0; cpu < cpus; cpu++) sums[which] += values[static_cast<size_t>(cpu)];
  }
  KernelTally now{sums[RESPOND_TICKS], sums[RESPOND_ORDERS], sums[RESPOND_QUIET], sums[RESPOND_DISABLED]};
  KernelTally since{now.ticks - last_.ticks, now.orders - last_.orders, now.quiet - last_.quiet,
                    now.disabled - last_.disabled};
  last_ = now;
  return since;
}

}  // namespace carom
