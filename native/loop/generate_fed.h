// The hot loop of frames that something else has planned: a feed of several streams and lines, or a replay
// (generate/source.h).
#pragma once

#include "generate/source.h"
#include "loop/generate_core.h"

namespace carom {

template <PacketIo Io, class Source>
class FedLoop : public GenerateCore<Io, FedLoop<Io, Source>> {
  using Core = GenerateCore<Io, FedLoop<Io, Source>>;
  friend Core;

 public:
  // The source is made in place, of what it is made of.
  template <class... Of>
  FedLoop(GeneratorRole& role, Io& io, Of&&... of) : Core(role, io), source_(std::forward<Of>(of)...) {}

 private:
  using Core::clock_;
  using Core::config_;
  using Core::count_cause;
  using Core::counters_;
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
  using Core::watch_;

  bool prepare() noexcept {
    return prepare_source(source_, [this] { return role_.command() != Role::Command::run; });
  }

  void begin() noexcept { source_.start(start_ns_, epoch_offset_ns_); }
  void end() noexcept { ledger_.abandon(); }
  bool has_taken() const noexcept { return false; }
  void move_schedule(uint64_t by_ns) noexcept { source_.move(by_ns); }
  void slew_schedule(uint64_t by_ns) noexcept { source_.slew(by_ns); }
  uint64_t next_ns() const noexcept { return source_.planned_ns(); }
  void release_window(uint32_t, uint64_t) noexcept {}
  void change_window(int64_t, uint64_t) noexcept {}

  // A capture's pace is its own.
  uint64_t change_pace(uint64_t now_ns, uint64_t to, uint64_t of) noexcept {
    if constexpr (requires { source_.change_pace(now_ns, to, of); })
      return source_.change_pace(now_ns, to, of);
    return now_ns;
  }

  uint32_t weight(const Transmission& transmission) const noexcept {
    return weight_of(source_, transmission);
  }

  void turn_send(uint64_t now_ns) noexcept {
    if (waits_for(source_)) [[unlikely]] {
      finished_ = now_ns >= end_ns_;
      return;
    }
    if (source_.planned_ns() >= end_ns_ || (config_.flat_out && now_ns >= end_ns_)) source_.finish();
    if (source_.planned_ns() == Source::NONE_NS || given_up(now_ns)) {
      finished_ = source_.finishing() || given_up(now_ns);
    } else if (now_ns >= source_.planned_ns()) {
      if (config_.late == LatePolicy::skip && skip(now_ns)) return;
      if (config_.late == LatePolicy::slip) slip(now_ns, source_.planned_ns());
      transmit(now_ns);
    } else {
      watch_.delay().ahead(now_ns);
    }
  }

  // Leaves out what is too late. Whether there was something.
  bool skip(uint64_t now_ns) noexcept {
    uint32_t skipped = 0;
    for (; skipped < SKIP_BATCH && now_ns >= source_.planned_ns(); skipped++) {
      if (now_ns - source_.planned_ns() <= config_.late_threshold_ns) break;
      Transmission transmission = source_.take();
      if (is_measured(transmission.planned_ns)) {
        counters_.skipped.add(weight(transmission));
        count_cause(now_ns);
      }
      source_.release(transmission);
    }
    return skipped != 0;
  }

  // All that is due, up to a batch, with one doorbell. What is lost on purpose takes no frame.
  void transmit(uint64_t now_ns) noexcept {
    uint32_t wanted = config_.flat_out ? FLAT_OUT_BATCH : SEND_BATCH;
    uint32_t room = reserve(wanted);
    if (room == 0) return;
    uint32_t used = 0;
    for (uint32_t taken = 0; used < room && taken < MAX_BATCH && now_ns >= source_.planned_ns(); taken++) {
      if (source_.planned_ns() >= end_ns_) source_.finish();
      if (now_ns < source_.planned_ns()) break;
      Transmission transmission = source_.take();
      if (transmission.counts() && is_measured(transmission.planned_ns)) {
        counted_ += weight(transmission);
        if (config_.count != 0 && counted_ >= config_.count) source_.finish();
      }
      if (transmission.lost) {
        account(transmission, now_ns);
        continue;
      }
      tx_[used].length = source_.write(transmission, tx_[used].data);
      transmissions_[used++] = transmission;
    }
    if (used == 0) return;
    auto planned_ns = [&](uint32_t i) { return transmissions_[i].planned_ns; };
    auto account_one = [&](uint32_t i, uint64_t sent_ns) { account(transmissions_[i], sent_ns); };
    uint32_t done = submit(used, planned_ns, account_one);
    for (uint32_t i = done; i < used; i++) {
      const Transmission& lost = transmissions_[i];
      if (lost.counts() && is_measured(lost.planned_ns)) dropped_ += weight(lost);
      source_.release(lost);
    }
  }

  void account(const Transmission& transmission, uint64_t sent_ns) noexcept {
    uint64_t planned_ns = config_.flat_out ? sent_ns : transmission.planned_ns;  // without a schedule
    bool measured = is_measured(planned_ns);
    std::span<const FedTick> ticks = source_.ticks(transmission);
    uint32_t stream = source_.stream(transmission);
    source_.count(transmission);
    if (config_.io.receives && !transmission.lost)
      ledger_.frame(transmission.first ? ticks : std::span<const FedTick>{});
    if (transmission.counts()) {
      if (!config_.io.receives) {
        for (uint32_t i = weight(transmission); i > 0; i--)
          ledger_.sent_only(measured, stream, transmission.withheld);
      }
      for (const FedTick& fed : ticks) enter(fed, transmission, planned_ns, sent_ns);
    }
    if (measured) {
      if (transmission.counts()) counters_.sent.add(weight(transmission));
      note_measured(sent_ns);
      if (!transmission.lost && !config_.flat_out) note_lateness(planned_ns, sent_ns);
    }
    source_.release(transmission);
  }

  void enter(const FedTick& fed, const Transmission& transmission, uint64_t planned_ns,
             uint64_t sent_ns) noexcept {
    bool measured = is_measured(planned_ns);
    uint32_t stream = source_.stream(transmission);
    if (config_.io.receives && transmission.withheld) {
      ledger_.withhold(fed.entry, stream, measured);
    } else if (config_.io.receives) {
      ledger_.depart(fed.entry, stream, planned_ns, sent_ns, measured, source_.answers(transmission));
    }
    CAROM_PROBE3(tick_sent, fed.tick.timestamp, planned_ns, sent_ns);
    if (measured && transmission.first && role_.sends.on() && role_.sends.wants(fed.tick.timestamp))
      role_.sends.add({fed.tick.timestamp, planned_ns, sent_ns, std::max(sent_ns, clock_.now_ns())});
  }

  template <class Ended>
  uint64_t missed_before(uint64_t until_ns, uint64_t limit, Ended ended) noexcept {
    uint64_t missed = 0;
    for (uint64_t taken = 1; !waits_for(source_) && source_.planned_ns() < until_ns && missed < limit;
         taken++) {
      Transmission transmission = source_.take();
      if (transmission.counts() && is_measured(transmission.planned_ns)) missed += weight(transmission);
      source_.release(transmission);
      if (taken % 65'536 == 0 && ended()) break;
    }
    return missed;
  }

  Source source_;
  std::array<Transmission, FLAT_OUT_BATCH> transmissions_;
  uint64_t counted_ = 0;  // measured, taken from the source
};

}  // namespace carom
