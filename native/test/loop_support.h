// What the tests of the hot loops share: one responder's and one generator's side, as carom's lab has them.
#pragma once

#include <cstring>

#include "io/packet_io.h"
#include "test/frames.h"

namespace carom::test {

constexpr uint8_t GENERATOR_MAC[6] = {0x02, 0xca, 0x40, 0, 0, 1};
constexpr uint8_t RESPONDER_MAC[6] = {0x02, 0xca, 0x40, 0, 0, 2};
constexpr uint8_t GROUP4_MAC[6] = {0x01, 0x00, 0x5e, 0x01, 0x01, 0x01};
constexpr uint8_t GROUP6_MAC[6] = {0x33, 0x33, 0, 0, 0x01, 0x01};
constexpr uint8_t GENERATOR4[16] = {198, 18, 0, 1};
constexpr uint8_t RESPONDER4[16] = {198, 18, 0, 2};
constexpr uint8_t GROUP4[16] = {239, 1, 1, 1};
constexpr uint8_t GENERATOR6[16] = {0x20, 0x01, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
constexpr uint8_t RESPONDER6[16] = {0x20, 0x01, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2};
constexpr uint8_t GROUP6[16] = {0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1};
constexpr uint16_t TICK_PORT = 8080;
constexpr uint16_t ORDER_PORT = 9999;

inline IoConfig io_config(bool responder, bool ipv6) {
  IoConfig io{};
  memcpy(io.link.mac, responder ? RESPONDER_MAC : GENERATOR_MAC, 6);
  memcpy(io.link.address4, responder ? RESPONDER4 : GENERATOR4, 4);
  memcpy(io.link.address6, responder ? RESPONDER6 : GENERATOR6, 16);
  io.link.has_address4 = true;
  io.link.has_address6 = ipv6;
  io.link.mtu = 1500;
  io.cpu = -1;
  io.ring_size = 256;
  io.local_port = io.send_port = responder ? TICK_PORT : ORDER_PORT;
  io.vlan = -1;
  io.ttl = 16;
  io.receives = true;
  io.timestamps = Provenance::tsc;
  io.stall_threshold_ns = 5000;
  return io;
}

// From the generator's side to the responder's, or the other way; the payload is the caller's.
inline FrameFields fields_between(bool to_responder, bool ipv6, int32_t vlan) {
  FrameFields fields{};
  memcpy(fields.source_mac, to_responder ? GENERATOR_MAC : RESPONDER_MAC, 6);
  memcpy(fields.destination_mac, to_responder ? RESPONDER_MAC : GENERATOR_MAC, 6);
  const uint8_t* generator = ipv6 ? GENERATOR6 : GENERATOR4;
  const uint8_t* responder = ipv6 ? RESPONDER6 : RESPONDER4;
  memcpy(fields.source, to_responder ? generator : responder, 16);
  memcpy(fields.destination, to_responder ? responder : generator, 16);
  fields.source_port = to_responder ? ORDER_PORT : TICK_PORT;
  fields.destination_port = to_responder ? TICK_PORT : ORDER_PORT;
  fields.ipv6 = ipv6;
  fields.vlan = vlan;
  return fields;
}

template <size_t N>
uint64_t total(const std::array<Counter, N>& counters) {
  uint64_t sum = 0;
  for (const Counter& counter : counters) sum += counter.get();
  return sum;
}

}  // namespace carom::test
