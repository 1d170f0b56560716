// What the generator's hot loops share, whatever they send: turns, pauses and lateness, the handing over of
// frames, orders in. `Sender` (generate_plain.h, generate_fed.h) says what is due, and when.
#pragma once

#include <algorithm>
#include <array>
#include <ctime>
#include <utility>

#include "core/clock.h"
#include "core/probe.h"
#include "io/packet_io.h"
#include "loop/discipline.h"
#include "loop/orders.h"

namespace carom {

template <PacketIo Io, class Sender>
class GenerateCore {
 public:
  void run() noexcept {
    if (!sender().prepare()) return ledger_.close();
    uint64_t now_ns = clock_.now_ns();
    epoch_offset_ns_ = clock_.offset_to(CLOCK_REALTIME);
    start_ns_ = chosen_start_ns(now_ns);
    if (siblings_ != nullptr) start_ns_ = siblings_->start_ns(start_ns_);
    warmup_end_ns_ = start_ns_ + config_.warmup_ns;
    end_ns_ = config_.duration_ns == 0 ? UINT64_MAX : warmup_end_ns_ + config_.duration_ns;
    if (role_.capture) role_.capture->begin(epoch_offset_ns_);
    tell_measured_from();
    pauses_.begin(now_ns);
    sender().begin();
    if (!config_.closed) discipline_.begin();
    if (lead_ns_ != 0) tie_launches();
    watch_.begin(now_ns);
    while (role_.command() == Role::Command::run && !finished_) turn();
    tell_schedule();
    count_unsent(finished_ ? clock_.now_ns() : pauses_.last_ns());
    sender().end();
    if (lead_ns_ != 0) await_launches();
    drain();
    ledger_.close();
  }

 protected:
  static constexpr uint64_t START_DELAY_NS = 1'000'000;
  static constexpr uint64_t QUIET_START_NS = 20'000'000;  // without a warm-up: what a start stirs up is over
  static constexpr uint64_t THREADS_START_NS = 20'000'000;  // for the threads of a run to begin together
  static constexpr uint64_t SETTLE_NS = 10'000'000;         // for answers that must not come
  static constexpr uint32_t SEND_BATCH = Schedule::LOOK_AHEAD;
  static constexpr uint32_t FLAT_OUT_BATCH = MAX_BATCH;
  static constexpr uint32_t RECEIVE_BATCH = 16;  // orders judged before the schedule is looked at again
  static constexpr uint32_t SKIP_BATCH = 64;     // ticks skipped before orders are looked for again

  GenerateCore(GeneratorRole& role, Io& io)
      : config_(role.config),
        role_(role),
        watch_(role.watch),
        ledger_(role.ledger),
        counters_(role.counters),
        io_(io),
        orders_(role),
        siblings_(role.siblings.get()),
        rate_millihertz_(role.config.rate_millihertz),
        window_(role.config.window),
        discipline_(role.config.schedule_clock, siblings_ == nullptr ? nullptr : &siblings_->slew(),
                    role.config.thread == 0) {
    ledger_.use_own_memory();
  }

  // When the schedule begins, as this thread has it.
  uint64_t chosen_start_ns(uint64_t now_ns) const noexcept {
    if (config_.start_at_ns != 0) return config_.start_at_ns - static_cast<uint64_t>(epoch_offset_ns_);
    now_ns += lead_ns_;
    if (siblings_ != nullptr) return now_ns + THREADS_START_NS;
    return now_ns + (config_.warmup_ns != 0 ? START_DELAY_NS : QUIET_START_NS);
  }

  void turn() noexcept {
    uint64_t now_ns = clock_.now_ns();
    uint64_t last_ns = pauses_.last_ns();
    if (uint64_t passed_ns = pauses_.turn(now_ns); passed_ns != 0) [[unlikely]]
      resume(last_ns, passed_ns);
    watch_.turn(now_ns);
    if (role_.changes.due()) [[unlikely]]
      change(now_ns);
    sender().turn_send(now_ns + lead_ns_);
    if (now_ns >= discipline_.due_ns()) [[unlikely]]
      slew(now_ns);
    if (!config_.io.receives) return;
    if (siblings_ != nullptr) [[unlikely]]
      take_handed(now_ns);
    receive(now_ns);
  }

  // What was asked for is in force from here on.
  [[gnu::noinline, gnu::cold]] void change(uint64_t now_ns) noexcept {
    watch_.place(Place::work);
    auto [rate_millihertz, window] = role_.changes.take();
    if (rate_millihertz != 0 && rate_millihertz != rate_millihertz_ && !config_.closed) {
      uint64_t at_ns = sender().change_pace(now_ns + lead_ns_, rate_millihertz, config_.rate_millihertz);
      role_.changes.note({false, at_ns, rate_millihertz_, rate_millihertz});
      rate_millihertz_ = rate_millihertz;
    }
    if (window != 0 && window != window_ && config_.closed) {
      sender().change_window(int64_t{window} - window_, now_ns);
      role_.changes.note({true, now_ns, window_, window});
      window_ = window;
    }
  }

