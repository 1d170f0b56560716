// The generator's hot loop: ticks out by the schedule or the window, orders in, each one timed and judged.
#pragma once

#include <algorithm>
#include <array>
#include <ctime>
#include <optional>
#include <utility>
#include <vector>

#include "core/clock.h"
#include "core/probe.h"
#include "frame/build.h"
#include "generate/timestamps.h"
#include "io/packet_io.h"
#include "loop/orders.h"

namespace carom {

template <PacketIo Io>
class GenerateLoop {
 public:
  GenerateLoop(GeneratorRole& role, Io& io)
      : config_(role.config),
        role_(role),
        ledger_(role.ledger),
        counters_(role.counters),
        io_(io),
        flows_(role.config.streams[0].flows),
        source_(role.config.streams[0].ticks),
        schedule_(role.config.streams[0].schedule),
        orders_(role),
        siblings_(role.siblings.get()),
        timestamps_(role.config.thread, role.config.threads) {
    ledger_.use_own_memory();
    if (!is_plain(config_.streams)) {
      feed_.emplace(config_.streams, config_.feed, config_.io.link, config_.io.ttl, role.lines,
                    config_.io.receives ? &ledger_ : nullptr);
      return;
    }
    const Link& link = config_.io.link;
    const StreamConfig& stream = config_.streams[0];
    const LineConfig& line = stream.lines[0];
    sizes_ = stream.sizes;
    Endpoint from{};
    memcpy(from.mac, link.mac, 6);
    memcpy(from.address, line.ipv6 ? link.address6 : link.address4, line.ipv6 ? 16 : 4);
    for (uint32_t flow = 0; flow < flows_; flow++) {
      from.port = static_cast<uint16_t>(stream.source_port + flow);
      templates_.emplace_back(from, line.destination, line.ipv6, line.vlan, config_.io.ttl, line.dscp,
                              MARKET_DATA_SIZE);
    }
  }

  void run() noexcept {
    uint64_t now_ns = clock_.now_ns();
    start_ns_ = siblings_ == nullptr ? now_ns + START_DELAY_NS : siblings_->start_ns(now_ns);
    warmup_end_ns_ = start_ns_ + config_.warmup_ns;
    end_ns_ = config_.duration_ns == 0 ? UINT64_MAX : warmup_end_ns_ + config_.duration_ns;
    epoch_offset_ns_ = clock_.offset_to(CLOCK_REALTIME);
    if (role_.capture) role_.capture->begin(epoch_offset_ns_);
    tell_measured_from();
    pauses_.begin(now_ns);
    causes_.ahead(now_ns, 0);
    free_ = config_.window;
    allowed_ns_ = start_ns_;
    if (feed_) {
      feed_->start(start_ns_, epoch_offset_ns_);
    } else {
      schedule_.start(start_ns_);
      plan();
    }
    role_.stalls.begin(now_ns);
    while (role_.command() == Role::Command::run && !finished_) turn();
    count_unsent(finished_ ? clock_.now_ns() : pauses_.last_ns());
    if (feed_) ledger_.abandon();
    drain();
    ledger_.close();
  }

 private:
  struct Planned {
    Tick tick;
    uint64_t planned_ns;
  };

  static constexpr uint64_t START_DELAY_NS = 1'000'000;
  static constexpr uint64_t SETTLE_NS = 10'000'000;  // for answers that must not come
  static constexpr uint32_t SEND_BATCH = Schedule::LOOK_AHEAD;
  static constexpr uint32_t FLAT_OUT_BATCH = MAX_BATCH;
  static constexpr uint32_t RECEIVE_BATCH = 16;  // orders judged before the schedule is looked at again
  static constexpr uint32_t SKIP_BATCH = 64;     // ticks skipped before orders are looked for again

  void turn() noexcept {
    uint64_t now_ns = clock_.now_ns();
    uint64_t last_ns = pauses_.last_ns();
    if (uint64_t passed_ns = pauses_.turn(now_ns); passed_ns != 0) [[unlikely]]
      resume(last_ns, passed_ns);
    role_.stalls.turn(now_ns);
    causes_.returned(now_ns, role_.stalls.last_end_ns());
    if (feed_) {
      turn_feed(now_ns);
    } else if (due(now_ns) && !given_up(now_ns)) {
      if (config_.late == LatePolicy::catch_up || !is_put_off(now_ns)) send(now_ns);
    } else {
      causes_.ahead(now_ns, role_.stalls.total_ns());
      if (next_planned_ns_ >= end_ns_ || now_ns >= end_ns_) finished_ = true;
    }
    if (!config_.io.receives) return;
    if (siblings_ != nullptr) [[unlikely]]
      take_handed(now_ns);
    receive(now_ns);
  }

