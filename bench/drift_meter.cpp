// Reads the drift meter (drift_meter.bpf.c) at an interface: says "attached", and when its input ends, as
// JSON, how many ticks came and the earliest arrival of each whole window.
//   drift_meter NAMESPACE INTERFACE OBJECT PERIOD_NS WINDOW_TICKS
#include "drift_meter.h"

#include <sys/mman.h>

#include <cinttypes>

#include "bpf_object.h"
#include "core/thread.h"

using namespace bench;

int main(int count, char** arguments) {
  if (count != 6) {
    fputs("usage: drift_meter NAMESPACE INTERFACE OBJECT PERIOD_NS WINDOW_TICKS\n", stderr);
    return 2;
  }
  die_with_parent();
  carom::enter_network_namespace(arguments[1]);
  bpf_object* object = open_object(arguments[3]);
  check(bpf_object__load(object) == 0, "load the program");
  size_t page = static_cast<size_t>(getpagesize());
  size_t size = (sizeof(meter_state) + page - 1) / page * page;
  void* memory = mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_SHARED, map_of(object, ".bss"), 0);
  check(memory != MAP_FAILED, "map what is measured");
  auto* state = static_cast<volatile meter_state*>(memory);
  state->period_ns = strtoull(arguments[4], nullptr, 10);
  state->window_ticks = strtoull(arguments[5], nullptr, 10);
  attach(program_of(object, "meter"), interface_of(arguments[2]));
  puts("attached");
  fflush(stdout);
  while (getchar() != EOF) continue;
  uint64_t ticks = state->ticks;
  printf("{\"ticks\":%" PRIu64 ",\"earliest_ns\":[", ticks);
  for (uint64_t window = 0; window < METER_WINDOWS && (window + 1) * state->window_ticks <= ticks; window++)
    printf("%s%lld", window == 0 ? "" : ",", static_cast<long long>(state->earliest_ns[window]));
  puts("]}");
}
