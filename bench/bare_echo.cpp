// The floor: an AF_XDP socket that sends one frame and spins until it is back, against one that swaps the MAC
// addresses and sends every frame back. No parsing, no checks, no ledger. What carom adds is measured against
// it.
//   bare_echo NEAR_NAMESPACE NEAR_INTERFACE NEAR_CPU FAR_NAMESPACE FAR_INTERFACE FAR_CPU SECONDS
// Prints the round trips in ns as JSON.
#include <atomic>
#include <cstring>
#include <thread>

#include "bare_socket.h"
#include "core/clock.h"
#include "core/thread.h"

namespace {

using namespace bench;

constexpr uint32_t FRAME = 66;  // as long as a tick in UDP over IPv4

std::atomic<bool> stop{false};

void echo(Socket& socket) {
  for (uint32_t index = 0;; index++) {
    const uint8_t* received = socket.wait(index, stop).data;
    if (received == nullptr) return;
    uint8_t* sent = socket.frame(index);
    memcpy(sent, received + 6, 6);
    memcpy(sent + 6, received, 6);
    memcpy(sent + 12, received + 12, FRAME - 12);
    socket.release(index);
    socket.send(index, FRAME);
  }
}

void ping(Socket& socket, double seconds, carom::Histogram& histogram) {
  const carom::Clock& clock = carom::Clock::get();
  uint64_t begin = clock.now_ns();
  uint64_t warm = begin + 200'000'000;
  uint64_t end = warm + static_cast<uint64_t>(seconds * 1e9);
  const uint8_t head[14] = {0x02, 0xca, 0x40, 0, 0, 2,    0x02,
                            0xca, 0x40, 0,    0, 1, 0x88, 0xb5};  // experimental type
  uint64_t now = begin;
  for (uint32_t index = 0; now < end; index++) {
    uint8_t* frame = socket.frame(index);
    memset(frame, 0, FRAME);
    memcpy(frame, head, sizeof head);
    memcpy(frame + 14, &index, 4);
    uint64_t sent = clock.now_ns();
    socket.send(index, FRAME);
    const uint8_t* received = socket.wait(index, stop).data;
    now = clock.now_ns();
    if (received == nullptr || memcmp(received + 14, &index, 4) != 0) fail("the wrong frame came back");
    socket.release(index);
    if (sent > warm) histogram.record(now - sent);
  }
  stop.store(true);
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 8) {
    fputs("usage: bare_echo NAMESPACE INTERFACE CPU NAMESPACE INTERFACE CPU SECONDS\n", stderr);
    return 2;
  }
  die_with_parent();
  carom::Histogram histogram;
  std::atomic<int> open{0};
  auto side = [&](int first, auto role) {
    carom::enter_network_namespace(arguments[first]);
    carom::pin_to_cpu(atoi(arguments[first + 2]));
    Socket socket(arguments[first + 1]);
    open++;
    while (open < 2) {
    }
    role(socket);
  };
  std::thread far([&] { side(4, [](Socket& socket) { echo(socket); }); });
  std::thread near([&] { side(1, [&](Socket& socket) { ping(socket, atof(arguments[7]), histogram); }); });
  near.join();
  far.join();
  print_round_trips(histogram);
}
