#include "core/turn_watch.h"

#include <algorithm>
#include <utility>

#include "core/clock.h"

namespace carom {
namespace {

bool longer(const Interval& a, const Interval& b) { return a.end_ns - a.start_ns > b.end_ns - b.start_ns; }

}  // namespace

Cause TurnWatch::cause_of(const Evidence& evidence, Place place) noexcept {
  const Interruptions& interrupts = evidence.interruptions;
  uint64_t length_ns = evidence.length_ns;
  // A thread that sleeps in a call waits for the driver, or somebody has stopped it: nobody can say.
  uint64_t slept_ns = place == Place::call ? evidence.slept_ns : 0;
  // While the thread was off the CPU for long, its core may have handled interrupts, too: they count once.
  uint64_t handled_ns = evidence.off_ns * 4 < length_ns ? interrupts.ns : 0;
  uint64_t machine_ns = std::min(length_ns, evidence.off_ns - slept_ns + handled_ns);
  if (machine_ns >= length_ns - machine_ns) return Cause::machine;
  if (2 * slept_ns >= length_ns) return Cause::unexplained;
  uint64_t aftermath_ns = interrupts.count * AFTERMATH_NS;
  uint64_t rest_ns = length_ns - machine_ns;
  bool is_interrupted = interrupts.device || aftermath_ns >= rest_ns;
  if (place == Place::idle)
    return interrupts.count != 0 && is_interrupted ? Cause::machine : Cause::unexplained;
  if (!interrupts.known) return Cause::unexplained;
  // What an interrupt can't have taken has to be most of it.
  if (interrupts.count != 0 && (is_interrupted || 2 * (rest_ns - aftermath_ns) < length_ns))
    return Cause::unexplained;
  return place == Place::call ? Cause::link : Cause::carom;
}

[[gnu::noinline, gnu::cold]] void TurnWatch::slow(uint64_t now_ns) noexcept {
  Interval turn{last_ns_, now_ns};
  last_ns_ = now_ns;
  bool is_stale = std::exchange(is_stale_, false);
  if (!evidence_.is_open()) {
    if (!is_stale || turn.end_ns - turn.start_ns > threshold_ns_) record(turn, Cause::unexplained);
    return;
  }
  if (is_stale) {
    evidence_.renew();
    if (turn.end_ns - turn.start_ns > threshold_ns_) record(turn, Cause::unexplained);
  } else {
    Evidence evidence = evidence_.ask(turn.end_ns - turn.start_ns);
    turn.end_ns = turn.start_ns + evidence.length_ns;
    record(turn, cause_of(evidence, place_));
  }
  last_ns_ = Clock::get().now_ns();  // asking took time, too
}

void TurnWatch::record(Interval turn, Cause cause) noexcept {
  uint64_t length_ns = turn.end_ns - turn.start_ns;
  all_.add(length_ns);
  by_cause_[static_cast<size_t>(cause)].add(length_ns);
  delay_.add(cause, length_ns);
  if (log_.size() == LOG_SIZE) return;
  log_.push_back(turn);  // reserved: does not allocate
  causes_.push_back(cause);
}

void LargestIntervals::insert(Interval interval) noexcept {
  if (heap_.size() == limit_) {
    std::pop_heap(heap_.begin(), heap_.end(), longer);
    heap_.back() = interval;
  } else {
    heap_.push_back(interval);
  }
  std::push_heap(heap_.begin(), heap_.end(), longer);
  smallest_ns_ = heap_.front().end_ns - heap_.front().start_ns;
}

}  // namespace carom
