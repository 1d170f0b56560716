// Each delay that was made on purpose gets the name of who made it. What else the machine does meanwhile is
// unknown: a delay that it disturbed may have another name, but never without evidence. Interrupts are said
// never to come; those that come all the same are what nobody can see.
#include <memory>

#include "test/delays.h"

namespace carom::test {
namespace {

class Uninterrupted : public InterruptionLogs {
 public:
  Uninterrupted() : memory_(CPU_SETSIZE) {
    logs_ = memory_.data();
    count_ = CPU_SETSIZE;
  }

 private:
  std::vector<interruption_log> memory_;
};

constexpr size_t DELAYS = 100;

void check(const std::vector<Delay>& delays, const Role& role, Cause wanted) {
  expect_equal(delays.size(), DELAYS, "delays");
  for (const Delay& one : delays) {
    Blame blame = blame_for(role.watch, one.interval);
    expect(blame.length_ns != 0, "each is a slow turn");
    if (blame.cause == wanted) continue;
    // The machine has taken about half of the turn, or more, as far as the thread can know. Whether a thread
    // that sleeps in a call waits for the driver or was stopped by somebody, nobody can say.
    bool may_sleep = wanted == Cause::link && blame.cause == Cause::unexplained;
    expect(may_sleep || blame.cause == Cause::machine, CAUSE_NAMES[static_cast<size_t>(blame.cause)]);
    uint64_t own_ns = one.interval.end_ns - one.interval.start_ns - one.off_ns;
    bool was_stopped = own_ns * 8 < blame.length_ns * 5 || one.off_since_ns * 8 > blame.length_ns * 3;
    expect(was_stopped, "the machine's, without evidence");
  }
}

void own(Chance& chance) {
  auto logs = std::make_shared<const Uninterrupted>();
  auto look = [](const std::vector<Delay>& delays, const Role& role) { check(delays, role, Cause::carom); };
  run_slow_loop(SlowPart::strategy, true, DELAYS, chance.next(), logs, look);
  run_slow_loop(SlowPart::feed, false, DELAYS, chance.next(), logs, look);
}

void links(Chance& chance) {
  auto logs = std::make_shared<const Uninterrupted>();
  auto look = [](const std::vector<Delay>& delays, const Role& role) { check(delays, role, Cause::link); };
  for (SlowPart part : {SlowPart::peek, SlowPart::submit, SlowPart::reserve}) {
    for (bool responder : {false, true}) run_slow_loop(part, responder, DELAYS, chance.next(), logs, look);
  }
}

void blind(Chance& chance) {
  run_slow_loop(SlowPart::strategy, true, DELAYS, chance.next(), nullptr,
                [](const std::vector<Delay>&, const Role& role) {
                  expect_equal(role.watch.slow(Cause::carom).count.get(), 0, "carom's");
                  expect_equal(role.watch.slow(Cause::link).count.get(), 0, "the link's");
                  expect(role.watch.slow(Cause::unexplained).count.get() > 0, "unexplained");
                });
}

void machine(Chance& chance) {
  for (bool works : {false, true}) {
    run_beside_competitor(works, DELAYS, chance.next(), nullptr,
                          [](const std::vector<Delay>& turns, const Role& role) {
                            for (const Delay& one : turns) {
                              Blame blame = blame_for(role.watch, one.interval);
                              bool was_alone = one.off_ns < 5000;  // as nobody took the core from it in turn
                              if (was_alone && blame.length_ns != 0)
                                expect(blame.cause == Cause::machine, "who else's");
                            }
                          });
  }
}

const Tests TESTS{
    {"attribution: a slow strategy and a slow feed are carom's", own},
    {"attribution: slow calls of a backend are the link's", links},
    {"attribution: without interrupts to see, what runs is unexplained", blind},
    {"attribution: another thread on the core is the machine's", machine},
};

}  // namespace
}  // namespace carom::test
