// What must come back from a responder, worked out from a frame's bytes; and frames of ticks, to make it
// answer.
#pragma once

#include <algorithm>
#include <array>
#include <cinttypes>
#include <cstdio>
#include <vector>

#include "loop/respond.h"
#include "strategy/runner.h"
#include "test/loop_support.h"
#include "test/memory_io.h"
#include "test/strategy_model.h"

namespace carom::test {

inline Group group_of(const uint8_t* address, bool ipv6) {
  Group group{ipv6, {}};
  memcpy(group.address, address, 16);
  return group;
}

inline ResponderConfig responder_config(bool ipv6) {
  ResponderConfig config{};
  config.io = io_config(true, ipv6);
  config.strategy = {STRATEGY_threshold, {10000, 100, 1, 0}, {}, 0};
  config.response.port = ORDER_PORT;
  config.io.groups = {group_of(GROUP4, false)};
  return config;
}

// What a responder remembers from frame to frame.
struct ResponderModel {
  explicit ResponderModel(const ResponderConfig& config) : strategy(config.strategy), limit(config.limit) {}
  StrategyModel strategy;
  answer_limit limit;
  LimitModel limited;
};

// For one frame.
struct Expected {
  uint64_t ticks = 0;
  uint64_t limited = 0;
  uint64_t over_limit = 0;
  bool for_us = false;
  bool partial = false;
  std::vector<std::array<uint8_t, 256>> orders;  // whole frames, but for the checksums
  std::vector<uint32_t> lengths;
};

// Whether a good datagram is for this responder.
inline bool wanted(const uint8_t* frame, const Reading& reading, const IoConfig& io) {
  if (be16(frame + reading.udp + 2) != io.local_port) return false;
  size_t size = reading.ipv6 ? 16 : 4;
  const uint8_t* to = frame + reading.ip + (reading.ipv6 ? 24 : 16);
  if (reading.ipv6 && !io.link.has_address6) return false;
  bool own_mac = memcmp(frame, RESPONDER_MAC, 6) == 0;
  if (memcmp(to, reading.ipv6 ? RESPONDER6 : RESPONDER4, size) == 0) return own_mac;
  bool joined = std::any_of(io.groups.begin(), io.groups.end(), [&](const Group& group) {
    return group.ipv6 == reading.ipv6 && memcmp(to, group.address, size) == 0;
  });
  if (!joined) return false;
  const uint8_t mac4[6] = {1, 0, 0x5e, static_cast<uint8_t>(to[1] & 0x7f), to[2], to[3]};  // RFC 1112, 6.4
  const uint8_t mac6[6] = {0x33, 0x33, to[12], to[13], to[14], to[15]};                    // RFC 2464, 7
  return own_mac || memcmp(frame, reading.ipv6 ? mac6 : mac4, 6) == 0;
}

inline answer_source source_of(const uint8_t* frame, const Reading& reading) {
  answer_source source{{0, reading.ipv6 ? 0 : UINT64_MAX}};
  memcpy(source.words, frame + reading.ip + (reading.ipv6 ? 8 : 12), reading.ipv6 ? 16 : 4);
  return source;
}

inline Expected expectation(const Frame& in, const ResponderConfig& config, uint64_t now_ns,
                            ResponderModel& model) {
  Expected expected;
  Reading reading = read_frame(in.data, in.length, {config.io.vlan, !in.checksums_verified});
  if (reading.defects != 0 || !wanted(in.data, reading, config.io)) return expected;
  expected.for_us = true;
  expected.ticks = reading.payload_length() / 24;
  expected.partial = reading.payload_length() % 24 != 0;
  FrameFields fields = fields_between(false, reading.ipv6, config.io.vlan);
  memcpy(fields.destination_mac, in.data + 6, 6);
  memcpy(fields.destination, in.data + reading.ip + (reading.ipv6 ? 8 : 12), reading.ipv6 ? 16 : 4);
  if (config.has_response_address) {
    fields = fields_between(false, config.response_ipv6, config.io.vlan);
    memcpy(fields.destination_mac, config.response.mac, 6);
    memcpy(fields.destination, config.response.address, 16);
  }
  fields.destination_port = config.response.port;
  fields.ttl = config.io.ttl;
  fields.dscp = config.io.dscp;
  uint8_t order[TRADING_ORDER_SIZE];
  fields.payload = order;
  fields.payload_length = sizeof order;
  for (uint64_t i = 0; i < expected.ticks; i++) {
    Tick tick = Tick::read(in.data + reading.payload() + 24 * i);
    Decision decision = model.strategy.decide(tick);
    expected.over_limit += decision.why == WHY_OVER_LIMIT;
    if (!decision.order) continue;
    if (!model.limited.allowed(source_of(in.data, reading), model.limit, now_ns)) {
      expected.limited++;
      continue;
    }
    memcpy(order, &tick.symbol, 8);
    memcpy(order + 8, &decision.price, 4);
    memcpy(order + 12, &decision.quantity, 4);
    order[16] = decision.side;
    memcpy(order + 17, &now_ns, 8);
    char id[17];
    snprintf(id, sizeof id, "%016" PRIx64, uint64_t{tick.timestamp});
    memcpy(order + 25, id, 16);
    uint8_t* frame = expected.orders.emplace_back().data();
    expected.lengths.push_back(build(fields, frame));
    // "Don't fragment" (RFC 6864, 4.1) is the responder's choice.
    if (!fields.ipv6) put_be16(frame + (config.io.vlan < 0 ? 20 : 24), 0x4000);
    repair(frame, expected.lengths.back());
  }
  return expected;
}

// With a model that knows nothing yet.
inline Expected expectation(const Frame& in, const ResponderConfig& config, uint64_t now_ns) {
  ResponderModel model(config);
  return expectation(in, config, now_ns, model);
}

// A frame of ticks as a generator sends it, or nearly so.
inline uint32_t tick_frame(Chance& chance, const ResponderConfig& config, uint8_t* frame) {
  uint8_t payload[1464];
  FrameFields fields = fields_between(true, chance.one_in(4), config.io.vlan);
  uint32_t where = chance.below(8);
  if (where < 4) {  // to a group: the right one, or another
    memcpy(fields.destination, fields.ipv6 ? GROUP6 : GROUP4, 16);
    memcpy(fields.destination_mac, fields.ipv6 ? GROUP6_MAC : GROUP4_MAC, 6);
    if (where == 0) {
      fields.destination[3] ^= 2;
      if (chance.one_in(2)) fields.destination_mac[5] ^= 2;
    }
  }
  if (where == 5) fields.destination[chance.below(fields.ipv6 ? 16 : 4)] ^= 1;
  if (chance.one_in(4)) fields.source[fields.ipv6 ? 15 : 3] = static_cast<uint8_t>(1 + chance.below(254));
  if (chance.one_in(4)) fields.source_mac[5] = chance.byte();
  if (chance.one_in(32)) fields.source[0] = chance.one_in(2) ? 0xe0 : 0xff;
  if (chance.one_in(32)) memset(fields.source, 0xff, 4);
  if (chance.one_in(32)) fields.source_mac[0] |= 1;
  if (config.io.vlan < 0 && chance.one_in(16)) fields.vlan = 0;
  if (chance.one_in(16)) fields.destination_mac[5] ^= 1;
  if (chance.one_in(16)) fields.destination_port = static_cast<uint16_t>(chance.next());
  fields.source_port = static_cast<uint16_t>(chance.next());
  fields.udp_checksum = !chance.one_in(8);
  fields.padding = chance.one_in(8) ? chance.below(20) : 0;
  uint32_t ticks = chance.one_in(64) ? chance.below(61) : 1 + chance.below(3) * chance.below(2);
  chance.fill(payload, 24 * ticks + 24);
  for (uint32_t i = 0; i < ticks; i++) {
    uint32_t price = chance.one_in(8) ? chance.word() : 9990 + chance.below(20);
    const char* symbols[] = {"AAPL    ", "MSFT    ", "GOOG    "};
    memcpy(payload + 24 * i, symbols[chance.below(8) * chance.below(8) % 3], 8);
    memcpy(payload + 24 * i + 8, &price, 4);
  }
  fields.payload = payload;
  fields.payload_length = 24 * ticks + (chance.one_in(16) ? chance.below(24) : 0);
  return build(fields, frame);
}

}  // namespace carom::test
