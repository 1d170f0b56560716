// Edits of frames: each against a frame made of the other values from the beginning, byte by byte.
#include <algorithm>
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

// The addresses of fields_between(), of either family, to others.
EditConfig mapping() {
  EditConfig config;
  config.addresses.push_back({false, 16, {198, 18}, {10, 77}});
  config.addresses.push_back({true, 32, {0x20, 0x01, 0, 2}, {0x20, 0x01, 0x0d, 0xb8}});
  return config;
}

// Whether what follows the IP header sums up with the pseudo header, as RFC 1071 wants it.
bool sums_up(const std::vector<uint8_t>& packet, bool ipv6, uint8_t protocol, const uint8_t* destination) {
  uint32_t header = ipv6 ? 40 : 20;
  uint32_t size = static_cast<uint32_t>(packet.size()) - header;
  uint32_t address = ipv6 ? 16 : 4;
  uint32_t sum = ones_sum(packet.data() + (ipv6 ? 8 : 12), address) + size + protocol;
  if (destination == nullptr) destination = packet.data() + (ipv6 ? 24 : 16);
  sum = ones_sum(destination, address, (sum & 0xffff) + (sum >> 16));
  return ones_sum(packet.data() + header, size, sum) == 0xffff;
}

// A datagram with right checksums, of UDP, TCP or ICMPv6.
Made datagram_of(Chance& chance, bool ipv6, uint8_t protocol) {
  static uint8_t payload[64];
  chance.fill(payload, sizeof payload);
  FrameFields fields = fields_between(true, ipv6, -1);
  fields.payload = payload;
  fields.payload_length = 56;  // with the UDP header a multiple of eight
  Made made = make(fields);
  made.bytes[14 + (ipv6 ? 6 : 9)] = protocol;
  EditConfig mend;
  mend.mends = true;
  return edited(made, mend);
}

// In fragments of every size, each mapped by itself: whole again, the datagram is right, wherever its
// checksum was.
void fragments(Chance& chance) {
  for (bool ipv6 : {false, true}) {
    for (uint8_t protocol : {PROTOCOL_UDP, PROTOCOL_TCP, PROTOCOL_ICMP6}) {
      if (protocol == PROTOCOL_ICMP6 && !ipv6) continue;
      for (uint32_t size : {8u, 16u, 24u, 40u}) {
        const Made whole = datagram_of(chance, ipv6, protocol);
        const uint32_t header = 14 + (ipv6 ? 40 : 20);
        std::vector<uint8_t> packet(whole.bytes + 14, whole.bytes + header);
        std::vector<uint8_t> payload;
        for (uint32_t at = 0; header + at < whole.length; at += size) {
          uint32_t some = std::min(size, whole.length - header - at);
          bool is_last = header + at + some == whole.length;
          auto place = static_cast<uint16_t>(ipv6 ? at | !is_last : at / 8 | (is_last ? 0u : 0x2000u));
          Made one{};
          memcpy(one.bytes, whole.bytes, header);
          one.length = header;
          if (ipv6) {
            const uint8_t extension[8] = {
                protocol, 0, static_cast<uint8_t>(place >> 8), static_cast<uint8_t>(place), 0, 0, 0, 7};
            memcpy(one.bytes + header, extension, 8);
            one.bytes[14 + 6] = 44;
            one.length += 8;
          }
          memcpy(one.bytes + one.length, whole.bytes + header + at, some);
          uint32_t data = one.length;
          one.length += some;
          store_be16(one.bytes + 14 + (ipv6 ? 4 : 2),
                     static_cast<uint16_t>(one.length - (ipv6 ? header : 14)));
          if (!ipv6) {
            store_be16(one.bytes + 14 + 6, place);
            memset(one.bytes + 14 + 10, 0, 2);
            store_be16(one.bytes + 14 + 10, static_cast<uint16_t>(~ones_sum(one.bytes + 14, 20)));
          }
          Made mapped = edited(one, mapping());
          if (!ipv6) expect_equal(ones_sum(mapped.bytes + 14, 20), 0xffff, "the header's own checksum");
          memcpy(packet.data() + (ipv6 ? 8 : 12), mapped.bytes + 14 + (ipv6 ? 8 : 12), ipv6 ? 32 : 8);
          expect(mapped.bytes[14 + (ipv6 ? 10 : 12)] == (ipv6 ? 0x0d : 10), "mapped");
          payload.insert(payload.end(), mapped.bytes + data, mapped.bytes + mapped.length);
        }
        packet.insert(packet.end(), payload.begin(), payload.end());
        expect(sums_up(packet, ipv6, protocol, nullptr), "right after reassembly");
      }
    }
  }
}

