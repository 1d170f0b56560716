// The measuring side of the round trip to the kernel: an AF_XDP socket that sends one tick and spins until a
// frame is back. Every tick has a timestamp of its own, and every frame that comes back must be the one that
// was sent, or the order for it.
//   tick_ping NAMESPACE INTERFACE CPU SECONDS echo|order < FRAME
// FRAME: one tick in UDP over IPv4, as it crosses the wire. Prints the round trips in ns as JSON.
#include <unistd.h>

#include <atomic>
#include <cstring>

#include "bare_socket.h"
#include "core/clock.h"
#include "core/thread.h"
#include "frame/checksum.h"
#include "order/native_order.h"

namespace {

using namespace bench;

constexpr uint32_t PAYLOAD = 14 + 20 + 8;  // Ethernet, IPv4, UDP
constexpr uint32_t UDP_CHECKSUM = PAYLOAD - 2;
constexpr uint32_t TIMESTAMP = PAYLOAD + offsetof(market_data, timestamp);
constexpr uint32_t TICK_FRAME = PAYLOAD + MARKET_DATA_SIZE;
constexpr uint32_t ORDER_FRAME = PAYLOAD + TRADING_ORDER_SIZE;
constexpr uint64_t FIRST_TIMESTAMP = 1'700'000'000'000'000'000;
constexpr uint64_t WARM_UP_NS = 200'000'000;
constexpr unsigned OVERTIME_S = 2;

std::atomic<bool> late{false};  // nothing came back

// A tick whose timestamp changes; its checksum follows it (RFC 1624).
class TickFrame {
 public:
  TickFrame() {
    check(read(STDIN_FILENO, bytes_, sizeof bytes_) == sizeof bytes_, "read the tick");
    uint64_t timestamp;
    uint16_t checksum;
    memcpy(&timestamp, bytes_ + TIMESTAMP, 8);
    memcpy(&checksum, bytes_ + UDP_CHECKSUM, 2);
    uint16_t of_timestamp = carom::checksum_fold(timestamp);
    uint64_t rest = static_cast<uint16_t>(~checksum);
    rest_ = rest + static_cast<uint16_t>(~of_timestamp);
  }

  void write(uint8_t* frame, uint64_t timestamp) const {
    uint64_t sum = carom::checksum_add_word(rest_, timestamp);
    uint16_t checksum = static_cast<uint16_t>(~carom::checksum_fold(sum));
    if (checksum == 0) checksum = 0xffff;
    memcpy(frame, bytes_, TICK_FRAME);
    memcpy(frame + TIMESTAMP, &timestamp, 8);
    memcpy(frame + UDP_CHECKSUM, &checksum, 2);
  }

 private:
  uint8_t bytes_[TICK_FRAME];
  uint64_t rest_;  // the sum without the timestamp
};

bool is_order_for(const Received& received, uint64_t timestamp) {
  char id[16];
  carom::write_hex(id, timestamp);
  return received.length == ORDER_FRAME &&
         memcmp(received.data + PAYLOAD + offsetof(trading_order, cl_ord_id), id, sizeof id) == 0;
}

// What was sent, the addresses in front apart.
bool is_echo_of(const Received& received, const uint8_t* sent) {
  return received.length == TICK_FRAME && memcmp(received.data, sent + 6, 6) == 0 &&
         memcmp(received.data + 12, sent + 12, TICK_FRAME - 12) == 0;
}

void ping(Socket& socket, const TickFrame& tick, double seconds, bool wants_order,
          carom::Histogram& histogram) {
  const carom::Clock& clock = carom::Clock::get();
  uint64_t warm = clock.now_ns() + WARM_UP_NS;
  uint64_t end = warm + static_cast<uint64_t>(seconds * 1e9);
  uint64_t now = 0;
  for (uint32_t index = 0; now < end; index++) {
    uint8_t* frame = socket.frame(index);
    uint64_t timestamp = FIRST_TIMESTAMP + index;
    tick.write(frame, timestamp);
    uint64_t sent = clock.now_ns();
    socket.send(index, TICK_FRAME);
    Received received = socket.wait(index, late);
    now = clock.now_ns();
    bool right = received.data != nullptr &&
                 (wants_order ? is_order_for(received, timestamp) : is_echo_of(received, frame));
    if (!right) {
      const char* what = received.data == nullptr ? "nothing" : "the wrong frame";
      fprintf(stderr, "tick %u: %s came back, %u bytes\n", index, what, received.length);
      exit(3);
    }
    socket.release(index);
    if (sent > warm) histogram.record(now - sent);
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 6) {
    fputs("usage: tick_ping NAMESPACE INTERFACE CPU SECONDS echo|order < FRAME\n", stderr);
    return 2;
  }
  die_with_parent();
  carom::enter_network_namespace(arguments[1]);
  carom::pin_to_cpu(atoi(arguments[3]));
  double seconds = atof(arguments[4]);
  signal(SIGALRM, [](int) { late.store(true); });
  alarm(static_cast<unsigned>(seconds) + OVERTIME_S);
  TickFrame tick;
  Socket socket(arguments[2]);
  carom::Histogram histogram;
  ping(socket, tick, seconds, strcmp(arguments[5], "order") == 0, histogram);
  print_round_trips(histogram);
}
