// The floor of pacing: an AF_XDP socket that spins until the time of each frame and sends it, one at a time.
// No content, no ledger, no orders. What carom adds is measured against it.
//   spin_send NAMESPACE INTERFACE CPU FIRST_TIMESTAMP < SCHEDULE
// SCHEDULE: a whole frame of 66 bytes, which ends in a timestamp, and then planned times as 64-bit ns from
// the start. Each frame gets FIRST_TIMESTAMP and its planned time. Prints as JSON how many were sent, and how
// far the kernel's clock (CLOCK_MONOTONIC) ran ahead of the TSC meanwhile.
#include <unistd.h>

#include <cstring>
#include <vector>

#include "bare_socket.h"
#include "core/clock.h"
#include "core/thread.h"

namespace {

using namespace bench;

constexpr size_t FRAME = 66;
constexpr size_t TIMESTAMP = FRAME - 8;
constexpr uint64_t START_DELAY_NS = 1'000'000;

std::vector<uint8_t> read_all() {
  std::vector<uint8_t> bytes;
  size_t used = 0;
  for (ssize_t got = 1; got > 0; used += static_cast<size_t>(got)) {
    bytes.resize(used + (size_t{1} << 20));
    got = read(STDIN_FILENO, bytes.data() + used, bytes.size() - used);
    check(got >= 0, "read the schedule");
  }
  bytes.resize(used);
  return bytes;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 5) {
    fputs("usage: spin_send NAMESPACE INTERFACE CPU FIRST_TIMESTAMP < SCHEDULE\n", stderr);
    return 2;
  }
  die_with_parent();
  std::vector<uint8_t> input = read_all();
  if (input.size() < FRAME) fail("there is no frame");
  std::vector<uint64_t> planned((input.size() - FRAME) / 8);
  memcpy(planned.data(), input.data() + FRAME, planned.size() * 8);
  const uint64_t first_timestamp = strtoull(arguments[4], nullptr, 10);
  carom::enter_network_namespace(arguments[1]);
  carom::pin_to_cpu(atoi(arguments[3]));
  Socket socket(arguments[2]);
  for (uint32_t index = 0; index < RING; index++) memcpy(socket.frame(index), input.data(), FRAME);
  const carom::Clock& clock = carom::Clock::get();
  int64_t offset_before = clock.offset_to(CLOCK_MONOTONIC);
  uint64_t start = clock.now_ns() + START_DELAY_NS;
  for (uint32_t index = 0; index < planned.size(); index++) {
    uint64_t timestamp = first_timestamp + planned[index];
    memcpy(socket.frame(index) + TIMESTAMP, &timestamp, sizeof timestamp);
    uint64_t wanted = start + planned[index];
    while (clock.now_ns() < wanted) {
    }
    socket.send(index, FRAME);
  }
  int64_t ahead = clock.offset_to(CLOCK_MONOTONIC) - offset_before;
  printf("{\"sent\":%zu,\"elapsed_ns\":%llu,\"ahead_ns\":%lld}\n", planned.size(),
         static_cast<unsigned long long>(clock.now_ns() - start), static_cast<long long>(ahead));
}
