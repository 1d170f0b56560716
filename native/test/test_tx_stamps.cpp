// Stamps of sent frames, which the kernel numbers: of a socket on the loopback interface, which stamps by the
// kernel's clock what it takes.
#include <arpa/inet.h>
#include <poll.h>

#include <array>
#include <vector>

#include "io/timestamping.h"
#include "test/test.h"

namespace carom::test {
namespace {

constexpr int WAIT_MS = 10'000;  // far longer than it takes

struct Sender {
  Sender() : fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    expect(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0, "bind");
    expect(getsockname(fd.get(), reinterpret_cast<sockaddr*>(&address), &size) == 0, "its port");
    expect(connect(fd.get(), reinterpret_cast<sockaddr*>(&address), size) == 0, "to itself");
    IoConfig config{};
    config.timestamps = Provenance::kernel;
    config.tx_stamps = true;
    request_timestamps(fd.get(), config, "the test");
  }

  void send(int count) {
    for (int i = 0; i < count; i++) expect_equal(::send(fd.get(), "x", 1, 0), ssize_t{1}, "sent");
  }

  // The frames of so many stamps, in the order in which they are told.
  std::vector<uint32_t> take(size_t count) {
    std::vector<uint32_t> frames;
    std::array<TxStamp, 3> some;  // fewer than there are
    while (frames.size() < count) {
      uint32_t found = reader.read(fd.get(), some, Provenance::kernel);
      for (uint32_t i = 0; i < found; i++) {
        frames.push_back(some[i].index);
        expect(some[i].stamp_ns != 0, "a time");
      }
      pollfd waiting{fd.get(), 0, 0};
      if (found == 0) expect(poll(&waiting, 1, WAIT_MS) == 1, "there is one more");
    }
    expect_equal(reader.read(fd.get(), some, Provenance::kernel), 0U, "no more");
    return frames;
  }

  Fd fd;
  TxStampReader reader;
};

void numbered(Chance&) {
  Sender sender;
  sender.send(5);
  expect(sender.take(5) == std::vector<uint32_t>{0, 1, 2, 3, 4}, "as they were sent");
}

// What was sent before is told all the same, and what comes after begins with the number that is given.
void restarted(Chance&) {
  Sender sender;
  sender.send(5);  // on the loopback a stamp is there when the call returns
  sender.reader.restart(sender.fd.get(), 1000, Provenance::kernel);
  sender.send(2);
  expect(sender.take(7) == std::vector<uint32_t>{0, 1, 2, 3, 4, 1000, 1001}, "by their own numbers");
  sender.reader.restart(sender.fd.get(), UINT32_MAX, Provenance::kernel);
  sender.send(2);
  expect(sender.take(2) == std::vector<uint32_t>{UINT32_MAX, 0}, "and they wrap");
}

const Tests TESTS{
    {"tx stamps: numbered as they were sent", numbered},
    {"tx stamps: numbered anew after a send that failed", restarted},
};

}  // namespace
}  // namespace carom::test
