// A flood of ticks from one core: sends them out of an interface as BPF live frames, and counts what comes
// back.
//   flood NAMESPACE INTERFACE CPU OBJECT RATE SECONDS GAP_NS < FRAMES
// RATE: ticks a second, on an absolute schedule; 0 for as many as it goes. GAP_NS: times without orders
// longer than this are noted; 0 for none. FRAMES: the table of frames that are sent in turn. Ends by itself,
// or with SIGTERM, and prints as JSON what was sent and what came back, by core.
#include <pthread.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cmath>
#include <ctime>
#include <thread>
#include <vector>

#include "bpf_object.h"
#include "core/thread.h"
#include "flood.h"

namespace {

using namespace bench;
using Counts = std::vector<uint64_t>;  // by core

constexpr uint32_t BATCH = 64;          // frames between two looks at what came back
constexpr uint64_t SETTLE_US = 20'000;  // for what is on its way when the last frame was sent
constexpr uint64_t UNITS = 1024;        // of an interval, in a ns

std::atomic<bool> ended{false};

struct Constants {  // of flood.bpf.c, in its order
  uint32_t interface;
  uint64_t gap_ns;
};

bpf_object* load(const char* file, const Constants& constants) {
  bpf_object* object = open_object(file);
  bpf_map* map = bpf_object__find_map_by_name(object, ".rodata");
  check(map != nullptr, ".rodata");
  size_t size = 0;
  check(bpf_map__initial_value(map, &size) != nullptr && size == sizeof constants, ".rodata");
  check(bpf_map__set_initial_value(map, &constants, sizeof constants) == 0, "set the constants");
  check(bpf_object__load(object) == 0, "load the programs");
  return object;
}

void read_frames(int map) {
  for (uint32_t i = 0; i < FLOOD_FRAMES; i++) {
    uint8_t frame[FLOOD_FRAME_SPACE] = {};
    for (size_t done = 0; done < FLOOD_FRAME_SIZE;) {
      ssize_t got = read(STDIN_FILENO, frame + done, FLOOD_FRAME_SIZE - done);
      check(got > 0, "read the frames");
      done += static_cast<size_t>(got);
    }
    check(bpf_map_update_elem(map, &i, frame, BPF_ANY) == 0, "put a frame into the table");
  }
}

volatile flood_state* map_state(int map) {
  void* memory = mmap(nullptr, sizeof(flood_state), PROT_READ | PROT_WRITE, MAP_SHARED, map, 0);
  check(memory != MAP_FAILED, "map the state");
  return static_cast<volatile flood_state*>(memory);
}

uint64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

// One run, as long as it goes: to begin and to end one takes the kernel some 10 ms. A signal ends it.
void send(int program) {
  uint8_t blank[FLOOD_FRAME_SIZE + 2] = {};  // longer than what is sent
  LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = blank, .data_size_in = sizeof blank, .repeat = INT32_MAX,
              .flags = BPF_F_TEST_XDP_LIVE_FRAMES, .batch_size = BATCH);
  while (!ended.load()) {
    int result = bpf_prog_test_run_opts(program, &options);
    check(result == 0 || errno == EINTR, "BPF_PROG_TEST_RUN with live frames");
  }
}

// Floods from a thread pinned to the core, until the time is over or SIGTERM comes. Returns how long it took,
// from the first frame on, in ns.
uint64_t flood(int program, volatile flood_state* state, int cpu, double seconds) {
  std::atomic<bool> gone{false};
  std::thread sender([&] {
    carom::pin_to_cpu(cpu);
    send(program);
    gone.store(true);
  });
  sigset_t wanted;
  sigemptyset(&wanted);
  sigaddset(&wanted, SIGTERM);
  double whole = 0;
  double part = modf(seconds, &whole);
  timespec time{static_cast<time_t>(whole), static_cast<long>(part * 1e9)};
  sigtimedwait(&wanted, nullptr, &time);
  state->stopped = 1;
  uint64_t end = monotonic_ns();
  ended.store(true);
  while (!gone.load()) {
    pthread_kill(sender.native_handle(), SIGUSR1);
    usleep(1000);
  }
  sender.join();
  return state->first == 0 ? 0 : end - state->first;
}

// SIGTERM is waited for; SIGUSR1 does nothing but end a system call.
void set_signals() {
  struct sigaction nothing {};
  nothing.sa_handler = [](int) {};
  sigaction(SIGUSR1, &nothing, nullptr);
  sigset_t blocked;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, nullptr);
}

Counts counts_of(int map, uint32_t kind) {
  Counts counts(static_cast<size_t>(libbpf_num_possible_cpus()));
  check(bpf_map_lookup_elem(map, &kind, counts.data()) == 0, "read a counter");
  return counts;
}

void print(const char* name, const Counts& counts) {
  printf(",\"%s\":[", name);
  for (size_t cpu = 0; cpu < counts.size(); cpu++)
    printf("%s%llu", cpu == 0 ? "" : ",", static_cast<unsigned long long>(counts[cpu]));
  putchar(']');
}

void print_gaps(int map, uint64_t count) {
  printf(",\"gaps\":[");
  for (uint32_t i = 0; i < count && i < FLOOD_GAPS_MAX; i++) {
    flood_gap gap{};
    check(bpf_map_lookup_elem(map, &i, &gap) == 0, "read a gap");
    printf("%s[%llu,%llu]", i == 0 ? "" : ",", static_cast<unsigned long long>(gap.from),
           static_cast<unsigned long long>(gap.to));
  }
  putchar(']');
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 8) {
    fputs("usage: flood NAMESPACE INTERFACE CPU OBJECT RATE SECONDS GAP_NS < FRAMES\n", stderr);
    return 2;
  }
  die_with_parent();
  set_signals();
  carom::enter_network_namespace(arguments[1]);
  int interface = interface_of(arguments[2]);
  bpf_object* object =
      load(arguments[4], {static_cast<uint32_t>(interface), strtoull(arguments[7], nullptr, 10)});
  read_frames(map_of(object, "frames"));
  volatile flood_state* state = map_state(map_of(object, "state"));
  attach(program_of(object, "count"), interface);
  uint64_t rate = strtoull(arguments[5], nullptr, 10);
  state->interval = rate == 0 ? 0 : 1'000'000'000 * UNITS / rate;
  uint64_t elapsed_ns = flood(program_of(object, "flood"), state, atoi(arguments[3]), atof(arguments[6]));
  usleep(SETTLE_US);
  int counters = map_of(object, "counters");
  printf("{\"sent\":%llu,\"elapsed_ns\":%llu", static_cast<unsigned long long>(state->sent),
         static_cast<unsigned long long>(elapsed_ns));
  print("orders", counts_of(counters, FLOOD_ORDER));
  print("echoes", counts_of(counters, FLOOD_ECHO));
  print("others", counts_of(counters, FLOOD_OTHER));
  print_gaps(map_of(object, "gaps"), state->gaps);
  puts("}");
}
