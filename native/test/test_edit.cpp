// Edits of frames: each against a frame made of the other values from the beginning, byte by byte.
#include <cstring>

#include "capture/checksums.h"
#include "capture/edit.h"
#include "test/loop_support.h"

namespace carom::test {
namespace {

constexpr uint32_t ROOM = MAX_FRAME + 4;

struct Made {
  uint8_t bytes[ROOM];
  uint32_t length;
};

Made make(const FrameFields& fields) {
  Made made{};
  made.length = build(fields, made.bytes);
  return made;
}

void expect_same(const Made& is, const Made& wanted, const char* what) {
  expect_equal(is.length, wanted.length, what);
  if (memcmp(is.bytes, wanted.bytes, wanted.length) != 0)
    fail(std::string(what) + ": " + hex_dump(is.bytes, is.length) + " and not " +
             hex_dump(wanted.bytes, wanted.length),
         __FILE__, __LINE__);
}

Made edited(const Made& from, const EditConfig& config) {
  Made made = from;
  made.length = FrameEditor(config).edit(made.bytes, made.length);
  return made;
}

FrameFields any_fields(Chance& chance, uint8_t* payload) {
  FrameFields fields = fields_between(chance.one_in(2), chance.one_in(2), chance.one_in(3) ? 7 : -1);
  for (int i = 4; i < 6; i++) fields.source_mac[i] = chance.byte();
  fields.source[3] = static_cast<uint8_t>(10 + chance.below(200));  // not the destination
  fields.source_port = static_cast<uint16_t>(chance.below(65536));
  fields.ttl = static_cast<uint8_t>(1 + chance.below(255));
  fields.udp_checksum = fields.ipv6 || !chance.one_in(4);
  fields.payload_length = chance.below(200);
  chance.fill(payload, fields.payload_length);
  fields.payload = payload;
  return fields;
}

void all_fields(Chance& chance) {
  uint8_t payload[256];
  for (int i = 0; i < 20'000; i++) {
    FrameFields fields = any_fields(chance, payload);
    Made before = make(fields);
    EditConfig config;
    if (chance.one_in(2)) {
      config.sets_source_mac = true;
      chance.fill(config.source_mac, 6);
      memcpy(fields.source_mac, config.source_mac, 6);
    }
    if (chance.one_in(2)) {
      config.vlan = chance.one_in(2) ? EditConfig::UNTAGGED : static_cast<int32_t>(1 + chance.below(4094));
      fields.vlan = config.vlan;
    }
    if (chance.one_in(2)) {
      config.ttl = static_cast<int32_t>(1 + chance.below(255));
      fields.ttl = static_cast<uint8_t>(config.ttl);
    }
    if (chance.one_in(2)) {
      AddressMap map{fields.ipv6, static_cast<uint8_t>(fields.ipv6 ? 128 : 32), {}, {}};
      memcpy(map.from, fields.source, 16);
      chance.fill(map.to, 16);
      memcpy(fields.source, map.to, 16);
      config.addresses.push_back({!fields.ipv6, 0, {}, {1}});  // of the other family: never
      config.addresses.push_back(map);
    }
    if (chance.one_in(2)) {
      auto port = static_cast<uint16_t>(chance.below(65536));
      if (fields.destination_port == fields.source_port) continue;
      config.ports.push_back({fields.source_port, port});
      fields.source_port = port;
    }
    expect_same(edited(before, config), make(fields), "as if it had been made so");
  }
}

void wrong_stays_wrong(Chance& chance) {
  uint8_t payload[256];
  for (int i = 0; i < 2000; i++) {
    FrameFields fields = any_fields(chance, payload);
    fields.vlan = -1;
    fields.udp_checksum = true;
    Made before = make(fields);
    before.bytes[before.length - 1 - chance.below(fields.payload_length + 1)] ^= 0x10;
    EditConfig config;
    config.ttl = 9;
    config.ports.push_back({fields.source_port, 4444});
    ParseOptions options{-1, true};
    Datagram datagram{};
    bool was_right = parse_frame(before.bytes, before.length, options, datagram) == ParseResult::ok;
    Made kept = edited(before, config);
    expect_equal(parse_frame(kept.bytes, kept.length, options, datagram) == ParseResult::ok, was_right,
                 "kept");
    config.mends = true;
    Made mended = edited(before, config);
    ParseResult result = parse_frame(mended.bytes, mended.length, options, datagram);
    expect(result == ParseResult::ok || result == ParseResult::bad_udp_length, "mended");
  }
}

void prefixes(Chance&) {
  EditConfig config;
  config.addresses.push_back({false, 16, {10, 1}, {198, 18}});
  config.addresses.push_back({false, 12, {172, 16}, {198, 20}});
  FrameFields fields = fields_between(true, false, -1);
  const uint8_t from[] = {10, 1, 2, 3};
  const uint8_t to[] = {172, 31, 4, 5};
  memcpy(fields.source, from, 4);
  memcpy(fields.destination, to, 4);
  Made before = make(fields);
  const uint8_t new_from[] = {198, 18, 2, 3};
  const uint8_t new_to[] = {198, 31, 4, 5};  // the last four bits of the second byte stay
  memcpy(fields.source, new_from, 4);
  memcpy(fields.destination, new_to, 4);
  expect_same(edited(before, config), make(fields), "prefixes");
}

void groups(Chance&) {
  EditConfig config;
  config.addresses.push_back({false, 32, {239, 1, 1, 1}, {239, 129, 2, 3}});
  config.sets_target_mac = true;
  memcpy(config.target_mac, RESPONDER_MAC, 6);
  FrameFields fields = fields_between(true, false, -1);
  memcpy(fields.destination, GROUP4, 4);
  memcpy(fields.destination_mac, GROUP4_MAC, 6);
  Made before = make(fields);
  const uint8_t group[] = {239, 129, 2, 3};
  const uint8_t mac[] = {0x01, 0x00, 0x5e, 0x01, 0x02, 0x03};
  memcpy(fields.destination, group, 4);
  memcpy(fields.destination_mac, mac, 6);
  expect_same(edited(before, config), make(fields), "a group has its own MAC address");
}

void arp(Chance&) {
  const std::string request = from_hex(
      "ffffffffffff 02ca40000001 0806 0001 0800 06 04 0001 02ca40000001 0a000001 000000000000 0a000002");
  Made before{};
  before.length = static_cast<uint32_t>(request.size());
  memcpy(before.bytes, request.data(), request.size());
  EditConfig config;
  config.addresses.push_back({false, 24, {10, 0, 0}, {198, 18, 0}});
  Made after = edited(before, config);
  const std::string wanted = from_hex(
      "ffffffffffff 02ca40000001 0806 0001 0800 06 04 0001 02ca40000001 c6120001 000000000000 c6120002");
  expect(memcmp(after.bytes, wanted.data(), wanted.size()) == 0, "ARP");
}

// TCP, ICMP and ICMPv6, whose sums the reference makes of the whole.
void others(Chance& chance) {
  for (uint8_t protocol : {uint8_t{6}, uint8_t{1}, uint8_t{58}}) {
    bool ipv6 = protocol == 58;
    uint8_t payload[64];
    chance.fill(payload, sizeof payload);
    FrameFields fields = fields_between(true, ipv6, -1);
    fields.payload = payload;
    fields.payload_length = sizeof payload;
    Made made = make(fields);
    uint32_t ip = 14;
    uint32_t at = ip + (ipv6 ? 40 : 20);
    made.bytes[ip + (ipv6 ? 6 : 9)] = protocol;
    EditConfig mend;
    mend.mends = true;
    Made right = edited(made, mend);
    uint32_t size = right.length - at;
    uint32_t pseudo = 0;
    if (protocol != 1) {
      uint32_t addresses = ipv6 ? 32 : 8;
      pseudo = ones_sum(right.bytes + ip + (ipv6 ? 8 : 12), addresses) + size + protocol;
      pseudo = (pseudo & 0xffff) + (pseudo >> 16);
    }
    expect_equal(ones_sum(right.bytes + at, size, pseudo), 0xffff, "mended");
    EditConfig config;
    AddressMap map{ipv6, static_cast<uint8_t>(ipv6 ? 128 : 32), {}, {9, 8, 7, 6, 5}};
    memcpy(map.from, fields.source, 16);
    config.addresses.push_back(map);
    Made mapped = edited(right, config);
    Made wanted = edited(mapped, mend);
    expect_same(mapped, wanted, "patched as if made anew");
  }
}

// Nothing outside the frame is read or written, whatever is in it (ASan sees it).
void hostile(Chance& chance) {
  uint8_t payload[256];
  EditConfig config;
  config.vlan = 5;
  config.ttl = 3;
  config.mends = true;
  config.sets_source_mac = config.sets_target_mac = true;
  config.ports.push_back({8080, 1});
  config.addresses.push_back({false, 0, {}, {1, 2, 3, 4}});
  config.addresses.push_back({true, 0, {}, {1, 2, 3, 4}});
  for (int i = 0; i < 200'000; i++) {
    Made made = make(any_fields(chance, payload));
    uint32_t changes = chance.below(6);
    for (uint32_t c = 0; c < changes; c++) made.bytes[12 + chance.below(40)] = chance.byte();
    made.length = chance.below(made.length + 1);
    std::vector<uint8_t> exact(made.bytes, made.bytes + made.length);
    exact.resize(made.length + 4);
    config.vlan = chance.one_in(2) ? 5 : EditConfig::UNTAGGED;
    uint32_t length = FrameEditor(config).edit(exact.data(), made.length);
    expect(length <= made.length + 4, "no longer than there is room");
  }
}

// A length of 0, and a checksum of whatever: as a host leaves both to its NIC.
void unsized(Chance& chance) {
  uint8_t payload[256];
  EditConfig config;
  config.mends = true;
  for (int i = 0; i < 2000; i++) {
    FrameFields fields = any_fields(chance, payload);
    fields.udp_checksum = true;
    Made wanted = make(fields);
    Layers layers = find_layers(wanted.bytes, wanted.length);
    if (layers.end != wanted.length) continue;  // padding can't be told from the packet
    Made left = wanted;
    memset(left.bytes + layers.network + (layers.ipv6 ? 4 : 2), 0, 2);
    left.bytes[layers.transport + 6] ^= 1;
    expect(find_layers(left.bytes, left.length).ports, "its ports are known");
    expect(check_transport(left.bytes, find_layers(left.bytes, left.length)) == ChecksumState::unknown,
           "nothing is said of its checksum");
    expect_same(edited(left, {}), left, "as it is");
    expect_same(edited(left, config), wanted, "mended");
  }
}

const Tests TESTS{
    {"edit: as if the frame had been made so", all_fields},
    {"edit: a wrong checksum stays wrong, or is mended", wrong_stays_wrong},
    {"edit: prefixes", prefixes},
    {"edit: groups and their MAC addresses", groups},
    {"edit: ARP", arp},
    {"edit: checksums of TCP, ICMP and ICMPv6", others},
    {"edit: an IP length that was left to a NIC", unsized},
    {"edit: frames of any kind", hostile},
};

}  // namespace
}  // namespace carom::test
