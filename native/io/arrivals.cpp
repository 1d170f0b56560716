#include "io/arrivals.h"

#include <arpa/inet.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <ctime>

#include "arrive.bpf.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/histogram.h"
#include "io/socket.h"

namespace carom {

static_assert(ARRIVAL_GAPS == Histogram::SIZE && ARRIVAL_GAP_HIGHEST == Histogram::HIGHEST);

void Arrivals::prepare(XdpProgram& program, uint16_t port, bool any) {
  const arrival_constants constants{htons(port), static_cast<uint8_t>(any ? ARRIVAL_TRAIL : ARRIVAL_TICKS)};
  program.set_constants(&constants, sizeof constants, ".rodata.arrival");
  program.resize("arrival_gaps", ARRIVAL_GAPS);
  program.resize("arrival_ends", 2 * ARRIVAL_ENDS);
  if (any) program.resize("arrival_trail", 1 + TRAIL_ENTRIES);
}

std::shared_ptr<Arrivals> Arrivals::attach(const Link& link, uint16_t port, bool any) {
  IoConfig config{};
  config.link = link;
  config.xdp_mode = "auto";
  config.local_port = port;
  config.stamps_arrivals = true;
  config.stamps_any = any;
  const XdpObject object{arrive_object, sizeof arrive_object, "arrive"};
  return std::make_shared<Arrivals>(
      std::make_shared<XdpProgram>(config, interface_index("XDP", link), object, nullptr));
}

Arrivals::Arrivals(std::shared_ptr<XdpProgram> program) : program_(std::move(program)) {
  state_ = reinterpret_cast<arrival_state*>(const_cast<uint64_t*>(map("arrival", sizeof(arrival_state))));
  gaps_ = map("arrival_gaps", ARRIVAL_GAPS * sizeof(uint64_t));
  ends_ = map("arrival_ends", 2 * ARRIVAL_ENDS * sizeof(uint64_t));
  if (program_->stamps_any())
    trail_ = Trail(
        reinterpret_cast<arrival_trail*>(const_cast<uint64_t*>(map("arrival_trail", sizeof(arrival_trail)))));
  state_->gap_min = UINT64_MAX;
  measure_from(UINT64_MAX);
}

Arrivals::~Arrivals() {
  for (const Mapping& mapping : mappings_) munmap(mapping.memory, mapping.size);
}

volatile uint64_t* Arrivals::map(const char* name, size_t size) {
  size_t page = static_cast<size_t>(getpagesize());
  size = (size + page - 1) / page * page;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, program_->map(name), 0);
  if (memory == MAP_FAILED) throw system_error("XDP: map the memory of arrivals", errno);
  mappings_.push_back({memory, size});
  return static_cast<volatile uint64_t*>(memory);
}

void Arrivals::measure_from(uint64_t timestamp) noexcept {
  const Clock& clock = Clock::get();
  began_offset_ns_ = clock.offset_to(CLOCK_MONOTONIC);
  began_ns_ = clock.now_ns();
  __atomic_store_n(&state_->from, timestamp, __ATOMIC_RELEASE);
}

ArrivalFindings Arrivals::findings() const {
  const Clock& clock = Clock::get();
  double run_ns = static_cast<double>(clock.now_ns() - began_ns_);
  double ahead_ns = static_cast<double>(clock.offset_to(CLOCK_MONOTONIC) - began_offset_ns_);
  const arrival_state state = *state_;
  ArrivalFindings found{};
  found.ticks = state.count;
  found.gap_counts.assign(gaps_, gaps_ + ARRIVAL_GAPS);
  found.gap_min_ns = state.count < 2 ? 0 : state.gap_min;
  found.gap_max_ns = state.gap_max;
  found.gap_sum_ns = state.gap_sum;
  found.elapsed_ns = state.last_ns - state.first_ns;
  found.clock_drift_ns = run_ns == 0 ? 0 : ahead_ns / run_ns * static_cast<double>(found.elapsed_ns);
  size_t kept = std::min<uint64_t>(ARRIVAL_ENDS, state.count / 2);
  for (size_t i = 0; i < kept; i++) {
    found.first_ns.push_back(static_cast<int64_t>(ends_[i] - ends_[0]));
    size_t at = ARRIVAL_ENDS + (state.at + ARRIVAL_ENDS - kept + i) % ARRIVAL_ENDS;
    found.last_ns.push_back(static_cast<int64_t>(ends_[at] - ends_[0]));
  }
  return found;
}

}  // namespace carom
