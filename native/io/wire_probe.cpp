#include "io/wire_probe.h"

#include <linux/if_packet.h>
#include <linux/net_tstamp.h>
#include <poll.h>
#include <sys/random.h>

#include <cstring>

#include "core/clock.h"
#include "core/thread.h"
#include "frame/headers.h"

namespace carom {
namespace {

constexpr uint16_t ETHERTYPE_EXPERIMENT = 0x88b5;  // IEEE 802: local experimental ethertype 1
constexpr size_t SERIES_AT = 14;
constexpr size_t NUMBER_AT = SERIES_AT + sizeof(uint64_t);
constexpr uint64_t WAIT_NS = 20'000'000;
constexpr int POLL_MS = 1;

std::string operation_for(const Link& link, const char* what) {
  return operation_text("calibrate", link, what);
}

Fd open_port(const Link& link, bool sends) {
  int interface = interface_index("calibrate", link);
  Fd fd(socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd.open()) throw system_error(operation_for(link, "open a packet socket"), errno);
  int flags = SOF_TIMESTAMPING_RAW_HARDWARE;
  flags |= sends ? SOF_TIMESTAMPING_TX_HARDWARE | SOF_TIMESTAMPING_OPT_ID | SOF_TIMESTAMPING_OPT_TSONLY
                 : SOF_TIMESTAMPING_RX_HARDWARE;
  set_option(fd.get(), SOL_SOCKET, SO_TIMESTAMPING, flags, operation_for(link, "SO_TIMESTAMPING"));
  sockaddr_ll address{};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(sends ? 0 : ETHERTYPE_EXPERIMENT);
  address.sll_ifindex = interface;
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0)
    throw system_error(operation_for(link, "bind"), errno);
  return fd;
}

template <class Made, class... Arguments>
std::unique_ptr<Made> made_in_namespace(const Link& link, const Arguments&... arguments) {
  std::unique_ptr<Made> made;
  in_network_namespace(link.network_namespace, [&] { made = std::make_unique<Made>(link, arguments...); });
  return made;
}

}  // namespace

WireProbe::Port::Port(const Link& given, bool sends)
    : link(given), timestamping(given), fd(open_port(given, sends)) {}

WireProbe::WireProbe(const Link& from, const Link& to)
    : from_(made_in_namespace<Port>(from, true)), to_(made_in_namespace<Port>(to, false)) {
  if (getrandom(&series_, sizeof series_, 0) != sizeof series_)
    throw system_error(operation_for(from, "draw a number"), errno);
  memcpy(frame_.data(), to.mac, 6);
  memcpy(frame_.data() + 6, from.mac, 6);
  store_be16(frame_.data() + 12, ETHERTYPE_EXPERIMENT);
  memcpy(frame_.data() + SERIES_AT, &series_, sizeof series_);
}

WireProbe::Stamps WireProbe::probe() {
  memcpy(frame_.data() + NUMBER_AT, &number_, sizeof number_);
  if (send(from_->fd.get(), frame_.data(), frame_.size(), 0) < 0)
    throw system_error(operation_for(from_->link, "send"), errno);
  Stamps found;
  const Clock& clock = Clock::get();
  for (uint64_t end_ns = clock.now_ns() + WAIT_NS; clock.now_ns() < end_ns;) {
    std::array<TxStamp, 8> sent;
    uint32_t count = stamps_.read(from_->fd.get(), sent, Provenance::hardware);
    for (uint32_t i = 0; i < count; i++) {
      if (sent[i].index == number_) found.sent_ns = sent[i].stamp_ns;
    }
    if (found.arrived_ns == 0) found.arrived_ns = arrival();
    if (found.sent_ns != 0 && found.arrived_ns != 0) break;
    pollfd waiting[] = {{from_->fd.get(), 0, 0}, {to_->fd.get(), POLLIN, 0}};
    poll(waiting, 2, POLL_MS);
  }
  number_++;
  return found;
}

// Of the frame that is on its way; earlier ones that come late are passed over.
uint64_t WireProbe::arrival() noexcept {
  std::array<uint8_t, FRAME_BYTES> bytes;
  while (true) {
    alignas(cmsghdr) char control[256];
    iovec vector{bytes.data(), bytes.size()};
    msghdr message{};
    message.msg_iov = &vector;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t length = recvmsg(to_->fd.get(), &message, 0);
    if (length < 0) return 0;
    bool is_ours = static_cast<size_t>(length) >= NUMBER_AT + sizeof number_ &&
                   memcmp(bytes.data() + SERIES_AT, &series_, sizeof series_) == 0 &&
                   memcmp(bytes.data() + NUMBER_AT, &number_, sizeof number_) == 0;
    if (is_ours) return stamp_of(message, Provenance::hardware);
  }
}

}  // namespace carom
