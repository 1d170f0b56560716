// The hot loop of ticks that go out alone, each in its frame, on one line: by the schedule, by the window, or
// as fast as it goes.
#pragma once

#include <vector>

#include "frame/build.h"
#include "generate/timestamps.h"
#include "loop/generate_core.h"

namespace carom {

template <PacketIo Io>
class PlainLoop : public GenerateCore<Io, PlainLoop<Io>> {
  using Core = GenerateCore<Io, PlainLoop<Io>>;
  friend Core;

 public:
  PlainLoop(GeneratorRole& role, Io& io)
      : Core(role, io),
        flows_(role.config.streams[0].flows),
        source_(role.config.streams[0].ticks),
        schedule_(role.config.streams[0].schedule),
        timestamps_(role.config.thread, role.config.threads) {
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

 private:
  using Core::check_count;
  using Core::clock_;
  using Core::config_;
  using Core::count_cause;
  using Core::counters_;
  using Core::done;
  using Core::dropped_;
  using Core::end_ns_;
  using Core::epoch_offset_ns_;
  using Core::finished_;
  using Core::FLAT_OUT_BATCH;
  using Core::given_up;
  using Core::is_measured;
  using Core::ledger_;
  using Core::note_lateness;
  using Core::note_measured;
  using Core::reserve;
  using Core::role_;
  using Core::SEND_BATCH;
  using Core::SKIP_BATCH;
  using Core::slip;
  using Core::start_ns_;
  using Core::submit;
  using Core::tx_;
  using Core::warmup_end_ns_;
  using Core::watch_;

  struct Planned {
    Tick tick;
    uint64_t planned_ns;
  };

  bool prepare() noexcept { return true; }

  void begin() noexcept {
    free_ = config_.window;
    allowed_ns_ = start_ns_;
    schedule_.start(start_ns_);
    plan();
  }

  void end() noexcept {}
  bool has_taken() const noexcept { return number_ != 0; }

  void turn_send(uint64_t now_ns) noexcept {
    if (due(now_ns) && !given_up(now_ns)) {
      if (config_.late == LatePolicy::catch_up || !is_put_off(now_ns)) send(now_ns);
      return;
    }
    watch_.delay().ahead(now_ns);
    if (next_planned_ns_ >= end_ns_ || now_ns >= end_ns_) finished_ = true;
  }

  // Content and planned time of the next tick; in the closed loop the time is known when the window has room.
  void plan() noexcept {
    next_tick_ = source_.next();
    next_flow_ = flows_ == 1 ? 0 : source_.symbol() % flows_;
    next_planned_ns_ = config_.closed ? allowed_ns_ : schedule_.planned_ns();
  }

  bool due(uint64_t now_ns) const noexcept {
    if (config_.closed && free_ <= 0) return false;
    return now_ns >= next_planned_ns_ && next_planned_ns_ < end_ns_;
  }

  void move_schedule(uint64_t by_ns) noexcept {
    schedule_.move(by_ns);
    next_planned_ns_ += by_ns;
    allowed_ns_ += by_ns;
  }

  void slew_schedule(uint64_t by_ns) noexcept { move_schedule(by_ns); }
  uint64_t next_ns() const noexcept { return next_planned_ns_; }

  uint64_t change_pace(uint64_t now_ns, uint64_t to, uint64_t of) noexcept {
    uint64_t from_ns = schedule_.change_pace(now_ns, to, of);
    next_planned_ns_ = schedule_.planned_ns();
    return from_ns;
  }

  // With a smaller one answers come until there is room again.
  void change_window(int64_t by, uint64_t now_ns) noexcept {
    if (free_ <= 0 && free_ + by > 0) allow(now_ns);
    free_ += by;
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

  // All that is due, up to a batch, with one doorbell; on time that is one tick.
  void send(uint64_t now_ns) noexcept {
    bool one_by_one = config_.closed && !config_.flat_out;
    uint32_t wanted = one_by_one ? 1 : due_count(now_ns);
    uint32_t room = reserve(wanted);
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
    auto planned_ns = [&](uint32_t i) { return batch_[i].planned_ns; };
    uint32_t done = submit(used, planned_ns, [&](uint32_t i, uint64_t sent_ns) {
      account(batch_[i].tick, batch_[i].planned_ns, sent_ns);
      if (role_.sends.on()) [[unlikely]]
        log_send(batch_[i], sent_ns);
    });
    for (uint32_t i = done; i < used; i++) dropped_ += is_measured(batch_[i].planned_ns);
  }

  void log_send(const Planned& planned, uint64_t sent_ns) noexcept {
    uint64_t tick = planned.tick.timestamp;
    if (!is_measured(planned.planned_ns) || !role_.sends.wants(tick)) return;
    role_.sends.add({tick, planned.planned_ns, sent_ns, std::max(sent_ns, clock_.now_ns())});
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

  void release_window(uint32_t answered, uint64_t now_ns) noexcept {
    if (answered == 0 || !config_.closed) return;
    if (free_ <= 0 && free_ + answered > 0) allow(now_ns);
    free_ += answered;
  }

  // The window has room from now on.
  void allow(uint64_t now_ns) noexcept {
    if (now_ns <= allowed_ns_) return;
    allowed_ns_ = now_ns;
    next_planned_ns_ = now_ns;
  }

  template <class Ended>
  // Of the measured ticks.
  uint64_t missed_before(uint64_t until_ns, uint64_t limit, Ended ended) noexcept {
    return schedule_.count_between(warmup_end_ns_, until_ns, limit, ended);
  }

  uint32_t flows_;
  TickSource source_;
  Schedule schedule_;
  Timestamps timestamps_;
  std::vector<FrameTemplate> templates_;  // of each flow
  std::array<Planned, FLAT_OUT_BATCH> batch_;
  std::vector<uint32_t> sizes_;  // of the frames, in turn
  Tick next_tick_{};
  uint32_t next_flow_ = 0;
  uint64_t next_planned_ns_ = 0;
  uint64_t number_ = 0;      // ticks taken from the schedule
  uint64_t allowed_ns_ = 0;  // closed loop: when the window had room, or the pause was over
  int64_t free_ = 0;         // closed loop: room in the window; less than none when it was made smaller
};

}  // namespace carom