  void turn_feed(uint64_t now_ns) noexcept {
    if (feed_->planned_ns() >= end_ns_) feed_->finish();
    if (feed_->planned_ns() == Feed::NONE_NS || given_up(now_ns)) {
      finished_ = feed_->finishing() || given_up(now_ns);
    } else if (now_ns >= feed_->planned_ns()) {
      if (config_.late == LatePolicy::slip) slip(now_ns, feed_->planned_ns());
      transmit(now_ns);
    } else {
      causes_.ahead(now_ns, role_.stalls.total_ns());
    }
  }

  // All of a feed that is due, up to a batch, with one doorbell. What is lost on purpose takes no frame.
  void transmit(uint64_t now_ns) noexcept {
    uint32_t room = io_.tx_reserve(std::span<Frame>(tx_.data(), SEND_BATCH));
    causes_.call(now_ns);
    if (room == 0) return;
    uint32_t used = 0;
    for (uint32_t taken = 0; used < room && taken < MAX_BATCH && now_ns >= feed_->planned_ns(); taken++) {
      if (feed_->planned_ns() >= end_ns_) feed_->finish();
      if (now_ns < feed_->planned_ns()) break;
      Transmission transmission = feed_->take();
      if (transmission.counts() && is_measured(transmission.planned_ns)) {
        counted_ += feed_->ticks(transmission).size();
        if (config_.count != 0 && counted_ >= config_.count) feed_->finish();
      }
      if (transmission.lost) {
        account(transmission, now_ns);
        continue;
      }
      tx_[used].length = feed_->write(transmission, tx_[used].data);
      transmissions_[used++] = transmission;
    }
    if (used == 0) return;
    uint32_t done = submit(used, [&](uint32_t i, uint64_t sent_ns) { account(transmissions_[i], sent_ns); });
    for (uint32_t i = done; i < used; i++) {
      const Transmission& lost = transmissions_[i];
      if (lost.counts() && is_measured(lost.planned_ns)) dropped_ += feed_->ticks(lost).size();
      feed_->release(lost);
    }
  }

  void account(const Transmission& transmission, uint64_t sent_ns) noexcept {
    bool measured = is_measured(transmission.planned_ns);
    std::span<const FedTick> ticks = feed_->ticks(transmission);
    uint32_t stream = feed_->stream(transmission);
    feed_->count(transmission);
    if (config_.io.receives && !transmission.lost)
      ledger_.frame(transmission.first ? ticks : std::span<const FedTick>{});
    if (transmission.counts()) {
      for (const FedTick& fed : ticks) {
        if (!config_.io.receives) {
          ledger_.sent_only(measured, stream, transmission.withheld);
        } else if (transmission.withheld) {
          ledger_.withhold(fed.entry, stream, measured);
        } else {
          ledger_.depart(fed.entry, stream, transmission.planned_ns, sent_ns, measured,
                         feed_->answers(transmission));
        }
        CAROM_PROBE3(tick_sent, fed.tick.timestamp, transmission.planned_ns, sent_ns);
        if (measured && transmission.first && role_.sends.on() && role_.sends.wants(fed.tick.timestamp)) {
          role_.sends.add({fed.tick.timestamp, transmission.planned_ns, sent_ns, clock_.now_ns()});
        }
      }
    }
    if (measured) {
      if (transmission.counts()) counters_.sent.add(ticks.size());
      note_measured(sent_ns);
      if (!transmission.lost) note_lateness(transmission.planned_ns, sent_ns);
    }
    feed_->release(transmission);
  }

  bool is_measured(uint64_t planned_ns) const noexcept { return planned_ns >= warmup_end_ns_; }

  // Content and planned time of the next tick; in the closed loop the time is known when the window has room.
  void plan() noexcept {
    next_tick_ = source_.next();
    next_flow_ = flows_ == 1 ? 0 : source_.symbol() % flows_;
    next_planned_ns_ = config_.closed ? allowed_ns_ : schedule_.planned_ns();
  }

  bool due(uint64_t now_ns) const noexcept {
    if (config_.closed && free_ == 0) return false;
    return now_ns >= next_planned_ns_ && next_planned_ns_ < end_ns_;
  }

