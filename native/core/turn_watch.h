// A spinning loop knows when a turn took far longer than a turn takes, and asks the system whose fault it
// was.
#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "core/counters.h"
#include "core/evidence.h"

namespace carom {

struct Interval {
  uint64_t start_ns;
  uint64_t end_ns;
};

// Who made a turn slow, or a tick late: the thread was off its core, or interrupted; or it ran, and the
// backend had it, or carom's own code; or nobody can say.
enum class Cause : uint8_t { machine, link, carom, unexplained, COUNT };
constexpr size_t CAUSES = static_cast<size_t>(Cause::COUNT);
constexpr const char* CAUSE_NAMES[] = {"machine", "link", "carom", "unexplained"};

// What the loop does between two readings of its clock.
enum class Place : uint8_t {
  idle,  // it looks for something to do
  work,  // it has something to do
  call,  // a backend's function that enters the kernel has control
};

// Where the time went since the loop was last ahead of its schedule.
class DelayCauses {
 public:
  // Nothing is due.
  void ahead(uint64_t now_ns) noexcept {
    since_ns_ = now_ns;
    by_cause_ns_ = {};
  }
  void add(Cause cause, uint64_t ns) noexcept { by_cause_ns_[static_cast<size_t>(cause)] += ns; }

  // The cause of most of it; what nobody has told of is `rest`'s.
  Cause cause(uint64_t now_ns, Cause rest = Cause::carom) const noexcept {
    std::array<uint64_t, CAUSES> ns = by_cause_ns_;
    uint64_t told_ns = ns[0] + ns[1] + ns[2] + ns[3];
    uint64_t whole_ns = now_ns - since_ns_;
    ns[static_cast<size_t>(rest)] += whole_ns > told_ns ? whole_ns - told_ns : 0;
    size_t most = 0;
    for (size_t i = 1; i < CAUSES; i++) {
      if (ns[i] > ns[most]) most = i;
    }
    return static_cast<Cause>(most);
  }

 private:
  uint64_t since_ns_ = 0;
  std::array<uint64_t, CAUSES> by_cause_ns_{};
};

class TurnWatch {
 public:
  static constexpr uint64_t WORK_NS = 3000;    // a frame: a system call, and the far side's driver within it
  static constexpr size_t LOG_SIZE = 1 << 17;  // about four minutes at 500 slow turns a second
  // What an interrupt may take beyond its handler: the way in and out, the timers' softirq, and in a virtual
  // machine the host's part of it.
  static constexpr uint64_t AFTERMATH_NS = 50'000;

  struct Slow {
    Counter count;
    Counter total_ns;
    Counter max_ns;
    void add(uint64_t length_ns) noexcept {
      ++count;
      total_ns.add(length_ns);
      if (length_ns > max_ns.get()) max_ns.set(length_ns);
    }
  };

  explicit TurnWatch(uint64_t threshold_ns) : threshold_ns_(threshold_ns), limit_ns_(threshold_ns) {
    log_.reserve(LOG_SIZE);
    causes_.reserve(LOG_SIZE);
  }

  // Opened by whoever spins; without it every slow turn is unexplained.
  ThreadEvidence& evidence() noexcept { return evidence_; }
  const ThreadEvidence& evidence() const noexcept { return evidence_; }

  void begin(uint64_t now_ns) noexcept {
    first_ns_ = now_ns;
    delay_.ahead(now_ns);
    forget(now_ns);
  }

  // Called once a turn, with the time just read.
  void turn(uint64_t now_ns) noexcept { pass(now_ns, Place::idle); }

  // What was done since the last reading is over, and this comes next.
  void pass(uint64_t now_ns, Place next) noexcept {
    uint64_t span_ns = now_ns - last_ns_;
    if (span_ns > limit_ns_) [[unlikely]] {
      slow(now_ns);
    } else {
      if (place_ == Place::call) delay_.add(Cause::link, span_ns);
      last_ns_ = now_ns;
    }
    limit_ns_ = threshold_ns_;
    place_ = next;
  }

  // The span since the last reading is of this kind, too.
  void place(Place place) noexcept { place_ = place; }
  bool works() const noexcept { return place_ == Place::work; }

  // Frames are about to be received or sent: what that may rightly take is not slow.
  void work(uint64_t frames) noexcept { limit_ns_ += frames * WORK_NS; }

  // Called after the loop has done something that may rightly take long (start-up, a drain): what happened
  // meanwhile is nobody's.
  void forget(uint64_t now_ns) noexcept {
    last_ns_ = now_ns;
    limit_ns_ = 0;  // the next reading renews the evidence
    is_stale_ = true;
    place_ = Place::idle;
  }

  // One that was seen elsewhere, with its cause.
  void note(Interval turn, Cause cause) noexcept {
    last_ns_ = turn.end_ns;
    record(turn, cause);
  }

  DelayCauses& delay() noexcept { return delay_; }

  const Slow& slow() const noexcept { return all_; }
  const Slow& slow(Cause cause) const noexcept { return by_cause_[static_cast<size_t>(cause)]; }
  uint64_t first_ns() const noexcept { return first_ns_; }
  uint64_t observed_ns() const noexcept { return last_ns_ - first_ns_; }
  uint64_t threshold_ns() const noexcept { return threshold_ns_; }
  const std::vector<Interval>& log() const noexcept { return log_; }     // once the loop has ended
  const std::vector<Cause>& causes() const noexcept { return causes_; }  // of the log's turns

  // Of a turn that was in this place. Off the CPU, or in interrupt handlers for half of it or more: the
  // machine's. An idle turn does nothing that takes long, so it is never the link's or carom's.
  static Cause cause_of(const Evidence& evidence, Place place) noexcept;

 private:
  void slow(uint64_t now_ns) noexcept;
  void record(Interval turn, Cause cause) noexcept;

  // What each turn needs lies together.
  uint64_t threshold_ns_;
  uint64_t limit_ns_;
  uint64_t last_ns_ = 0;
  Place place_ = Place::idle;
  bool is_stale_ = true;
  DelayCauses delay_;
  uint64_t first_ns_ = 0;
  Slow all_;
  std::array<Slow, CAUSES> by_cause_;
  std::vector<Interval> log_;
  std::vector<Cause> causes_;
  ThreadEvidence evidence_;
};

// The largest intervals seen, a fixed number of them, in a heap with the smallest on top.
class LargestIntervals {
 public:
  explicit LargestIntervals(size_t limit) : limit_(limit) { heap_.reserve(limit); }

  void offer(uint64_t start_ns, uint64_t end_ns) noexcept {
    if (heap_.size() == limit_ && end_ns - start_ns <= smallest_ns_) [[likely]]
      return;
    insert({start_ns, end_ns});
  }

  const std::vector<Interval>& intervals() const noexcept { return heap_; }

 private:
  [[gnu::noinline]] void insert(Interval interval) noexcept;

  size_t limit_;
  uint64_t smallest_ns_ = 0;
  std::vector<Interval> heap_;
};

}  // namespace carom