  bool is_measured(uint64_t planned_ns) const noexcept { return planned_ns >= warmup_end_ns_; }

  // The process did not run for a long time, or the clock went back: the schedule, and the end of the run,
  // move by that, so that nothing is caught up.
  [[gnu::noinline]] void resume(uint64_t last_ns, uint64_t passed_ns) noexcept {
    bool back = passed_ns > uint64_t{1} << 63;
    if (back) watch_.forget(last_ns + passed_ns);
    ++(back ? counters_.clock_back : counters_.pauses);
    if (!back) {
      counters_.paused_ns.add(passed_ns);
      ledger_.paused(pauses_.last_ns(), passed_ns);
    }
    sender().move_schedule(passed_ns);
    last_launch_ns_ += passed_ns;
    discipline_.resume(last_ns + passed_ns, passed_ns);
    if (end_ns_ != UINT64_MAX) end_ns_ += passed_ns;
    if (last_ns < warmup_end_ns_) {
      warmup_end_ns_ += passed_ns;
      tell_measured_from();
    } else {
      counters_.moved_ns.add(passed_ns);
    }
  }

  // The schedule, and all its ends, follow its clock. The timestamps in ticks are by that clock: they stay.
  [[gnu::noinline]] void slew(uint64_t now_ns) noexcept {
    uint64_t by_ns = discipline_.turn(now_ns, sender().next_ns() - lead_ns_);
    if (lead_ns_ != 0) look_after_launches();
    counters_.clock_steps.set(discipline_.servo().steps());
    counters_.stepped_ns.set(discipline_.servo().stepped_ns());
    if (by_ns == 0) return;
    sender().slew_schedule(by_ns);
    epoch_offset_ns_ -= static_cast<int64_t>(by_ns);
    launch_offset_ns_ -= by_ns;
    warmup_end_ns_ += by_ns;
    if (end_ns_ != UINT64_MAX) end_ns_ += by_ns;
  }

  // What the schedule went by, for the report.
  void tell_schedule() noexcept {
    const ClockServo& servo = discipline_.servo();
    int64_t corrected_ns = first_sent_ns_ == 0 ? 0 : discipline_.applied_ns() - first_applied_ns_;
    role_.schedule = {servo.readings(), corrected_ns, servo.error_ns(), servo.error_max_ns()};
    role_.measured_from_ns = warmup_end_ns_ - static_cast<uint64_t>(corrected_ns);
  }

  void tell_measured_from() const {
    if (role_.on_measured_from)
      role_.on_measured_from(warmup_end_ns_ + static_cast<uint64_t>(epoch_offset_ns_));
  }

  // Moves the schedule if what is planned next is too late.
  void slip(uint64_t now_ns, uint64_t planned_ns) noexcept {
    uint64_t late_ns = now_ns - planned_ns;
    if (late_ns <= config_.late_threshold_ns) return;
    if (is_measured(planned_ns)) {
      ++counters_.slips;
      counters_.slipped_ns.add(late_ns);
      count_cause(now_ns);
    }
    sender().move_schedule(late_ns);
  }

  Cause count_cause(uint64_t now_ns) noexcept {
    Cause cause = watch_.delay().cause(now_ns);
    ++counters_.late_by_cause[static_cast<size_t>(cause)];
    return cause;
  }

  // Asks the backend for room to write frames into.
  uint32_t reserve(uint32_t wanted) noexcept {
    uint32_t room = io_.tx_reserve(std::span<Frame>(tx_.data(), wanted));
    if (room < wanted) {  // it may have asked the kernel for more
      watch_.place(Place::call);
      watch_.pass(clock_.now_ns(), Place::work);
    }
    watch_.place(Place::work);
    return room;
  }

  // Ticks that have had their fate.
  uint64_t done() const noexcept { return counters_.sent.get() + counters_.skipped.get(); }

  void check_count() noexcept {
    if (config_.count != 0 && done() >= config_.count) finished_ = true;
  }

