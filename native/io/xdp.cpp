#include "io/xdp.h"

#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <ctime>

#include "core/clock.h"
#include "core/error.h"
#include "respond.bpf.h"
#include "strategy/runner.h"

namespace carom {
namespace {

constexpr uint64_t REST_NS = 2'000'000;           // how long a change may have to wait
constexpr uint32_t SAMPLE_EVERY = 1023;           // packets between two samples, when nobody traces
constexpr uint64_t SAMPLE_PACE_NS = 100'000'000;  // how often the pace of samples follows the rate
constexpr XdpObject OBJECT{respond_object, sizeof respond_object, "respond"};

int64_t epoch_offset_ns() {
  const Clock& clock = Clock::get();
  return clock.offset_to(CLOCK_REALTIME) - clock.offset_to(CLOCK_MONOTONIC);
}

}  // namespace

std::string XdpIo::probe(const IoConfig& config, bool tries) {
  return reason_of([&] {
    IoCounters counters;
    if (tries) return void(AfXdpIo(config, counters, nullptr, OBJECT, nullptr));
    AfXdpIo::look_at(config);
    XdpProgram(config, OBJECT, nullptr);
  });
}

XdpIo::XdpIo(const IoConfig& config, IoCounters& counters, std::shared_ptr<XdpProgram> shared,
             const KernelProgram& wanted)
    : below_(config, counters, shared, OBJECT,
             [&](XdpProgram& program) {
               uint32_t queues = receive_queues(config.link, XdpProgram::QUEUES);
               const respond_constants& constants = wanted.constants;
               size_t states =
                   STRATEGY_STATES[constants.strategy] ? size_t{constants.symbol_limit} * queues : 1;
               program.set_constants(&constants, sizeof constants);
               program.resize("symbols", std::max({states, wanted.symbols.size(), size_t{1}}));
               program.resize("symbols_used", queues);
               program.resize("limited", queues * ANSWER_LIMIT_SETS);
             }),
      owns_program_(!shared),
      counters_(counters),
      settings_(wanted.settings) {
  notes_ = below_.notes();
  if (config.filter && !below_.filters()) {
    throw Error(ErrorCode::environment, operation_text("xdp", config.link, "put the filter in the driver"),
                program()->why_no_filter(), "make it simpler, or use --backend af_xdp");
  }
  if (!owns_program_) return;
  bool keeps_state = STRATEGY_STATES[wanted.constants.strategy];
  uint32_t queues = keeps_state ? receive_queues(config.link, XdpProgram::QUEUES) : 1;
  const symbol_state none{};
  for (uint32_t queue = 0; queue < queues; queue++) {
    for (uint64_t symbol : wanted.symbols) {
      const respond_symbol key{symbol, queue, 0};
      program()->update("symbols", &key, &none);
    }
  }
  samples_.reset(ring_buffer__new(program()->map("samples"), on_sample, this, nullptr));
  if (!samples_) throw system_error(operation_text("xdp", config.link, "map the ring of samples"), errno);
  shared_ = static_cast<respond_shared*>(program()->memory(".bss", sizeof(respond_shared)));
  statistics_ = find_driver_counters(config.link, [](std::string_view name) {
    return name.find("xdp_tx_err") != name.npos || name.find("xdp_tx_full") != name.npos;
  });
  tx_errors_before_ = driver_counter(statistics_);
  settings_.sample_every = SAMPLE_EVERY;
  set_epoch_offset();
  notes_.push_back(std::string("in the kernel, ") + program()->mode() +
                   " XDP, on the core that receives; the thread sleeps and takes what is handed up");
}

void XdpIo::FreeRing::operator()(ring_buffer* ring) const noexcept { ring_buffer__free(ring); }

void XdpIo::put_in_force() noexcept {
  // Written where no packet looks, then put in force at once: a packet sees one or the other.
  in_force_ = (in_force_ + 1) % RESPOND_SLOTS;
  shared_->settings[in_force_] = settings_;
  __atomic_store_n(&shared_->in_force, in_force_, __ATOMIC_RELEASE);
}

void XdpIo::set_epoch_offset() noexcept {
  if (!owns_program_) return;
  settings_.epoch_offset_ns = static_cast<uint64_t>(epoch_offset_ns());
  put_in_force();
}

void XdpIo::change(const KernelSettings& wanted) noexcept {
  if (!owns_program_) return;
  settings_.enabled = wanted.enabled ? 1 : 0;
  settings_.strategy = wanted.strategy;
  settings_.limit = wanted.limit;
  put_in_force();
}

void XdpIo::settle() noexcept {
  below_.settle();
  if (!owns_program_) return;
  counters_.xdp_tx_errors.set(driver_counter(statistics_) - tx_errors_before_);
}

void XdpIo::rest() noexcept { below_.rest(REST_NS); }

KernelTally XdpIo::take_tally() noexcept {
  if (!owns_program_) return {};
  std::array<uint64_t, RESPOND_COUNTERS> sums{};
  if (!program()->sum_cpus("owns", sums)) return {};
  counters_.passed_on.set(sums[RESPOND_PASSED_ON]);
  counters_.unserved_queue.set(sums[RESPOND_UNSERVED]);
  if (below_.filters()) counters_.filtered.set(program()->filtered());  // with the frames, not a second later
  KernelTally now{sums[RESPOND_ORDERS],     sums[RESPOND_QUIET],    sums[RESPOND_LIMITED],
                  sums[RESPOND_OVER_LIMIT], sums[RESPOND_DISABLED], sums[RESPOND_UNSAMPLED]};
  KernelTally since{now.orders - last_.orders,     now.quiet - last_.quiet,
                    now.limited - last_.limited,   now.over_limit - last_.over_limit,
                    now.disabled - last_.disabled, now.unsampled - last_.unsampled};
  last_ = now;
  return since;
}

// Without a trace one packet in 1,024 gives a processing time. With one, the pace follows the rate.
void XdpIo::sample(uint32_t per_second) noexcept {
  if (!owns_program_) return;
  uint64_t now_ns = Clock::get().now_ns();
  bool begins = per_second != 0 && per_second != sampled_rate_;
  sampled_rate_ = per_second;
  if (per_second != 0 && !begins && now_ns - sampled_at_ns_ < SAMPLE_PACE_NS) return;
  uint64_t decided = last_.orders + last_.quiet + last_.limited + last_.over_limit + last_.disabled;
  uint64_t rate = (decided - sampled_count_) * 1'000'000'000 / (now_ns - sampled_at_ns_ + 1);
  uint32_t every = per_second == 0 ? SAMPLE_EVERY : static_cast<uint32_t>(rate / per_second);
  sampled_at_ns_ = now_ns;
  sampled_count_ = decided;
  if (every == settings_.sample_every) return;
  settings_.sample_every = every;
  put_in_force();
}

int XdpIo::on_sample(void* self, void* data, size_t size) {
  auto* io = static_cast<XdpIo*>(self);
  return io->consumer_ == nullptr ? 0 : io->consumer_(io->consumer_context_, data, size);
}

void XdpIo::consume(Consumer consumer, void* context) noexcept {
  if (!samples_) return;
  consumer_ = consumer;
  consumer_context_ = context;
  ring_buffer__consume(samples_.get());
  consumer_ = nullptr;
}

}  // namespace carom
