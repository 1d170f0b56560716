// Counts what arrives at an interface: says "attached", and then, for each line that it reads, what there was
// so far, as JSON. Ends with its input.
//   receiver NAMESPACE INTERFACE OBJECT
#include <sys/mman.h>

#include <ctime>

#include "bpf_object.h"
#include "core/thread.h"
#include "receiver.h"

using namespace bench;

int main(int count, char** arguments) {
  if (count != 4) {
    fputs("usage: receiver NAMESPACE INTERFACE OBJECT\n", stderr);
    return 2;
  }
  die_with_parent();
  carom::enter_network_namespace(arguments[1]);
  bpf_object* object = open_object(arguments[3]);
  check(bpf_object__load(object) == 0, "load the program");
  size_t page = static_cast<size_t>(getpagesize());
  void* memory = mmap(nullptr, page, PROT_READ, MAP_SHARED, map_of(object, ".bss"), 0);
  check(memory != MAP_FAILED, "map the counters");
  attach(program_of(object, "receive"), interface_of(arguments[2]));
  puts("attached");
  fflush(stdout);
  auto* counts = static_cast<volatile receiver_counts*>(memory);
  while (int character = getchar()) {
    if (character == EOF) return 0;
    if (character != '\n') continue;
    timespec now{};
    clock_gettime(CLOCK_MONOTONIC, &now);
    printf("{\"time_ns\":%lld,\"ticks\":%llu,\"newer\":%llu,\"others\":%llu}\n",
           static_cast<long long>(now.tv_sec) * 1'000'000'000 + now.tv_nsec, counts->ticks, counts->newer,
           counts->others);
    fflush(stdout);
  }
}
