// What both loops of the generator in the kernel do: they keep its two clocks together, take over what the
// sending program tells, and make of it what the report says of pacing.
#pragma once

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <utility>

#include "core/clock.h"
#include "io/xdp_live.h"
#include "loop/orders.h"

namespace carom {

inline uint64_t read_shared(const __u64& shared) noexcept {
  return __atomic_load_n(&shared, __ATOMIC_ACQUIRE);
}
inline void write_shared(__u64& shared, uint64_t value) noexcept {
  __atomic_store_n(&shared, value, __ATOMIC_RELEASE);
}

class LiveRun {
 protected:
  // A tick or a frame, as the sending program left it.
  struct Sent {
    uint64_t planned_ns;
    uint64_t sent_ns;
    uint64_t starved_ns;
    bool slipped;  // the schedule, at it
  };

  LiveRun(GeneratorRole& role, XdpLiveIo& io)
      : config_(role.config),
        role_(role),
        ledger_(role.ledger),
        io_(io),
        shared_(io.shared()),
        orders_(role) {
    ledger_.use(io.entries(), io.dues());
  }

  static uint64_t monotonic_ns() noexcept {
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
  }

  // Lets the sending program begin; `plan` makes ready what is sent from then on.
  template <class Plan>
  bool begin(Plan plan) noexcept {
    io_.begin_sending();
    uint64_t give_up_ns = monotonic_ns() + OPEN_NS;
    while (!io_.sends() && monotonic_ns() < give_up_ns && io_.failure() == 0) io_.rest();
    if (!io_.sends()) {
      ++role_.io_counters.link_errors;
      return false;
    }
    shift();
    int64_t epoch = Clock::get().offset_to(CLOCK_REALTIME) - Clock::get().offset_to(CLOCK_MONOTONIC);
    uint64_t start_ns = config_.start_at_ns == 0 ? monotonic_ns() + START_DELAY_NS
                                                 : config_.start_at_ns - static_cast<uint64_t>(epoch);
    warmup_end_ns_ = start_ns + config_.warmup_ns;
    end_ns_ = config_.duration_ns == 0 ? UINT64_MAX : warmup_end_ns_ + config_.duration_ns;
    shared_.plan.warmup_end_ns = warmup_end_ns_;
    shared_.plan.end_ns = end_ns_;
    shared_.plan.epoch_offset_ns = static_cast<uint64_t>(epoch);
    shared_.sender.allowed_ns = start_ns;
    role_.watch.begin(to_timeline(start_ns));
    delayed_ns_ = role_.watch.evidence().run_delay_ns();
    pauses_.begin(monotonic_ns());
    role_.watch.delay().ahead(to_timeline(start_ns));
    if (role_.on_measured_from) role_.on_measured_from(warmup_end_ns_ + static_cast<uint64_t>(epoch));
    plan(start_ns, epoch);
    write_shared(shared_.plan.running, 1);
    return true;
  }

  // Nothing is sent from here on. Returns until when it was.
  uint64_t end() noexcept {
    uint64_t now_ns = monotonic_ns();
    write_shared(shared_.plan.running, 0);
    io_.end_sending();
    if (io_.failure() != 0) role_.note("the sending program ended early: " + errno_text(io_.failure()));
    return std::min(now_ns - read_shared(shared_.sender.paused_ns), end_ns_);
  }

  void look_at_clock(uint64_t now_ns) noexcept {
    if (now_ns > shifted_ns_ + SHIFT_NS) shift();
    if (uint64_t paused_ns = pauses_.turn(now_ns); paused_ns != 0) ledger_.paused(now_ns, paused_ns);
  }

  // Whether it has seen of late what time it is: after a pause it has to have seen that first.
  bool is_prompt(uint64_t now_ns) const noexcept {
    return now_ns <= read_shared(shared_.sender.last_ns) + PROMPT_NS;
  }