  // Hands frames to the wire until they are taken, the run is stopped, or its end is long past. Returns how
  // many were.
  template <class Planned, class Account>
  uint32_t submit(uint32_t used, Planned planned_ns, Account account_one) noexcept {
    uint64_t sent_ns = clock_.now_ns();
    if (used > 1) {
      ++counters_.bursts;
      watch_.work(used - 1);  // they have been written
    }
    uint32_t done = 0;
    while (true) {
      for (uint32_t i = done; lead_ns_ != 0 && i < used; i++) launch(i, planned_ns(i), sent_ns);
      watch_.pass(sent_ns, Place::call);
      watch_.work(used - done);
      uint32_t taken = io_.tx_submit(std::span<const Frame>(tx_.data() + done, used - done));
      watch_.pass(clock_.now_ns(), Place::work);
      if (taken > 1) watch_.work(taken - 1);
      uint64_t measured = role_.lateness.count();
      for (uint32_t i = done; i < done + taken; i++)
        account_one(i, lead_ns_ == 0 ? sent_ns : launches_ns_[i]);
      if (role_.lateness.count() != measured) ++counters_.doorbells;
      if (role_.capture) [[unlikely]]
        capture_sent({tx_.data() + done, taken}, sent_ns);
      done += taken;
      if (done == used || role_.command() != Role::Command::run || given_up(sent_ns)) return done;
      sent_ns = clock_.now_ns();
      pauses_.begin(sent_ns);
    }
  }

  // A frame's launch time: its planned one, or as soon as the qdisc takes it, which hands it to the NIC half
  // the lead before its time, and all of them in order.
  void launch(uint32_t i, uint64_t planned_ns, uint64_t now_ns) noexcept {
    last_launch_ns_ = std::max({planned_ns, now_ns + lead_ns_ / 2, last_launch_ns_});
    launches_ns_[i] = last_launch_ns_;
    tx_[i].stamp_ns = last_launch_ns_ + launch_offset_ns_;
  }

  // From the timeline to the NIC's clock. From here on it moves as the schedule does: planned times are exact
  // by that clock, whatever is thought of the timeline.
  [[gnu::noinline, gnu::cold]] void tie_launches() noexcept {
    ClockReading reading = clock_.read(config_.schedule_clock.id, 64);
    if (reading.width_ns != UINT64_MAX)
      launch_offset_ns_ = static_cast<uint64_t>(reading.clock_ns) - reading.timeline_ns;
    launch_steps_ = discipline_.servo().steps();
  }

  [[gnu::noinline, gnu::cold]] void look_after_launches() noexcept {
    if (discipline_.servo().steps() != launch_steps_) tie_launches();
    read_stamps();
  }

  // The kernel and the NIC have frames whose time is to come.
  [[gnu::noinline, gnu::cold]] void await_launches() noexcept {
    uint64_t now_ns = clock_.now_ns();
    for (; now_ns < last_launch_ns_ + SETTLE_NS && role_.command() != Role::Command::abort;
         now_ns = clock_.now_ns()) {
      watch_.turn(now_ns);
      if (config_.io.receives) receive(now_ns);
      read_stamps();
    }
    counters_.launch_clock_off_ns.set(off_tai_ns(config_.schedule_clock.id));
  }

  // The wire has them already: what a capture takes comes after. Their bytes stay until new ones are
  // reserved.
  [[gnu::noinline, gnu::cold]] void capture_sent(std::span<const Frame> frames, uint64_t sent_ns) noexcept {
    for (const Frame& frame : frames) role_.capture->sent(frame, sent_ns);
  }

  // The link takes nothing any more, and the end of the run is past.
  bool given_up(uint64_t now_ns) const noexcept {
    return now_ns > end_ns_ && now_ns - end_ns_ > config_.ledger.timeout_ns;
  }

  // From the first of the measured ticks on; pauses left out.
  void note_measured(uint64_t sent_ns) noexcept {
    if (first_sent_ns_ == 0) [[unlikely]] {
      first_sent_ns_ = sent_ns - counters_.moved_ns.get();
      first_applied_ns_ = discipline_.applied_ns();
    }
    uint64_t measured_ns = sent_ns - first_sent_ns_ - counters_.moved_ns.get();
    if (measured_ns == 0) [[unlikely]]
      counters_.sent_at_first.set(counters_.sent.get());
    counters_.measured_ns.set(measured_ns);
  }

  void note_lateness(uint64_t planned_ns, uint64_t sent_ns) noexcept {
    uint64_t late_ns = sent_ns > planned_ns ? sent_ns - planned_ns : 0;
    role_.lateness.record(late_ns);
    if (!config_.closed) role_.pacing.sent(late_ns);
    if (late_ns > config_.late_threshold_ns) [[unlikely]] {
      ++counters_.late_sends;
      ++counters_.late_sends_by_cause[static_cast<size_t>(count_cause(sent_ns))];
      role_.latest.offer(planned_ns, sent_ns);
    }
  }

  void receive(uint64_t now_ns) noexcept {
    if (watch_.works()) watch_.turn(clock_.now_ns());  // what was sent is accounted for
    bool calls = peeks_by_call(io_);
    if (calls) watch_.place(Place::call);
    uint32_t count = io_.rx_peek(rx_);
    if (count == 0) {
      if (calls) watch_.turn(clock_.now_ns());
      idle(now_ns);
      return;
    }
    now_ns = clock_.now_ns();
    watch_.pass(now_ns, Place::work);
    watch_.work(1);  // judging a batch
    counters_.frames_in.add(count);
    uint32_t answered = 0;
    for (uint32_t i = 0; i < count; i++) answered += orders_.take(rx_[i], now_ns);
    io_.rx_release(count);
    sender().release_window(answered, now_ns);
  }

