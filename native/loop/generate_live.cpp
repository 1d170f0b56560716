#include "loop/generate_live.h"

#include <sched.h>

#include <ctime>

#include "io/xdp_live.h"
#include "loop/link_rules.h"
#include "loop/orders.h"

namespace carom {
namespace {

constexpr uint64_t START_DELAY_NS = 1'000'000;
constexpr uint64_t PROMPT_NS = 50'000'000;   // the sending program looks at the clock far more often
constexpr uint64_t SETTLE_NS = 10'000'000;   // for answers that must not come
constexpr uint64_t OPEN_NS = 2'000'000'000;  // for the kernel to begin
constexpr uint64_t SHIFT_NS = 100'000'000;   // how often the two clocks are tied together anew
constexpr uint32_t AHEAD = 1 << 15;          // ticks that are ready before they are due
constexpr uint32_t RECEIVE_BATCH = 16;
constexpr uint32_t LARGEST_BATCH = 64;
constexpr double ONE_BY_ONE_PPS = 1.5e6;
constexpr uint32_t PACED_BATCH = 8;

uint64_t monotonic_ns() noexcept {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

uint64_t read(const __u64& shared) noexcept { return __atomic_load_n(&shared, __ATOMIC_ACQUIRE); }
void write(__u64& shared, uint64_t value) noexcept { __atomic_store_n(&shared, value, __ATOMIC_RELEASE); }

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

LivePrograms programs_of(const GeneratorConfig& config) {
  const StreamConfig& stream = config.streams[0];
  const LineConfig& line = stream.lines[0];
  LivePrograms programs{};
  Endpoint from{};
  memcpy(from.mac, config.io.link.mac, 6);
  memcpy(from.address, line.ipv6 ? config.io.link.address6 : config.io.link.address4, line.ipv6 ? 16 : 4);
  for (uint32_t flow = 0; flow < stream.flows; flow++) {
    from.port = static_cast<uint16_t>(stream.source_port + flow);
    FrameTemplate made(from, line.destination, line.ipv6, line.vlan, config.io.ttl, line.dscp,
                       MARKET_DATA_SIZE);
    programs.headers.push_back(headers_of(made));
    programs.constants.header_length = made.header_length();
    programs.constants.longest = made.frame_length();
  }
  generate_constants& constants = programs.constants;
  programs.link = link_rules_of(config.io);
  constants.stall_ns = config.io.stall_threshold_ns;
  constants.timeout_ns = config.ledger.timeout_ns;
  constants.quiet_ns = config.quiet_ns;
  constants.count = config.count == 0 ? UINT64_MAX : config.count;
  constants.late_ns = config.late_threshold_ns;
  constants.late = config.late == LatePolicy::skip   ? GENERATE_SKIP
                   : config.late == LatePolicy::slip ? GENERATE_SLIP
                                                     : GENERATE_CATCH_UP;
  constants.queue = config.io.queue;
  constants.mask = config.ledger.capacity - 1;
  constants.closed = config.closed;
  constants.flat_out = config.flat_out;
  constants.window = config.window;
  constants.receives = config.io.receives;
  constants.batch = batch_of(config);
  constants.padded = !stream.sizes.empty();
  for (uint32_t size : stream.sizes) constants.longest = std::max(constants.longest, size);
  return programs;
}

// The sending thread has the core to itself where there is another one.
void leave_cpu(int cpu, const cpu_set_t& allowed) noexcept {
  cpu_set_t others = allowed;
  if (cpu >= 0 && CPU_COUNT(&others) > 1) CPU_CLR(static_cast<size_t>(cpu), &others);
  sched_setaffinity(0, sizeof others, &others);
}

class LiveLoop {
 public:
  LiveLoop(GeneratorRole& role, XdpLiveIo& io)
      : config_(role.config),
        role_(role),
        ledger_(role.ledger),
        io_(io),
        shared_(io.shared()),
        flows_(role.config.streams[0].flows),
        sizes_(role.config.streams[0].sizes),
        shortest_(io.shortest()),
        source_(role.config.streams[0].ticks),
        schedule_(role.config.streams[0].schedule),
        orders_(role) {
    ledger_.use(io.entries(), io.dues());
  }

  void run() noexcept {
    if (!begin()) return;
    while (role_.command() == Role::Command::run && !finished()) turn();
    uint64_t now_ns = monotonic_ns();
    write(shared_.plan.running, 0);
    io_.end_sending();
    follow();
    if (io_.failure() != 0)
      role_.notes.push_back("the sending program ended early: " + errno_text(io_.failure()));
    count_unsent(now_ns);
    drain();
    ledger_.close();
    take_histograms();
  }

 private:
  bool begin() noexcept {
    io_.begin_sending();
    uint64_t give_up_ns = monotonic_ns() + OPEN_NS;
    while (!io_.sends() && monotonic_ns() < give_up_ns && io_.failure() == 0) io_.rest();
    if (!io_.sends()) {
      ++role_.io_counters.link_errors;
      return false;
    }
    shift();
    uint64_t start_ns = monotonic_ns() + START_DELAY_NS;
    warmup_end_ns_ = start_ns + config_.warmup_ns;
    end_ns_ = config_.duration_ns == 0 ? UINT64_MAX : warmup_end_ns_ + config_.duration_ns;
    shared_.plan.warmup_end_ns = warmup_end_ns_;
    shared_.plan.end_ns = end_ns_;
    int64_t epoch = Clock::get().offset_to(CLOCK_REALTIME) - Clock::get().offset_to(CLOCK_MONOTONIC);
    shared_.plan.epoch_offset_ns = static_cast<uint64_t>(epoch);
    shared_.sender.allowed_ns = start_ns;
    schedule_.start(start_ns);
    role_.stalls.begin(to_timeline(start_ns));
    pauses_.begin(monotonic_ns());
    ahead_.since_ns = start_ns;
    if (role_.on_measured_from) role_.on_measured_from(warmup_end_ns_ + static_cast<uint64_t>(epoch));
    fill();
    write(shared_.plan.running, 1);
    return true;
  }

  void turn() noexcept {
    fill();
    uint64_t now_ns = monotonic_ns();
    if (now_ns > shifted_ns_ + SHIFT_NS) shift();
    if (uint64_t paused_ns = pauses_.turn(now_ns); paused_ns != 0) ledger_.paused(now_ns, paused_ns);
    receive();
    follow();
    if (config_.io.receives) settled_ += ledger_.expire(now_ns);
    write(shared_.plan.settled, settled_);
    if (planned_ - read(shared_.sender.next) > ahead() / 2) io_.rest();
  }

  uint32_t ahead() const noexcept { return std::min(AHEAD, ledger_.capacity() / 4); }

  bool finished() const noexcept {
    if (io_.failure() != 0) return true;
    uint64_t measured = read(shared_.sender.measured) + read(shared_.sender.skipped);
    if (config_.count != 0 && measured >= config_.count) return true;
    uint64_t now_ns = monotonic_ns();
    // After a pause the sending program has to have seen it first.
    if (now_ns > read(shared_.sender.last_ns) + PROMPT_NS) return false;
    now_ns -= read(shared_.sender.paused_ns);
    if (config_.closed) return now_ns >= end_ns_;
    return now_ns >= end_ns_ && (all_sent() || now_ns - end_ns_ > config_.ledger.timeout_ns);
  }

  // But for those whose time is after the end, because the schedule slipped.
  bool all_sent() const noexcept {
    uint64_t next = read(shared_.sender.next);
    return next == planned_ || entry(next).planned_ns + read(shared_.sender.slid_ns) >= end_ns_;
  }

  const ledger_entry& entry(uint64_t number) const noexcept {
    return io_.entries()[number & (ledger_.capacity() - 1)];
  }

  // Ticks for the time to come.
  void fill() noexcept {
    uint64_t until = read(shared_.sender.next) + ahead();
    while (planned_ < until) {
      uint64_t planned_ns = config_.closed ? 0 : schedule_.planned_ns();
      if (planned_ns >= end_ns_) break;
      Tick tick = source_.next();
      uint32_t size = sizes_.empty() ? shortest_ : std::max(shortest_, sizes_[planned_ % sizes_.size()]);
      uint32_t headers = (flows_ == 1 ? 0 : source_.symbol() % flows_) | size << 16;
      if (config_.io.receives) {
        ledger_.prepare(tick, planned_ns, headers);
      } else {
        ledger_.prepare_only(tick, planned_ns, headers);
      }
      if (!config_.closed) schedule_.advance();
      planned_++;
    }
    write(shared_.plan.ready, planned_);
  }

  void receive() noexcept {
    while (uint32_t count = io_.rx_peek(rx_)) {
      follow();  // the ledger has to know of their ticks
      for (uint32_t i = 0; i < count; i++) {
        role_.counters.frames_in.add(1);
        settled_ += orders_.take(rx_[i], rx_[i].stamp_ns);
      }
      io_.rx_release(count);
    }
  }

  // What the programs have done since the last time.
  void follow() noexcept {
    Ledger::Below now{};
    now.answered = read(shared_.judge.answered);
    now.warmup_answered = read(shared_.judge.warmup_answered);
    now.reordered = read(shared_.judge.reordered);
    now.taken = read(shared_.sender.next);
    now.passed = read(shared_.sender.passed);
    now.due = read(shared_.sender.due);
    now.measured = read(shared_.sender.measured);
    now.quiet = read(shared_.sender.quiet);
    ledger_.follow(now, shift_ns_);
    role_.counters.sent.set(now.measured);
    role_.counters.doorbells.set(read(shared_.sender.doorbells));
    role_.counters.skipped.set(read(shared_.sender.skipped));
    role_.counters.slips.set(read(shared_.sender.slips));
    role_.counters.slipped_ns.set(read(shared_.sender.slipped_ns));
    role_.counters.pauses.set(read(shared_.sender.pauses));
    role_.counters.paused_ns.set(read(shared_.sender.paused_ns));
    role_.counters.moved_ns.set(read(shared_.sender.moved_ns));
    take_sends(now.taken);
    uint64_t until_ns = read(shared_.sender.last_ns);
    take_stalls(until_ns == 0 ? UINT64_MAX : until_ns);  // 0: it has ended
  }

  // Those that had ended by then.
  void take_stalls(uint64_t until_ns) noexcept {
    uint64_t end = read(shared_.sender.stalls);
    if (end - stalls_ > GENERATE_STALLS) stalls_ = end - GENERATE_STALLS;
    for (; stalls_ < end; stalls_++) {
      generate_interval found = shared_.sender.log[stalls_ % GENERATE_STALLS];
      if (found.end_ns > until_ns) return;
      role_.stalls.note({to_timeline(found.start_ns), to_timeline(found.end_ns)});
    }
  }

  void take_sends(uint64_t end) noexcept {
    if (config_.flat_out) {  // there is no schedule to be late for
      sent_ = end;
      return note_measured(read(shared_.sender.sent_ns));
    }
    for (; sent_ < end; sent_++) {
      const ledger_entry& tick = entry(sent_);
      take_stalls(tick.sent_ns);
      if (!tick.status.measured) {
        if (tick.sent_ns - tick.planned_ns <= config_.late_threshold_ns) ahead_of(tick);
      } else if (tick.status.state == LEDGER_WITHHELD) {
        count_cause(tick);
      } else {
        account_send(tick);
      }
    }
  }

  void account_send(const ledger_entry& tick) noexcept {
    uint64_t late_ns = tick.sent_ns - tick.planned_ns;
    note_measured(tick.sent_ns);
    role_.lateness.record(late_ns);
    if (!config_.closed) role_.pacing.sent(late_ns);
    if ((tick.stamp_ns & 1) != 0) count_cause(tick);  // the schedule slipped at it
    if (late_ns <= config_.late_threshold_ns) return ahead_of(tick);
    ++role_.counters.late_sends;
    if (count_cause(tick) == DelayCauses::Cause::machine) ++role_.counters.late_in_stall;
    role_.latest.offer(to_timeline(tick.planned_ns), to_timeline(tick.sent_ns));
  }

  // From the first of the measured ticks on; pauses left out.
  void note_measured(uint64_t sent_ns) noexcept {
    uint64_t first_ns = read(shared_.sender.first_ns);
    if (first_ns == 0 || sent_ns < first_ns) return;
    role_.counters.measured_ns.set(sent_ns - first_ns - read(shared_.sender.moved_ns));
  }

  void ahead_of(const ledger_entry& tick) noexcept {
    ahead_ = {tick.sent_ns, role_.stalls.total_ns(), tick.stamp_ns >> 1};
  }

  // Where most of the time went since the sender was last ahead: it was stopped, no tick was ready, or it was
  // busy with making frames and with the driver below.
  DelayCauses::Cause count_cause(const ledger_entry& tick) noexcept {
    uint64_t stalled_ns = role_.stalls.total_ns() - ahead_.stalled_ns;
    uint64_t starved_ns = (tick.stamp_ns >> 1) - ahead_.starved_ns;
    uint64_t whole_ns = tick.sent_ns - ahead_.since_ns;
    uint64_t busy_ns = whole_ns - std::min(whole_ns, stalled_ns + starved_ns);
    if (stalled_ns >= std::max(starved_ns, busy_ns)) {
      ++role_.counters.late_machine;
      return DelayCauses::Cause::machine;
    }
    if (starved_ns > busy_ns) {
      ++role_.counters.late_carom;
      return DelayCauses::Cause::carom;
    }
    ++role_.counters.late_link;
    return DelayCauses::Cause::link;
  }

  void count_unsent(uint64_t now_ns) noexcept {
    if (config_.closed) return;
    uint64_t until_ns =
        std::min(now_ns - read(shared_.sender.paused_ns), end_ns_) - read(shared_.sender.slid_ns);
    uint64_t wanted = config_.count == 0 ? UINT64_MAX : config_.count;
    uint64_t limit = wanted - std::min(wanted, role_.counters.sent.get() + role_.counters.skipped.get());
    uint64_t unsent = 0;
    for (uint64_t number = read(shared_.sender.next); number < planned_ && unsent < limit; number++) {
      uint64_t planned_ns = entry(number).planned_ns;
      unsent += planned_ns >= warmup_end_ns_ && planned_ns < until_ns;
    }
    auto aborted = [&] { return role_.command() == Role::Command::abort; };
    if (until_ns > warmup_end_ns_) unsent += schedule_.count_before(until_ns, limit - unsent, aborted);
    role_.counters.unsent.add(unsent);
  }

  void drain() noexcept {
    if (!config_.io.receives || planned_ == 0) return;
    uint64_t settled_ns = monotonic_ns() + SETTLE_NS;
    while (role_.command() != Role::Command::abort) {
      io_.rest();
      receive();
      follow();
      uint64_t now_ns = monotonic_ns();
      ledger_.expire(now_ns);
      if (now_ns > settled_ns && ledger_.waiting() == 0) return;
    }
  }

  void take_histograms() noexcept {
    role_.counters.frames_in.set(read(shared_.judge.received));
    auto take = [&](generate_histogram which, Histogram& into) {
      const generate_moments& moments = shared_.moments[which];
      into.add(io_.counts(which).data(), moments.sum, ~moments.min, moments.max);
    };
    take(GENERATE_LATENCY_PLANNED, ledger_.latency_planned());
    take(GENERATE_LATENCY_ACTUAL, ledger_.latency_actual());
    take(GENERATE_WARMUP, ledger_.warmup());
  }

  void shift() noexcept {
    shifted_ns_ = monotonic_ns();
    shift_ns_ = -Clock::get().offset_to(CLOCK_MONOTONIC);
  }

  uint64_t to_timeline(uint64_t monotonic_ns) const noexcept {
    return monotonic_ns + static_cast<uint64_t>(shift_ns_);
  }

  const GeneratorConfig& config_;
  GeneratorRole& role_;
  Ledger& ledger_;
  XdpLiveIo& io_;
  generate_shared& shared_;
  uint32_t flows_;
  const std::vector<uint32_t>& sizes_;  // of the frames, in turn
  uint32_t shortest_;                   // frame that holds a tick
  TickSource source_;
  Schedule schedule_;
  OrderTaker orders_;
  std::array<Frame, RECEIVE_BATCH> rx_;
  uint64_t planned_ = 0;  // ticks made ready
  uint64_t sent_ = 0;     // entries whose sending was looked at
  uint64_t stalls_ = 0;   // of the log, taken over
  uint64_t settled_ = 0;
  uint64_t warmup_end_ns_ = 0;
  uint64_t end_ns_ = 0;
  uint64_t shifted_ns_ = 0;
  int64_t shift_ns_ = 0;  // from CLOCK_MONOTONIC to the timeline
  PauseWatch pauses_;
  struct {
    uint64_t since_ns = 0;
    uint64_t stalled_ns = 0;
    uint64_t starved_ns = 0;
  } ahead_;  // when the sender was so last, and what there had been of the others
};

}  // namespace

void generate_live(GeneratorRole& role) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  sched_getaffinity(getpid(), sizeof allowed, &allowed);
  XdpLiveIo io(role.io, role.io_counters, programs_of(role.config));
  auto loop = std::make_unique<LiveLoop>(role, io);
  leave_cpu(role.io.cpu, allowed);
  if (!role.opened(io.notes())) return;
  loop->run();
  io.settle();
}

}  // namespace carom
