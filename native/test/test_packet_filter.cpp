// The filter of the trace: what it takes is what libpcap takes, on frames good and bad, whole and cut off.
#include <sys/types.h>
// Needs the types above.
#include <pcap/pcap.h>

#include <memory>
#include <string>

#include "core/error.h"
#include "filter/packet_filter.h"
#include "test/loop_support.h"

namespace carom::test {
namespace {

constexpr uint32_t HEAD = 128;  // as much as the trace keeps
constexpr int FRAMES = 20'000;

// The reference: libpcap with a handle of its own.
class Pcap {
 public:
  explicit Pcap(const char* expression) : handle_(pcap_open_dead(DLT_EN10MB, 65535), pcap_close) {
    expect(pcap_compile(handle_.get(), &program_, expression, 1, PCAP_NETMASK_UNKNOWN) == 0, expression);
  }
  ~Pcap() { pcap_freecode(&program_); }
  Pcap(const Pcap&) = delete;
  Pcap& operator=(const Pcap&) = delete;

  bool matches(const uint8_t* frame, uint32_t captured, uint32_t length) const {
    const pcap_pkthdr header{{0, 0}, captured, length};
    return pcap_offline_filter(&program_, &header, frame) != 0;
  }

 private:
  std::unique_ptr<pcap_t, decltype(&pcap_close)> handle_;
  bpf_program program_{};
};

uint32_t any_frame(Chance& chance, uint8_t* frame) {
  uint8_t payload[200];
  FrameFields fields = fields_between(chance.one_in(2), chance.one_in(2), chance.one_in(4) ? 100 : -1);
  fields.source[3] = static_cast<uint8_t>(chance.below(4));
  fields.payload = payload;
  fields.payload_length = chance.below(sizeof payload);
  chance.fill(payload, fields.payload_length);
  return build(fields, frame);
}

void as_libpcap(Chance& chance) {
  uint8_t frames[2][MAX_FRAME];
  for (const char* expression :
       {"udp", "ip", "ip6", "vlan 100", "udp dst port 8080", "src host 198.18.0.1", "src host 2001:2::1",
        "ether src 02:ca:40:00:00:01", "len > 120", "not udp", "udp[8:4] > 0x80000000",
        "src host 198.18.0.1 and udp dst port 8080 or ip6 and not tcp", "ip[6:2] & 0x1fff != 0"}) {
    const PacketFilter filter(expression);
    const Pcap reference(expression);
    uint32_t taken = 0;
    uint32_t lengths[2] = {any_frame(chance, frames[0]), any_frame(chance, frames[1])};
    for (int i = 0; i < FRAMES; i++) {
      if (chance.one_in(2)) {
        lengths[0] = any_frame(chance, frames[0]);
      } else {
        lengths[0] = mutate(chance, frames[0], lengths[0], frames[1], lengths[1]);
      }
      uint32_t captured = std::min(lengths[0], chance.one_in(2) ? HEAD : chance.below(HEAD));
      bool is_taken = filter.matches(frames[0], captured, lengths[0]);
      if (is_taken != reference.matches(frames[0], captured, lengths[0]))
        fail(std::string(expression) + " on " + hex_dump(frames[0], captured), __FILE__, __LINE__);
      taken += is_taken;
    }
    expect(taken > 0 && taken < FRAMES, expression);
  }
}

void none(Chance& chance) {
  const PacketFilter filter("");
  uint8_t frame[MAX_FRAME];
  chance.fill(frame, 64);
  expect(filter.matches(frame, 64, 64) && filter.matches(frame, 0, 0), "no expression takes every frame");
}

void bad(Chance&) {
  for (const char* expression : {"udp and", "port http-nonsense", "(", "ip[70000:3] = 1", "\n\x1b["}) {
    try {
      PacketFilter filter(expression);
      fail(std::string("taken: ") + expression, __FILE__, __LINE__);
    } catch (const Error& error) {
      expect(error.code == ErrorCode::usage && !error.detail.empty(), "libpcap's message");
      expect(error.operation.find("filter") != std::string::npos, "what was tried");
    }
  }
}

const Tests TESTS{
    {"packet filter: takes what libpcap takes", as_libpcap},
    {"packet filter: without an expression every frame", none},
    {"packet filter: what libpcap does not take is refused", bad},
};

}  // namespace
}  // namespace carom::test