  void take_handed(uint64_t now_ns) noexcept {
    uint32_t answered = orders_.take_handed();
    if (answered == 0) return;
    watch_.place(Place::work);
    watch_.work(1);
    sender().release_window(answered, now_ns);
  }

  // Nothing came: what can wait is done now.
  void idle(uint64_t now_ns) noexcept {
    uint64_t open = ledger_.first_open();
    sender().release_window(ledger_.expire(now_ns), now_ns);
    if (ledger_.first_open() != open) watch_.place(Place::work);
    if (ledger_.stamps_due() != 0) read_stamps();
  }

  // And of launches that were missed.
  void read_stamps() noexcept {
    watch_.pass(clock_.now_ns(), Place::call);
    std::array<TxStamp, 32> stamps;
    uint32_t count = io_.tx_stamps(stamps);
    watch_.pass(clock_.now_ns(), count == 0 ? Place::idle : Place::work);
    for (uint32_t i = 0; i < count; i++) ledger_.left(stamps[i]);
  }

  // Ticks whose time came and that no way was found to send: the link was down, or too slow to the end.
  void count_unsent(uint64_t now_ns) noexcept {
    if (config_.closed) return;
    uint64_t until_ns = now_ns < end_ns_ ? now_ns : end_ns_;
    if (until_ns <= warmup_end_ns_) return;
    uint64_t limit = config_.count == 0 ? UINT64_MAX : config_.count - std::min(config_.count, done());
    auto aborted = [&] { return role_.command() == Role::Command::abort; };
    counters_.unsent.add(sender().missed_before(until_ns, limit, aborted) + dropped_);
  }

  // Everything is sent: waits for the answers that are due, no longer than the timeout, and a little for
  // those that must not come.
  void drain() noexcept {
    bool idle = !sender().has_taken() && counters_.sent.get() + ledger_.counters().warmup_sent.get() == 0;
    if (!config_.io.receives || (idle && siblings_ == nullptr)) return;
    uint64_t now_ns = clock_.now_ns();
    uint64_t settled_ns = now_ns + SETTLE_NS;
    bool told = false;
    while (role_.command() != Role::Command::abort) {
      now_ns = clock_.now_ns();
      watch_.turn(now_ns);
      if (siblings_ != nullptr) take_handed(now_ns);
      receive(now_ns);
      ledger_.expire(now_ns);  // not only when nothing comes: on a busy network something always does
      bool stamps_pending = ledger_.stamps_due() > 0 && now_ns < settled_ns + 9 * SETTLE_NS;
      if (now_ns <= settled_ns || ledger_.waiting() != 0 || stamps_pending) continue;
      if (siblings_ == nullptr) return;
      if (!std::exchange(told, true)) siblings_->settled();
      if (siblings_->all_settled()) return;
    }
  }

  Sender& sender() noexcept { return static_cast<Sender&>(*this); }

  const Clock& clock_ = Clock::get();
  const GeneratorConfig& config_;
  GeneratorRole& role_;
  TurnWatch& watch_;
  Ledger& ledger_;
  GeneratorCounters& counters_;
  Io& io_;
  OrderTaker orders_;
  Siblings* siblings_;        // null when there is one thread
  uint64_t rate_millihertz_;  // as it is now
  uint32_t window_;
  std::array<Frame, RECEIVE_BATCH> rx_;
  std::array<Frame, FLAT_OUT_BATCH> tx_;
  std::array<uint64_t, FLAT_OUT_BATCH> launches_ns_;  // of those
  const uint64_t lead_ns_ = config_.launch_lead_ns;   // 0: the NIC launches nothing
  uint64_t last_launch_ns_ = 0;
  uint64_t launch_offset_ns_ = 0;  // modulo 2^64
  uint64_t launch_steps_ = 0;      // of the clock, until it was looked at last
  uint64_t start_ns_ = 0;
  uint64_t warmup_end_ns_ = 0;
  uint64_t first_sent_ns_ = 0;    // of the measured ticks, moved as the schedule is
  int64_t first_applied_ns_ = 0;  // how much the schedule had been slewed by then
  uint64_t end_ns_ = 0;
  int64_t epoch_offset_ns_ = 0;
  uint64_t dropped_ = 0;  // taken from the schedule, and refused by the link to the last
  PauseWatch pauses_;     // and when the schedule was looked at last
  Discipline discipline_;
  bool finished_ = false;
};

}  // namespace carom