  // The process did not run for a long time, or the clock went back: the schedule, and the end of the run,
  // move by that, so that nothing is caught up.
  [[gnu::noinline]] void resume(uint64_t last_ns, uint64_t passed_ns) noexcept {
    bool back = passed_ns > uint64_t{1} << 63;
    if (back) role_.stalls.forget(last_ns + passed_ns);
    ++(back ? counters_.clock_back : counters_.pauses);
    if (!back) {
      counters_.paused_ns.add(passed_ns);
      ledger_.paused(pauses_.last_ns(), passed_ns);
    }
    move_schedule(passed_ns);
    allowed_ns_ += passed_ns;
    if (end_ns_ != UINT64_MAX) end_ns_ += passed_ns;
    if (last_ns < warmup_end_ns_) {
      warmup_end_ns_ += passed_ns;
      tell_measured_from();
    } else {
      counters_.moved_ns.add(passed_ns);
    }
  }

  void tell_measured_from() const {
    if (role_.on_measured_from)
      role_.on_measured_from(warmup_end_ns_ + static_cast<uint64_t>(epoch_offset_ns_));
  }

  void move_schedule(uint64_t by_ns) noexcept {
    if (feed_) feed_->move(by_ns);
    schedule_.move(by_ns);
    next_planned_ns_ += by_ns;
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
    move_schedule(late_ns);
  }

  // Deals with a next tick that may be late, as the policy says. False when it is, or now is, to be sent.
  bool is_put_off(uint64_t now_ns) noexcept {
    if (config_.late == LatePolicy::slip) {
      slip(now_ns, next_planned_ns_);
      return false;
    }
    if (now_ns - next_planned_ns_ <= config_.late_threshold_ns) return false;
    for (uint32_t i = 0; i < SKIP_BATCH && due(now_ns) && !finished_; i++) {
      if (now_ns - next_planned_ns_ <= config_.late_threshold_ns) break;
      if (is_measured(next_planned_ns_)) {
        ++counters_.skipped;
        count_cause(now_ns);
        check_count();
      }
      schedule_.advance();
      plan();
    }
    return true;
  }

  DelayCauses::Cause count_cause(uint64_t now_ns) noexcept {
    DelayCauses::Cause cause = causes_.cause(now_ns, role_.stalls.total_ns());
    if (cause == DelayCauses::Cause::machine) ++counters_.late_machine;
    if (cause == DelayCauses::Cause::link) ++counters_.late_link;
    if (cause == DelayCauses::Cause::carom) ++counters_.late_carom;
    return cause;
  }

  // Ticks that have had their fate.
  uint64_t done() const noexcept { return counters_.sent.get() + counters_.skipped.get(); }

  void check_count() noexcept {
    if (config_.count != 0 && done() >= config_.count) finished_ = true;
  }

  // All that is due, up to a batch, with one doorbell; on time that is one tick.
  void send(uint64_t now_ns) noexcept {
    bool one_by_one = config_.closed && !config_.flat_out;
    uint32_t wanted = one_by_one ? 1 : due_count(now_ns);
    uint32_t room = io_.tx_reserve(std::span<Frame>(tx_.data(), wanted));
    causes_.call(now_ns);
    if (room == 0) return;  // counted by the backend; the tick stays due
    uint32_t used = 0;
    do {
      batch_[used] = {next_tick_, next_planned_ns_};
      write(tx_[used], batch_[used].tick, next_planned_ns_, templates_[next_flow_]);
      used++;
      number_++;
      if (!config_.closed) schedule_.advance();
      plan();
    } while (used < room && due(now_ns) && !one_by_one);
    uint32_t done = submit(used, [&](uint32_t i, uint64_t sent_ns) {
      account(batch_[i].tick, batch_[i].planned_ns, sent_ns);
      if (role_.sends.on()) [[unlikely]]
        log_send(batch_[i], sent_ns);
    });
    for (uint32_t i = done; i < used; i++) dropped_ += is_measured(batch_[i].planned_ns);
  }

  // Hands frames to the wire until they are taken, the run is stopped, or its end is long past. Returns how
  // many were.
  template <class Account>
  uint32_t submit(uint32_t used, Account account_one) noexcept {
    uint64_t sent_ns = clock_.now_ns();
    role_.stalls.turn(sent_ns);
    role_.stalls.work(used);
    if (used > 1) ++counters_.bursts;
    causes_.call(sent_ns);
    uint32_t done = 0;
    while (true) {
      uint32_t taken = io_.tx_submit(std::span<const Frame>(tx_.data() + done, used - done));
      uint64_t measured = role_.lateness.count();
      for (uint32_t i = done; i < done + taken; i++) account_one(i, sent_ns);
      if (role_.lateness.count() != measured) ++counters_.doorbells;
      if (role_.capture) [[unlikely]]
        capture_sent({tx_.data() + done, taken}, sent_ns);
      done += taken;
      if (done == used || role_.command() != Role::Command::run || given_up(sent_ns)) return done;
      sent_ns = clock_.now_ns();
      role_.stalls.forget(sent_ns);
      pauses_.begin(sent_ns);
    }
  }

