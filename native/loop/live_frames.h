// The generator in the kernel for everything that is not plain: several streams and lines, packed ticks,
// impairment. Frames are made ahead into a ring, from which the sending program sends each at its time; what
// has been sent is accounted for here, and here every order is judged.
#pragma once

#include "generate/source.h"
#include "loop/live_run.h"

namespace carom {

inline constexpr uint64_t FRAMES_AHEAD_NS = 20'000'000;  // how long before it is due a frame is made

// `Source` says what is sent (generate/source.h).
template <class Source>
class LiveFrames : LiveRun {
 public:
  LiveFrames(GeneratorRole& role, XdpLiveIo& io, Source& source)
      : LiveRun(role, io), source_(source), taken_(io.frame_count()) {
    // No more than a quarter of what may be ready is used up meanwhile.
    double quarter_ns = static_cast<double>(io.frame_count()) / 4 / role.config.feed.peak_pps * 1e9;
    rest_ns_ = static_cast<uint32_t>(std::clamp(quarter_ns, REST_MIN_NS, REST_MAX_NS));
  }

  void run() noexcept {
    if (!prepare_source(source_, [this] { return role_.command() != Role::Command::run; })) return;
    auto plan = [this](uint64_t start_ns, int64_t epoch_offset_ns) {
      source_.start(start_ns, epoch_offset_ns);
      fill(start_ns);
    };
    if (!begin(plan)) return;
    while (role_.command() == Role::Command::run && !finished()) turn();
    uint64_t until_ns = end();
    follow();
    count_unsent(until_ns);
    accounted_ = took_;
    ledger_.abandon();
    if (config_.io.receives && made_ != 0) drain([this] { follow(); });
    ledger_.close();
  }

 private:
  static constexpr uint32_t FILL = 256;  // frames made before orders are looked for
  static constexpr double REST_MIN_NS = 50'000;
  static constexpr double REST_MAX_NS = 1'000'000;

  struct Taken {
    Transmission transmission;
    uint64_t moved_ns;  // by how much the schedule had moved
  };

  void turn() noexcept {
    uint64_t now_ns = monotonic_ns();
    look_at_clock(now_ns);
    follow_schedule();
    bool is_ahead = fill(now_ns);
    receive([this] { follow(); });
    follow();
    if (config_.io.receives) ledger_.expire(now_ns);
    if (is_ahead) io_.rest(rest_ns_);
  }

  // Pauses, and a schedule that slips, are seen by the sending program, which moves what is in the ring.
  void follow_schedule() noexcept {
    paused_ns_ = read_shared(shared_.sender.paused_ns);
    uint64_t moved_ns = paused_ns_ + read_shared(shared_.sender.slid_ns);
    if (moved_ns == moved_ns_) return;
    source_.move(moved_ns - moved_ns_);
    moved_ns_ = moved_ns;
  }

  bool is_measured(uint64_t planned_ns) const noexcept { return planned_ns - paused_ns_ >= warmup_end_ns_; }

  // Frames for the time to come. Returns whether there are enough of them for a while.
  bool fill(uint64_t now_ns) noexcept {
    uint64_t before = made_;
    uint64_t until_ns = now_ns + FRAMES_AHEAD_NS;
    while (made_ - before < FILL && took_ - accounted_ < taken_.size() && !waits_for(source_)) {
      if (source_.planned_ns() != Source::NONE_NS && source_.planned_ns() - paused_ns_ >= end_ns_)
        source_.finish();
      if (source_.planned_ns() > until_ns) break;  // or there is none
      Transmission transmission = source_.take();
      uint64_t ticks = transmission.counts() ? weight_of(source_, transmission) : 0;
      if (!transmission.lost) make(transmission, ticks);
      counted_ += ticks;
      if (is_measured(transmission.planned_ns)) {
        measured_ += ticks;
        if (config_.count != 0 && measured_ >= config_.count) source_.finish();
      }
      taken_[took_++ & (taken_.size() - 1)] = {transmission, moved_ns_};
    }
    write_shared(shared_.plan.lacks_ns, source_.planned_ns());
    write_shared(shared_.plan.ready, made_);
    return source_.planned_ns() > now_ns + FRAMES_AHEAD_NS / 2 || (took_ - accounted_) * 2 > taken_.size();
  }

  void make(const Transmission& transmission, uint64_t ticks) noexcept {
    generate_frame& frame = io_.frame(made_++);
    frame.planned_ns = transmission.planned_ns;
    frame.moved_ns = moved_ns_;
    frame.ticks = static_cast<uint32_t>(ticks);
    frame.ticks_before = counted_;
    frame.size = source_.write(transmission, frame.bytes);
  }

  bool finished() const noexcept {
    if (io_.failure() != 0) return true;
    uint64_t now_ns = monotonic_ns();
    if (!is_prompt(now_ns)) return false;
    if (accounted_ == took_ && source_.finishing() && source_.planned_ns() == Source::NONE_NS) return true;
    now_ns -= read_shared(shared_.sender.paused_ns);
    return now_ns > end_ns_ && now_ns - end_ns_ > config_.ledger.timeout_ns;
  }