  // What the sending program tells of all that it has sent. Read once for many sends: it writes to the same
  // cache lines all the time. After the number of what was sent.
  void take_counters() noexcept {
    seen_ = {read_shared(shared_.sender.first_ns), read_shared(shared_.sender.moved_ns),
             read_shared(shared_.sender.stalls)};
    role_.counters.doorbells.set(read_shared(shared_.sender.doorbells));
    role_.counters.skipped.set(read_shared(shared_.sender.skipped));
    role_.counters.slips.set(read_shared(shared_.sender.slips));
    role_.counters.slipped_ns.set(read_shared(shared_.sender.slipped_ns));
    role_.counters.pauses.set(read_shared(shared_.sender.pauses));
    role_.counters.paused_ns.set(read_shared(shared_.sender.paused_ns));
    role_.counters.moved_ns.set(read_shared(shared_.sender.moved_ns));
  }

  // Those that had ended by what the program has read of the clock; all of them once it has ended.
  void take_stalls() noexcept {
    uint64_t until_ns = read_shared(shared_.sender.last_ns);
    take_stalls(until_ns == 0 ? UINT64_MAX : until_ns);
  }

  // The pacing of what was sent after the warm-up.
  void account_send(const Sent& sent) noexcept {
    look_back(sent);
    uint64_t late_ns = sent.sent_ns - sent.planned_ns;
    note_measured(sent.sent_ns);
    role_.lateness.record(late_ns);
    if (!config_.closed) role_.pacing.sent(late_ns);
    if (sent.slipped) count_cause(sent);
    if (late_ns <= config_.late_threshold_ns) return ahead_of(sent);
    ++role_.counters.late_sends;
    ++role_.counters.late_sends_by_cause[static_cast<size_t>(count_cause(sent))];
    role_.latest.offer(to_timeline(sent.planned_ns), to_timeline(sent.sent_ns));
  }

  void account_skipped(const Sent& sent) noexcept {
    look_back(sent);
    count_cause(sent);
  }

  void account_warmup(const Sent& sent) noexcept {
    look_back(sent);
    if (sent.sent_ns - sent.planned_ns <= config_.late_threshold_ns) ahead_of(sent);
  }

  // From the first of the measured sends on; pauses left out.
  void note_measured(uint64_t sent_ns) noexcept {
    if (seen_.first_ns == 0 || sent_ns < seen_.first_ns) return;
    role_.counters.measured_ns.set(sent_ns - seen_.first_ns - seen_.moved_ns);
  }

  // Judges what the program in the driver handed up, once `follow` has told the ledger of the ticks that were
  // sent before. Returns how many ticks have got their answer by it.
  template <class Follow>
  uint32_t receive(Follow follow) noexcept {
    uint32_t settled = 0;
    while (uint32_t count = io_.rx_peek(rx_)) {
      follow();
      for (uint32_t i = 0; i < count; i++) {
        role_.counters.frames_in.add(1);
        settled += orders_.take(rx_[i], rx_[i].stamp_ns);
      }
      io_.rx_release(count);
    }
    return settled;
  }

  // Waits for the answers that are due, and a little for those that must not come.
  template <class Follow>
  void drain(Follow follow) noexcept {
    uint64_t settled_ns = monotonic_ns() + SETTLE_NS;
    while (role_.command() != Role::Command::abort) {
      io_.rest();
      receive(follow);
      follow();
      uint64_t now_ns = monotonic_ns();
      ledger_.expire(now_ns);
      if (now_ns > settled_ns && ledger_.waiting() == 0) return;
    }
  }

  uint64_t to_timeline(uint64_t monotonic_ns) const noexcept {
    return monotonic_ns + static_cast<uint64_t>(shift_ns_);
  }
  int64_t shift_ns() const noexcept { return shift_ns_; }

  const GeneratorConfig& config_;
  GeneratorRole& role_;
  Ledger& ledger_;
  XdpLiveIo& io_;
  generate_shared& shared_;
  uint64_t warmup_end_ns_ = 0;
  uint64_t end_ns_ = 0;

 private:
  static constexpr uint64_t START_DELAY_NS = 1'000'000;
  static constexpr uint64_t PROMPT_NS = 50'000'000;   // the sending program looks at the clock far more often
  static constexpr uint64_t SETTLE_NS = 10'000'000;   // for answers that must not come
  static constexpr uint64_t OPEN_NS = 2'000'000'000;  // for the kernel to begin
  static constexpr uint64_t SHIFT_NS = 100'000'000;   // how often the two clocks are tied together anew
  static constexpr uint32_t RECEIVE_BATCH = 16;

