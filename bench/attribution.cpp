// Whose fault a delay is, held against those who made it: the loops of carom with a strategy, a feed or a
// backend that is slow on purpose (native/test/delays.h), beside another thread on the same core, and doing
// nothing. Each maker keeps a record of its own of when it delayed.
//   attribution [DELAYS [SEED]]
// Prints JSON: for each kind how many delays got which name.
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>

#include "io/interruptions.h"
#include "test/delays.h"

namespace carom::test {

void fail(const std::string& what, const char* file, int line) {
  fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
  abort();
}

}  // namespace carom::test

namespace {

using namespace carom;
using namespace carom::test;

struct Names {
  std::array<size_t, CAUSES> by_cause{};
  size_t unseen = 0;    // delays that are no slow turn
  size_t stopped = 0;   // those that the machine stopped for as long as they lasted by themselves: nobody's
  size_t baseless = 0;  // called the machine's, although it took less than half of the turn

  void add(const Delay& one, const TurnWatch& watch) {
    Blame blame = blame_for(watch, one.interval);
    uint64_t own_ns = one.interval.end_ns - one.interval.start_ns - one.off_ns;
    if (blame.length_ns == 0) {
      unseen++;
    } else if (blame.cause == Cause::machine && own_ns * 2 < blame.length_ns) {
      stopped++;
    } else {
      baseless += blame.cause == Cause::machine;
      by_cause[static_cast<size_t>(blame.cause)]++;
    }
  }

  void print(const char* kind) const {
    printf("\"%s\":{", kind);
    for (size_t i = 0; i < CAUSES; i++) printf("\"%s\":%zu,", CAUSE_NAMES[i], by_cause[i]);
    printf("\"unseen\":%zu,\"stopped\":%zu,\"baseless\":%zu},", unseen, stopped, baseless);
  }
};

// A loop that finds nothing to do.
void print_idle(std::shared_ptr<const InterruptionLogs> logs, unsigned seconds) {
  DelayMaker none(1, 1);
  maker = &none;
  slow_part = SlowPart::none;
  ResponderRole role(responder_config(false));
  SlowIo io(role, false);
  auto loop = std::make_unique<RespondLoop<SlowIo, STRATEGY_COUNT>>(role, io);
  std::thread ender([&] {
    sleep(seconds);
    role.stop();
  });
  run_role(role, std::move(logs), [&] { loop->run(); });
  ender.join();
  printf("\"idle\":{");
  for (size_t i = 0; i < CAUSES; i++)
    printf("\"%s\":%llu,", CAUSE_NAMES[i],
           static_cast<unsigned long long>(role.watch.slow(static_cast<Cause>(i)).count.get()));
}

}  // namespace

int main(int count, char** arguments) {
  size_t wanted = count > 1 ? strtoull(arguments[1], nullptr, 10) : 1000;
  uint64_t seed = count > 2 ? strtoull(arguments[2], nullptr, 10) : 1;
  std::string why_not;
  std::shared_ptr<const InterruptionLogs> logs = interruption_logs(why_not);
  printf("{");
  auto look_into = [](Names& names) {
    return [&names](const std::vector<Delay>& delays, const Role& role) {
      for (const Delay& one : delays) names.add(one, role.watch);
    };
  };
  Names own;
  run_slow_loop(SlowPart::strategy, true, wanted / 2, seed, logs, look_into(own));
  run_slow_loop(SlowPart::feed, false, wanted - wanted / 2, seed + 1, logs, look_into(own));
  own.print("carom");
  Names link;
  constexpr SlowPart CALLS[] = {SlowPart::peek, SlowPart::submit, SlowPart::reserve};
  size_t left = wanted;
  for (size_t i = 0; i < 6; i++) {
    size_t some = left / (6 - i);
    left -= some;
    run_slow_loop(CALLS[i / 2], i % 2 == 0, some, seed + 2 + i, logs, look_into(link));
  }
  link.print("link");
  Names machine;
  for (bool works : {false, true}) {
    run_beside_competitor(works, works ? wanted - wanted / 2 : wanted / 2, seed + 10, logs,
                          [&](const std::vector<Delay>& turns, const Role& role) {
                            for (const Delay& one : turns) {
                              Blame blame = blame_for(role.watch, one.interval);
                              if (blame.length_ns == 0) {
                                machine.unseen++;
                              } else if (one.off_ns > 5000 && blame.cause != Cause::machine) {
                                machine.stopped++;  // the loop ran in between
                              } else {
                                machine.by_cause[static_cast<size_t>(blame.cause)]++;
                              }
                            }
                          });
  }
  machine.print("machine");
  print_idle(logs, 5);
  printf("\"seconds\":5},\"interrupts\":\"%s\"}\n", logs ? "seen" : why_not.c_str());
  return 0;
}