  // What became of the frames since the last time, and of what was lost on purpose between them.
  void follow() noexcept {
    uint64_t next = read_shared(shared_.sender.next);
    uint64_t now_ns = monotonic_ns();
    take_counters();
    for (; accounted_ != took_; accounted_++) {
      const Taken& taken = taken_[accounted_ & (taken_.size() - 1)];
      if (taken.transmission.lost) {
        uint64_t planned_ns = taken.transmission.planned_ns + moved_ns_ - taken.moved_ns;
        if (planned_ns > now_ns) break;
        take_lost(taken.transmission, planned_ns);
      } else {
        if (sent_ == next) break;
        take_sent(taken.transmission, io_.frame(sent_++));
      }
      source_.release(taken.transmission);
    }
    ledger_.set_shift(shift_ns());
    take_stalls();
  }

  void take_sent(const Transmission& transmission, const generate_frame& frame) noexcept {
    if (frame.sent_ns == 0) {  // the schedule slipped until it was beyond the end
      is_over_ = true;
      return source_.finish();
    }
    const Sent sent{frame.planned_ns, frame.sent_ns, frame.starved_ns >> 1, (frame.starved_ns & 1) != 0};
    account(transmission, sent.planned_ns, sent.sent_ns, frame.measured != 0);
    if (config_.flat_out) {  // there is no schedule to be late for
      note_measured(sent.sent_ns);
    } else if (frame.measured != 0) {
      account_send(sent);
    } else {
      account_warmup(sent);
    }
  }

  void take_lost(const Transmission& transmission, uint64_t planned_ns) noexcept {
    if (is_over_ && transmission.counts()) return;
    account(transmission, planned_ns, planned_ns, is_measured(planned_ns));
  }

  void account(const Transmission& transmission, uint64_t planned_ns, uint64_t sent_ns,
               bool measured) noexcept {
    source_.count(transmission);
    if (!transmission.counts()) return;
    uint32_t stream = source_.stream(transmission);
    auto ticks = source_.ticks(transmission);
    uint32_t weight = weight_of(source_, transmission);
    if (!config_.io.receives) {
      for (uint32_t i = 0; i < weight; i++) ledger_.sent_only(measured, stream, transmission.withheld);
    }
    for (const FedTick& fed : ticks) {
      if (config_.io.receives && transmission.withheld) {
        ledger_.withhold(fed.entry, stream, measured);
      } else if (config_.io.receives) {
        ledger_.depart(fed.entry, stream, planned_ns, sent_ns, measured, source_.answers(transmission));
      }
      CAROM_PROBE3(tick_sent, fed.tick.timestamp, planned_ns, sent_ns);
    }
    if (measured) role_.counters.sent.add(weight);
  }

  // Ticks whose time came and that were not sent: of those that were taken, and of those that were not yet.
  void count_unsent(uint64_t until_ns) noexcept {
    follow_schedule();
    if (until_ns <= warmup_end_ns_ || is_over_) return;
    uint64_t limit =
        config_.count == 0 ? UINT64_MAX : config_.count - std::min(config_.count, role_.counters.sent.get());
    uint64_t missed = 0;
    auto miss = [&](const Transmission& transmission, uint64_t planned_ns) {
      planned_ns -= paused_ns_;
      if (transmission.counts() && planned_ns >= warmup_end_ns_ && planned_ns < until_ns)
        missed += weight_of(source_, transmission);
      source_.release(transmission);
    };
    for (; accounted_ != took_ && missed < limit; accounted_++) {
      const auto& [transmission, moved_ns] = taken_[accounted_ & (taken_.size() - 1)];
      miss(transmission, transmission.planned_ns + moved_ns_ - moved_ns);
    }
    for (uint64_t taken = 1;
         !waits_for(source_) && source_.planned_ns() - paused_ns_ < until_ns && missed < limit; taken++) {
      Transmission transmission = source_.take();
      miss(transmission, transmission.planned_ns);
      if (taken % 65'536 == 0 && role_.command() == Role::Command::abort) break;
    }
    role_.counters.unsent.add(missed);
  }

  Source& source_;
  uint32_t rest_ns_;
  std::vector<Taken>
      taken_;  // a ring, as long as that of the frames: what was taken and is not accounted for
  uint64_t took_ = 0;
  uint64_t accounted_ = 0;
  uint64_t made_ = 0;      // frames
  uint64_t sent_ = 0;      // of them, those accounted for
  uint64_t counted_ = 0;   // ticks in what was taken
  uint64_t measured_ = 0;  // of them, those after the warm-up
  uint64_t paused_ns_ = 0;
  uint64_t moved_ns_ = 0;  // by how much the schedule of the source has moved
  bool is_over_ = false;
};

}  // namespace carom