  // Takes over the slow turns until then. The sender was ahead until the first that is late was due: only a
  // turn that was not over then is to blame.
  void look_back(const Sent& sent) noexcept {
    bool late = sent.sent_ns - sent.planned_ns > config_.late_threshold_ns;
    if (late && is_ahead_) {
      take_stalls(sent.planned_ns);
      role_.watch.delay().ahead(to_timeline(sent.planned_ns));
      is_ahead_ = false;
    }
    take_stalls(sent.sent_ns);
  }

  void ahead_of(const Sent& sent) noexcept {
    role_.watch.delay().ahead(to_timeline(sent.sent_ns));
    starved_ns_ = sent.starved_ns;
    is_ahead_ = true;
  }

  void take_stalls(uint64_t until_ns) noexcept {
    if (seen_.stalls - stalls_ > GENERATE_STALLS) stalls_ = seen_.stalls - GENERATE_STALLS;
    for (; stalls_ < seen_.stalls; stalls_++) {
      generate_interval found = shared_.sender.log[stalls_ % GENERATE_STALLS];
      if (found.end_ns > until_ns) return;
      role_.watch.note({to_timeline(found.start_ns), to_timeline(found.end_ns)},
                       TurnWatch::cause_of(evidence_of(found), Place::call));
    }
  }

  // Of a slow turn of the sending program, in which the kernel and its drivers had all the time that it did
  // not look at the clock. It can't ask for itself: its thread's run delay is read here, and what has come up
  // since the last time is the first slow turn's, up to its length.
  Evidence evidence_of(const generate_interval& found) noexcept {
    const ThreadEvidence& sender = role_.watch.evidence();
    Evidence evidence{found.end_ns - found.start_ns, 0, 0,
                      sender.interruptions(found.start_ns, found.end_ns)};
    evidence.off_ns = std::min(evidence.length_ns, sender.run_delay_ns() - delayed_ns_);
    delayed_ns_ += evidence.off_ns;
    return evidence;
  }

  // Where most of the time went since the sender fell behind: what slow turns tell, nothing was ready, or
  // else it was busy with making frames and with the driver below.
  Cause count_cause(const Sent& sent) noexcept {
    DelayCauses delay = role_.watch.delay();
    delay.add(Cause::carom, sent.starved_ns - starved_ns_);
    Cause cause = delay.cause(to_timeline(sent.sent_ns), Cause::link);
    ++role_.counters.late_by_cause[static_cast<size_t>(cause)];
    return cause;
  }

  void shift() noexcept {
    shifted_ns_ = monotonic_ns();
    int64_t offset_ns = Clock::get().offset_to(CLOCK_MONOTONIC);
    shift_ns_ = -offset_ns;
    if (config_.closed || config_.schedule_clock.id == CLOCK_MONOTONIC) return;
    look_for_step(Clock::get().offset_to(config_.schedule_clock.id) - offset_ns);
  }

  // The sending program reads CLOCK_MONOTONIC, which CLOCK_TAI is slewed with (kernel/time/timekeeping.c):
  // the two part only when the time is set, and then the schedule is moved along with TAI, which is to stay.
  void look_for_step(int64_t ahead_ns) noexcept {
    uint64_t step_ns =
        static_cast<uint64_t>(std::abs(ahead_ns - std::exchange(ahead_of_monotonic_ns_, ahead_ns)));
    if (std::exchange(looked_for_step_, true) && step_ns > ClockServo::STEP_NS) {
      ++role_.counters.clock_steps;
      role_.counters.stepped_ns.add(step_ns);
    }
  }

  OrderTaker orders_;
  std::array<Frame, RECEIVE_BATCH> rx_;
  struct {
    uint64_t first_ns = 0;
    uint64_t moved_ns = 0;
    uint64_t stalls = 0;
  } seen_;               // of the sending program
  uint64_t stalls_ = 0;  // of its log, taken over
  uint64_t shifted_ns_ = 0;
  int64_t shift_ns_ = 0;               // from CLOCK_MONOTONIC to the timeline
  int64_t ahead_of_monotonic_ns_ = 0;  // the schedule's clock
  bool looked_for_step_ = false;
  PauseWatch pauses_;
  uint64_t starved_ns_ = 0;  // of the sender, when it was ahead of its schedule last
  uint64_t delayed_ns_ = 0;  // run delay of its thread, told of
  bool is_ahead_ = true;
};

}  // namespace carom