// RFC 8200, 8.1: while segments are left, the checksum counts the last of them, in every kind of routing
// header.
void routing(Chance& chance) {
  for (uint8_t type : {uint8_t{0}, uint8_t{2}, uint8_t{4}, uint8_t{99}}) {
    for (uint8_t left : {uint8_t{0}, uint8_t{1}}) {
      const uint32_t count = type == 2 ? 1 : 2;
      const Made plain = datagram_of(chance, true, PROTOCOL_UDP);
      Made made{};
      memcpy(made.bytes, plain.bytes, 54);
      uint8_t* header = made.bytes + 54;
      const uint32_t size = 8 + 16 * count;
      header[0] = PROTOCOL_UDP;
      header[1] = static_cast<uint8_t>(2 * count);
      header[2] = type;
      header[3] = left;
      header[4] = static_cast<uint8_t>(count - 1);
      for (uint32_t i = 0; i < count; i++) {
        memcpy(header + 8 + 16 * i, plain.bytes + 38, 16);
        header[8 + 16 * i + 15] = static_cast<uint8_t>(0x90 + i);
      }
      memcpy(header + size, plain.bytes + 54, plain.length - 54);
      made.length = plain.length + size;
      made.bytes[14 + 6] = 43;
      store_be16(made.bytes + 14 + 4, static_cast<uint16_t>(made.length - 54));
      const Layers layers = find_layers(made.bytes, made.length);
      if (type == 99 && left > 0) {
        expect(check_transport(made.bytes, layers) == ChecksumState::unknown, "nobody knows where it goes");
        continue;
      }
      EditConfig mend;
      mend.mends = true;
      const Made right = edited(made, mend);
      const uint32_t last = 54 + 8 + (type == 4 ? 0 : 16 * (count - 1));
      auto is_right = [&](const Made& one) {
        std::vector<uint8_t> packet(one.bytes + 14, one.bytes + 54);
        packet.insert(packet.end(), one.bytes + 54 + size, one.bytes + one.length);
        return sums_up(packet, true, PROTOCOL_UDP, left > 0 ? one.bytes + last : nullptr) &&
               check_transport(one.bytes, find_layers(one.bytes, one.length)) == ChecksumState::good;
      };
      expect(is_right(right), "mended for the final destination");
      const Made mapped = edited(right, mapping());
      expect(is_right(mapped), "mapped for the final destination");
      expect(type == 99 || mapped.bytes[last + 2] == 0x0d, "segments are mapped");
    }
  }
}

// The packet that an error quotes is about the addresses that were mapped, and everything sums up again.
void errors(Chance& chance) {
  for (bool ipv6 : {false, true}) {
    for (uint32_t quoted : {1000u, ipv6 ? 48u : 28u}) {
      const Made about = datagram_of(chance, ipv6, PROTOCOL_UDP);
      const uint32_t some = std::min(quoted, about.length - 14);
      uint8_t payload[256] = {static_cast<uint8_t>(ipv6 ? 1 : 3), 4};
      memcpy(payload + 8, about.bytes + 14, some);
      FrameFields fields = fields_between(false, ipv6, -1);
      fields.payload = payload + 8;
      fields.payload_length = some;
      Made made = make(fields);  // UDP's header has the room of ICMP's
      const uint32_t icmp = 14 + (ipv6 ? 40 : 20);
      memcpy(made.bytes + icmp, payload, 8 + some);
      const uint8_t protocol = ipv6 ? PROTOCOL_ICMP6 : PROTOCOL_ICMP;
      made.bytes[14 + (ipv6 ? 6 : 9)] = protocol;
      EditConfig mend;
      mend.mends = true;
      EditConfig config = mapping();
      config.ports.push_back({load_be16(about.bytes + icmp), 4321});
      const Made mapped = edited(edited(made, mend), config);
      expect_same(mapped, edited(mapped, mend), "the error's checksums");
      const Made about_mapped = edited(about, config);
      expect(memcmp(mapped.bytes + icmp + 8, about_mapped.bytes + 14, some) == 0, "as the packet was mapped");
      expect(memcmp(about.bytes + 14, about_mapped.bytes + 14, some) != 0, "which is another");
    }
  }
}

// Every tag that libpcap's `vlan` counts is taken off, and has its identifier replaced.
void tags(Chance&) {
  const Made plain = make(fields_between(true, false, -1));
  for (uint16_t outer : std::initializer_list<uint16_t>{0x8100, 0x88a8, 0x9100}) {
    Made made{};
    memcpy(made.bytes, plain.bytes, 12);
    store_be16(made.bytes + 12, outer);
    store_be16(made.bytes + 14, 0x600a);
    store_be16(made.bytes + 16, 0x8100);
    store_be16(made.bytes + 18, 0x2014);
    memcpy(made.bytes + 20, plain.bytes + 12, plain.length - 12);
    made.length = plain.length + 8;
    EditConfig config;
    config.vlan = EditConfig::UNTAGGED;
    expect_same(edited(made, config), plain, "taken off");
    config.vlan = 99;
    Made wanted = made;
    store_be16(wanted.bytes + 14, 0x6063);
    expect_same(edited(made, config), wanted, "replaced, with its priority");
    Made mapped = edited(made, mapping());
    mapped.length = FrameEditor(EditConfig{.vlan = EditConfig::UNTAGGED}).edit(mapped.bytes, mapped.length);
    expect_same(mapped, edited(plain, mapping()), "mapped behind it");
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
    {"edit: fragments, whole again", fragments},
    {"edit: routing headers", routing},
    {"edit: ICMP errors", errors},
    {"edit: every kind of tag", tags},
    {"edit: frames of any kind", hostile},
};

}  // namespace
}  // namespace carom::test