  // The wire has them already: what a capture takes comes after. Their bytes stay until new ones are
  // reserved.
  [[gnu::noinline, gnu::cold]] void capture_sent(std::span<const Frame> frames, uint64_t sent_ns) noexcept {
    for (const Frame& frame : frames) role_.capture->sent(frame, sent_ns);
  }

  void log_send(const Planned& planned, uint64_t sent_ns) noexcept {
    uint64_t tick = planned.tick.timestamp;
    if (!is_measured(planned.planned_ns) || !role_.sends.wants(tick)) return;
    role_.sends.add({tick, planned.planned_ns, sent_ns, clock_.now_ns()});
  }

  // The link takes nothing any more, and the end of the run is past.
  bool given_up(uint64_t now_ns) const noexcept {
    return now_ns > end_ns_ && now_ns - end_ns_ > config_.ledger.timeout_ns;
  }

  uint32_t due_count(uint64_t now_ns) const noexcept {
    uint64_t limit = config_.flat_out ? FLAT_OUT_BATCH : SEND_BATCH;
    if (config_.count != 0) limit = std::min(limit, config_.count - done());
    if (config_.flat_out) return static_cast<uint32_t>(limit);
    uint32_t count = 1;
    while (count < limit && schedule_.planned_ns(count) <= now_ns) count++;
    return count;
  }

  void write(Frame& frame, Tick& tick, uint64_t planned_ns, FrameTemplate& headers) noexcept {
    // The planned time since the epoch, made unique where two ticks are planned for the same ns.
    tick.timestamp = timestamps_.next(planned_ns + static_cast<uint64_t>(epoch_offset_ns_));
    tick.write(headers.begin(frame.data));
    headers.finish(frame.data);
    frame.length = headers.frame_length();
    if (!sizes_.empty()) frame.length = pad_frame(frame.data, frame.length, sizes_[number_ % sizes_.size()]);
  }

  void account(const Tick& tick, uint64_t planned_ns, uint64_t sent_ns) noexcept {
    if (config_.flat_out) planned_ns = sent_ns;  // without a schedule nothing is late
    bool measured = is_measured(planned_ns);
    bool answer_due = false;
    if (config_.io.receives) {
      answer_due = ledger_.sent(tick, planned_ns, sent_ns, measured);
    } else {
      ledger_.sent_only(measured, 0);
    }
    CAROM_PROBE3(tick_sent, tick.timestamp, planned_ns, sent_ns);
    if (config_.closed) {
      if (answer_due) {
        free_--;
      }
      // With room left in the window the next one may go as soon as this one has gone.
      allowed_ns_ = answer_due ? sent_ns : sent_ns + config_.quiet_ns;
      next_planned_ns_ = allowed_ns_;
    }
    if (!measured) return;
    ++counters_.sent;
    note_measured(sent_ns);
    if (!config_.flat_out) note_lateness(planned_ns, sent_ns);
    check_count();
  }

  // From the first of the measured ticks on; pauses left out.
  void note_measured(uint64_t sent_ns) noexcept {
    if (first_sent_ns_ == 0) first_sent_ns_ = sent_ns - counters_.moved_ns.get();
    counters_.measured_ns.set(sent_ns - first_sent_ns_ - counters_.moved_ns.get());
  }

  void note_lateness(uint64_t planned_ns, uint64_t sent_ns) noexcept {
    uint64_t late_ns = sent_ns > planned_ns ? sent_ns - planned_ns : 0;
    role_.lateness.record(late_ns);
    if (!config_.closed) role_.pacing.sent(late_ns);
    if (late_ns > config_.late_threshold_ns) [[unlikely]] {
      ++counters_.late_sends;
      if (count_cause(sent_ns) == DelayCauses::Cause::machine) ++counters_.late_in_stall;
      role_.latest.offer(planned_ns, sent_ns);
    }
  }

  void receive(uint64_t now_ns) noexcept {
    uint32_t count = io_.rx_peek(rx_);
    if (count == 0) {
      idle(now_ns);
      return;
    }
    now_ns = clock_.now_ns();
    role_.stalls.turn(now_ns);
    causes_.returned(now_ns, role_.stalls.last_end_ns());
    role_.stalls.work(1);  // judging a batch
    counters_.frames_in.add(count);
    uint32_t answered = 0;
    for (uint32_t i = 0; i < count; i++) answered += orders_.take(rx_[i], now_ns);
    io_.rx_release(count);
    release_window(answered, now_ns);
  }

