// The generator in the kernel where every tick goes out alone, at its planned time, on one line: ticks are
// planned ahead into the ledger's memory, and the sending program makes frames of them.
#pragma once

#include "loop/live_run.h"

namespace carom {

class LiveTicks : LiveRun {
 public:
  LiveTicks(GeneratorRole& role, XdpLiveIo& io)
      : LiveRun(role, io),
        flows_(role.config.streams[0].flows),
        sizes_(role.config.streams[0].sizes),
        shortest_(io.shortest()),
        source_(role.config.streams[0].ticks),
        schedule_(role.config.streams[0].schedule) {}

  void run() noexcept {
    auto plan = [this](uint64_t start_ns, int64_t) {
      schedule_.start(start_ns);
      fill();
    };
    if (!begin(plan)) return;
    while (role_.command() == Role::Command::run && !finished()) turn();
    uint64_t until_ns = end();
    follow();
    count_unsent(until_ns - read_shared(shared_.sender.slid_ns));
    if (config_.io.receives && planned_ != 0) drain([this] { follow(); });
    ledger_.close();
    take_histograms();
  }

 private:
  static constexpr uint32_t AHEAD = 1 << 15;  // ticks that are ready before they are due

  void turn() noexcept {
    fill();
    uint64_t now_ns = monotonic_ns();
    look_at_clock(now_ns);
    settled_ += receive([this] { follow(); });
    follow();
    if (config_.io.receives) settled_ += ledger_.expire(now_ns);
    if (now_ns >= warmup_end_ns_ && ledger_.parts().is_over(now_ns, read_shared(shared_.judge.answered)))
      follow_parts(now_ns);
    write_shared(shared_.plan.settled, settled_);
    if (planned_ - read_shared(shared_.sender.next) > ahead() / 2) io_.rest();
  }

  uint32_t ahead() const noexcept { return std::min(AHEAD, ledger_.capacity() / 4); }

  bool finished() const noexcept {
    if (io_.failure() != 0) return true;
    uint64_t measured = read_shared(shared_.sender.measured) + read_shared(shared_.sender.skipped);
    if (config_.count != 0 && measured >= config_.count) return true;
    uint64_t now_ns = monotonic_ns();
    if (!is_prompt(now_ns)) return false;
    now_ns -= read_shared(shared_.sender.paused_ns);
    if (config_.closed) return now_ns >= end_ns_;
    return now_ns >= end_ns_ && (all_sent() || now_ns - end_ns_ > config_.ledger.timeout_ns);
  }

  // But for those whose time is after the end, because the schedule slipped. Only the program can tell: what
  // an entry has as its time is the schedule's, or by now what a pause has made of it.
  bool all_sent() const noexcept {
    return read_shared(shared_.sender.next) == planned_ || read_shared(shared_.sender.over) != 0;
  }

  const ledger_entry& entry(uint64_t number) const noexcept {
    return io_.entries()[number & (ledger_.capacity() - 1)];
  }

  // Ticks for the time to come.
  void fill() noexcept {
    uint64_t until = read_shared(shared_.sender.next) + ahead();
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
    write_shared(shared_.plan.ready, planned_);
  }

  // What the programs have done since the last time.
  void follow() noexcept {
    Ledger::Below now{};
    now.answered = read_shared(shared_.judge.answered);
    now.warmup_answered = read_shared(shared_.judge.warmup_answered);
    now.reordered = read_shared(shared_.judge.reordered);
    now.taken = read_shared(shared_.sender.next);
    now.passed = read_shared(shared_.sender.passed);
    now.due = read_shared(shared_.sender.due);
    now.measured = read_shared(shared_.sender.measured);
    now.quiet = read_shared(shared_.sender.quiet);
    ledger_.follow(now, shift_ns());
    role_.counters.sent.set(now.measured);
    take_counters();
    take_sends(now.taken);
    take_stalls();
  }

  void take_sends(uint64_t end) noexcept {
    if (config_.flat_out) {  // there is no schedule to be late for
      sent_ = end;
      return note_measured(read_shared(shared_.sender.sent_ns));
    }
    for (; sent_ < end; sent_++) {
      const ledger_entry& tick = entry(sent_);
      const Sent sent{tick.planned_ns, tick.sent_ns, tick.stamp_ns >> 1, (tick.stamp_ns & 1) != 0};
      if (!tick.status.measured) {
        account_warmup(sent);
      } else if (tick.status.state == LEDGER_WITHHELD) {
        account_skipped(sent);
      } else {
        account_send(sent);
      }
    }
  }

  void count_unsent(uint64_t until_ns) noexcept {
    if (config_.closed) return;
    uint64_t wanted = config_.count == 0 ? UINT64_MAX : config_.count;
    uint64_t limit = wanted - std::min(wanted, role_.counters.sent.get() + role_.counters.skipped.get());
    uint64_t unsent = 0;
    for (uint64_t number = read_shared(shared_.sender.next); number < planned_ && unsent < limit; number++) {
      uint64_t planned_ns = entry(number).planned_ns;
      unsent += planned_ns >= warmup_end_ns_ && planned_ns < until_ns;
    }
    auto aborted = [&] { return role_.command() == Role::Command::abort; };
    unsent += schedule_.count_between(warmup_end_ns_, until_ns, limit - unsent, aborted);
    role_.counters.unsent.add(unsent);
  }

  void take_histograms() noexcept {
    role_.counters.frames_in.set(read_shared(shared_.judge.received) + read_shared(shared_.judge.handed));
    auto take = [&](generate_histogram which, Histogram& into) {
      const generate_moments& moments = shared_.moments[which];
      into.add(io_.counts(which).data(), moments.sum, ~moments.min, moments.max);
    };
    take(GENERATE_LATENCY_PLANNED, ledger_.latency_planned());
    take(GENERATE_LATENCY_ACTUAL, ledger_.latency_actual());
    take(GENERATE_WARMUP, ledger_.warmup());
    follow_parts(monotonic_ns());
  }

  void follow_parts(uint64_t now_ns) noexcept {
    bool planned = ledger_.parts().planned();
    ledger_.parts().follow(io_.counts(planned ? GENERATE_LATENCY_PLANNED : GENERATE_LATENCY_ACTUAL), now_ns);
  }

  uint32_t flows_;
  const std::vector<uint32_t>& sizes_;  // of the frames, in turn
  uint32_t shortest_;                   // frame that holds a tick
  TickSource source_;
  Schedule schedule_;
  uint64_t planned_ = 0;  // ticks made ready
  uint64_t sent_ = 0;     // entries whose sending was looked at
  uint64_t settled_ = 0;
};

}  // namespace carom