  void take_handed(uint64_t now_ns) noexcept {
    uint32_t answered = orders_.take_handed();
    if (answered == 0) return;
    role_.stalls.work(1);
    release_window(answered, now_ns);
  }

  void release_window(uint32_t answered, uint64_t now_ns) noexcept {
    if (answered == 0 || !config_.closed) return;
    if (free_ == 0 && now_ns > allowed_ns_) {
      allowed_ns_ = now_ns;
      next_planned_ns_ = now_ns;
    }
    free_ += answered;
  }

  // Nothing came: what can wait is done now.
  void idle(uint64_t now_ns) noexcept {
    release_window(ledger_.expire(now_ns), now_ns);
    if (ledger_.stamps_due() == 0) return;
    std::array<TxStamp, 32> stamps;
    uint32_t count = io_.tx_stamps(stamps);
    for (uint32_t i = 0; i < count; i++) ledger_.left(stamps[i]);
  }

  // Ticks whose time came and that no way was found to send: the link was down, or too slow to the end.
  void count_unsent(uint64_t now_ns) noexcept {
    if (config_.closed) return;
    uint64_t until_ns = now_ns < end_ns_ ? now_ns : end_ns_;
    if (until_ns <= warmup_end_ns_) return;
    uint64_t limit = config_.count == 0 ? UINT64_MAX : config_.count - std::min(config_.count, done());
    auto aborted = [&] { return role_.command() == Role::Command::abort; };
    uint64_t missed =
        feed_ ? count_feed(until_ns, limit, aborted) : schedule_.count_before(until_ns, limit, aborted);
    counters_.unsent.add(missed + dropped_);
  }

  template <class Ended>
  uint64_t count_feed(uint64_t until_ns, uint64_t limit, Ended ended) noexcept {
    uint64_t missed = 0;
    for (uint64_t taken = 1; feed_->planned_ns() < until_ns && missed < limit; taken++) {
      Transmission transmission = feed_->take();
      if (transmission.counts() && is_measured(transmission.planned_ns))
        missed += feed_->ticks(transmission).size();
      feed_->release(transmission);
      if (taken % 65'536 == 0 && ended()) break;
    }
    return missed;
  }

  // Everything is sent: waits for the answers that are due, no longer than the timeout, and a little for
  // those that must not come.
  void drain() noexcept {
    bool idle = number_ == 0 && counters_.sent.get() + ledger_.counters().warmup_sent.get() == 0;
    if (!config_.io.receives || (idle && siblings_ == nullptr)) return;
    uint64_t now_ns = clock_.now_ns();
    uint64_t settled_ns = now_ns + SETTLE_NS;
    bool told = false;
    while (role_.command() != Role::Command::abort) {
      now_ns = clock_.now_ns();
      role_.stalls.turn(now_ns);
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

  const Clock& clock_ = Clock::get();
  const GeneratorConfig& config_;
  GeneratorRole& role_;
  Ledger& ledger_;
  GeneratorCounters& counters_;
  Io& io_;
  uint32_t flows_;
  TickSource source_;
  Schedule schedule_;
  OrderTaker orders_;
  Siblings* siblings_;  // null when there is one thread
  Timestamps timestamps_;
  std::vector<FrameTemplate> templates_;  // of each flow
  std::array<Frame, RECEIVE_BATCH> rx_;
  std::array<Frame, FLAT_OUT_BATCH> tx_;
  std::array<Planned, FLAT_OUT_BATCH> batch_;
  std::vector<uint32_t> sizes_;  // of the frames, in turn
  std::optional<Feed> feed_;     // what is sent when that is not plain: one tick a frame, on one line
  std::array<Transmission, SEND_BATCH> transmissions_;
  uint64_t counted_ = 0;  // measured ticks taken from the feed
  Tick next_tick_{};
  uint32_t next_flow_ = 0;
  uint64_t next_planned_ns_ = 0;
  uint64_t number_ = 0;  // ticks taken from the schedule
  uint64_t start_ns_ = 0;
  uint64_t warmup_end_ns_ = 0;
  uint64_t first_sent_ns_ = 0;  // of the measured ticks, moved as the schedule is
  uint64_t end_ns_ = 0;
  int64_t epoch_offset_ns_ = 0;
  uint64_t allowed_ns_ = 0;  // closed loop: when the window had room, or the pause was over
  uint32_t free_ = 0;        // closed loop: room in the window
  uint64_t dropped_ = 0;     // taken from the schedule, and refused by the link to the last
  PauseWatch pauses_;        // and when the schedule was looked at last
  DelayCauses causes_;
  bool finished_ = false;
};

}  // namespace carom
