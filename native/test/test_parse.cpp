// The parser: frames known by hand, each reason to refuse, and millions of frames by chance, each of which
// ends at an inaccessible page, so that reading beyond it is a crash.
#include <cstring>
#include <string>
#include <vector>

#include "frame/parse.h"
#include "test/frames.h"
#include "test/guarded_memory.h"
#include "test/test.h"

namespace carom::test {
namespace {

constexpr ParseOptions PLAIN{-1, true};

// One tick, AAPL at 9999, from 198.18.0.1:9999 to 239.1.1.1:8080. Checked with tcpdump -vvv.
constexpr std::string_view TICK4 =
    "01005e010101 02ca40000001 0800 4500003400004000 1011 b4a3 c6120001 ef010101 270f1f9000209865"
    "4141504c20202020 0f270000 64000000 efcdab8967452301";
// The same tick over VLAN 100, priority 1.
constexpr std::string_view TICK_VLAN =
    "01005e010101 02ca40000001 8100 2064 0800 4500003400004000 1011 b4a3 c6120001 ef010101 270f1f9000209865"
    "4141504c20202020 0f270000 64000000 efcdab8967452301";
// The same from 2001:2::1 port 30001 to 2001:2::2 port 8080.
constexpr std::string_view TICK6 =
    "02ca40000002 02ca40000001 86dd 60000000 0020 1140 20010002000000000000000000000001"
    "20010002000000000000000000000002 75311f900020c050 4141504c20202020 0f270000 64000000 efcdab8967452301";

GuardedMemory& page() {
  static GuardedMemory memory(1, MAX_FRAME, true);
  return memory;
}

// The frame with an inaccessible page behind it.
const uint8_t* place(const void* bytes, uint32_t length) {
  uint8_t* at = page().last(0, length);
  if (length != 0) memcpy(at, bytes, length);
  return at;
}

ParseResult parse(const std::string& frame, const ParseOptions& options, Datagram& out) {
  uint32_t length = static_cast<uint32_t>(frame.size());
  return parse_frame(place(frame.data(), length), length, options, out);
}

void check(const std::string& frame, const ParseOptions& options, ParseResult expected, const char* what,
           int line = __builtin_LINE()) {
  Datagram datagram{};
  ParseResult result = parse(frame, options, datagram);
  if (result == expected) return;
  const char* is = PARSE_RESULT_NAMES[static_cast<size_t>(result)];
  fail(std::string(what) + ": is " + is + ", must be " + PARSE_RESULT_NAMES[static_cast<size_t>(expected)],
       __FILE__, line);
}

void check_tick(const std::string& frame, const ParseOptions& options, bool ipv6, size_t header) {
  Datagram datagram{};
  expect_equal(parse(frame, options, datagram), ParseResult::ok, "result");
  expect(datagram.ipv6 == ipv6, "IP version");
  const uint8_t* at = page().end(0) - frame.size();
  expect_equal(datagram.ethernet - at, 0, "where Ethernet begins");
  expect_equal(datagram.payload - at, header, "where the payload begins");
  expect_equal(datagram.payload_length, 24, "payload length");
  expect_equal(datagram.source_port, ipv6 ? 30001 : 9999, "source port");
  expect_equal(datagram.destination_port, 8080, "destination port");
  expect_equal(datagram.address_size(), ipv6 ? 16 : 4, "address size");
  const uint8_t own6[] = {0x20, 1, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  const uint8_t own4[] = {198, 18, 0, 1};
  const uint8_t group[] = {239, 1, 1, 1};
  expect(memcmp(datagram.source_address(), ipv6 ? own6 : own4, datagram.address_size()) == 0, "source");
  if (!ipv6) expect(memcmp(datagram.destination_address(), group, 4) == 0, "destination");
  expect(memcmp(datagram.payload, "AAPL    ", 8) == 0, "payload");
}

void by_hand(Chance&) {
  check_tick(from_hex(TICK4), PLAIN, false, 42);
  check_tick(from_hex(TICK6), PLAIN, true, 62);
  check_tick(from_hex(TICK_VLAN), {100, true}, false, 46);
  check_tick(from_hex(TICK4) + std::string(18, '\xee'), PLAIN, false, 42);  // padded
}

struct Change {
  const char* what;
  std::string_view from;
  size_t at;
  std::string_view digits;  // what is written there
  ParseResult result;
};

using enum ParseResult;

// Each is one change of a good frame, without and with the checksums put right again.
constexpr Change CHANGES[] = {
    {"ARP", TICK4, 12, "0806", wrong_ethertype},
    {"IPv6's type on IPv4", TICK4, 12, "86dd", bad_ip_header},
    {"IPv4's type on IPv6", TICK6, 12, "0800", bad_ip_header},
    {"a length in the place of a type (802.3)", TICK4, 12, "0034", wrong_ethertype},
    {"a tag, of another VLAN", TICK4, 12, "8100", wrong_vlan},
    {"a service tag (802.1ad)", TICK4, 12, "88a8", wrong_ethertype},
    {"version 5", TICK4, 14, "55", bad_ip_header},
    {"header length 4", TICK4, 14, "44", bad_ip_header},
    {"header length 0", TICK4, 14, "40", bad_ip_header},
    {"header length 6", TICK4, 14, "46", ip_options},
    {"header length 15", TICK4, 14, "4f", ip_options},
    {"total length 19", TICK4, 16, "0013", bad_ip_header},
    {"total length 0", TICK4, 16, "0000", bad_ip_header},
    {"total length one too long", TICK4, 16, "0035", truncated},
    {"total length 65535", TICK4, 16, "ffff", truncated},
    {"more fragments", TICK4, 20, "2000", fragment},
    {"fragment offset 1", TICK4, 20, "0001", fragment},
    {"fragment offset 8191, DF", TICK4, 20, "5fff", fragment},
    {"the reserved flag alone", TICK4, 20, "8000", ok},
    {"TTL 0", TICK4, 22, "00", ttl_zero},
    {"TTL 1", TICK4, 22, "01", ok},
    {"TCP", TICK4, 23, "06", wrong_protocol},
    {"source 0.0.0.0", TICK4, 26, "00000000", zero_source},
    {"source 223.255.255.255", TICK4, 26, "dfffffff", ok},
    {"source 224.0.0.0", TICK4, 26, "e0000000", multicast_source},
    {"source 239.255.255.255", TICK4, 26, "efffffff", multicast_source},
    {"source 240.0.0.0", TICK4, 26, "f0000000", ok},
    {"source 255.255.255.254", TICK4, 26, "fffffffe", ok},
    {"source 255.254.255.255", TICK4, 26, "fffeffff", ok},
    {"source 255.255.255.255", TICK4, 26, "ffffffff", broadcast_source},
    {"from the MAC address of a group", TICK4, 6, "01005e010101", group_source_mac},
    {"from everybody's MAC address", TICK4, 6, "ffffffffffff", group_source_mac},
    {"from a MAC address with the group bit alone", TICK4, 6, "010000000000", group_source_mac},
    {"from a MAC address with every bit but that of a group", TICK4, 6, "feffffffffff", ok},
    {"UDP length 7", TICK4, 38, "0007", bad_udp_length},
    {"UDP length 0", TICK4, 38, "0000", bad_udp_length},
    {"UDP length one too long", TICK4, 38, "0021", bad_udp_length},
    {"no UDP header", TICK4, 16, "0014", truncated},
    {"seven bytes of a UDP header", TICK4, 16, "001b", truncated},
    {"version 7", TICK6, 14, "70", bad_ip_header},
    {"payload length one too long", TICK6, 18, "0021", truncated},
    {"payload length 0 (RFC 2675)", TICK6, 18, "0000", truncated},
    {"payload length 7", TICK6, 18, "0007", truncated},
    {"fragment header", TICK6, 20, "2c", fragment},
    {"hop-by-hop options", TICK6, 20, "00", wrong_protocol},
    {"ICMPv6", TICK6, 20, "3a", wrong_protocol},
    {"hop limit 0", TICK6, 21, "00", ttl_zero},
    {"source ::", TICK6, 22, "00000000000000000000000000000000", zero_source},
    {"source ff02::1", TICK6, 22, "ff020000000000000000000000000001", multicast_source},
    {"source ff00::", TICK6, 22, "ff000000000000000000000000000000", multicast_source},
    {"source fe80::1", TICK6, 22, "fe800000000000000000000000000001", ok},
    {"from the MAC address of a group, over IPv6", TICK6, 6, "3333ff000001", group_source_mac},
    {"UDP length 7", TICK6, 58, "0007", bad_udp_length},
    {"UDP length one too long", TICK6, 58, "0021", bad_udp_length},
};

void refusals(Chance&) {
  for (const Change& change : CHANGES) {
    std::string frame = from_hex(change.from);
    std::string bytes = from_hex(change.digits);
    frame.replace(change.at, bytes.size(), bytes);
    check(frame, {-1, false}, change.result, change.what);  // not verified
    repair(reinterpret_cast<uint8_t*>(frame.data()), static_cast<uint32_t>(frame.size()));
    check(frame, PLAIN, change.result, change.what);
  }
}

void tags(Chance&) {
  std::string plain = from_hex(TICK4);
  std::string tagged = from_hex(TICK_VLAN);
  check(plain, {100, true}, wrong_vlan, "untagged, tagged is wanted");
  check(tagged, PLAIN, wrong_vlan, "tagged, untagged is wanted");
  check(tagged, {101, true}, wrong_vlan, "another identifier");
  std::string priority = tagged;
  priority.replace(14, 2, from_hex("e000"));
  check_tick(priority, PLAIN, false, 46);
  check(priority, {100, true}, wrong_vlan, "a priority tag, a VLAN is wanted");
  priority.insert(16, from_hex("8100 0064"));
  check(priority, {100, true}, wrong_vlan, "a tag behind a priority tag, a VLAN is wanted");
  check(priority, PLAIN, wrong_ethertype, "a tag behind a priority tag");
  std::string twice = tagged;
  twice.insert(12, from_hex("8100 0064"));
  check(twice, {100, true}, wrong_ethertype, "a second tag");
  for (size_t length = 14; length < 18; length++) {
    check(tagged.substr(0, length), {100, true}, truncated, "a tag cut off");
  }
}

void checksums(Chance&) {
  for (std::string_view good : {TICK4, TICK6}) {
    bool ipv6 = good == TICK6;
    size_t udp = ipv6 ? 54 : 34;
    std::string frame = from_hex(good);
    auto set = [&frame](size_t at, std::string_view digits) {
      std::string bytes = from_hex(digits);
      frame.replace(at, bytes.size(), bytes);
    };
    set(udp + 6, "0000");
    check(frame, PLAIN, ipv6 ? bad_udp_checksum : ok, "no UDP checksum");
    set(udp + 6, "1234");
    check(frame, PLAIN, bad_udp_checksum, "a wrong UDP checksum");
    check(frame, {-1, false}, ok, "a wrong UDP checksum that is not looked at");
    uint8_t* bytes = reinterpret_cast<uint8_t*>(frame.data());
    put_be16(bytes + udp + 6, ones_sum_pseudo(bytes + 14, ipv6, 32));
    check(frame, PLAIN, unfinished_checksum, "the pseudo header's sum alone");
    if (ipv6) continue;
    frame = from_hex(good);
    set(24, "0000");
    check(frame, PLAIN, bad_ip_checksum, "no IP checksum");
    check(frame, {-1, false}, ok, "no IP checksum, not looked at");
  }
}

// Every byte of a good frame counts: any single bit that is turned over is found, but for the addresses and
// the type of Ethernet, which no checksum covers.
void single_bits(Chance&) {
  for (std::string_view good : {TICK4, TICK6}) {
    std::string frame = from_hex(good);
    bool ipv6 = good == TICK6;
    Datagram datagram{};
    for (size_t bit = 8 * 12; bit < 8 * frame.size(); bit++) {
      size_t at = bit / 8;
      frame[at] = static_cast<char>(frame[at] ^ (1 << bit % 8));
      // Not covered either: IPv6's traffic class, flow label and hop limit (RFC 8200, 8.1).
      bool hop_limit = at == 21 && bit % 8 != 6;  // that one would make it 0
      bool covered = !ipv6 || !((at == 14 && bit % 8 < 4) || (at > 14 && at < 18) || hop_limit);
      expect((parse(frame, PLAIN, datagram) != ok) == covered, "a bit turned over");
      frame[at] = static_cast<char>(frame[at] ^ (1 << bit % 8));
    }
  }
}

FrameFields random_fields(Chance& chance, uint8_t* payload) {
  FrameFields fields{};
  chance.fill(fields.destination_mac, 6);
  chance.fill(fields.source_mac, 6);
  if (!chance.one_in(16)) fields.source_mac[0] &= 0xfe;
  if (chance.one_in(3)) fields.vlan = static_cast<int32_t>(chance.below(4) == 0 ? chance.below(4096) : 100);
  if (chance.one_in(32)) fields.vlan = 0;
  fields.ipv6 = chance.one_in(3);
  chance.fill(fields.source, 16);
  if (chance.one_in(32)) memset(fields.source, chance.one_in(2) ? 0xff : 0, 16);
  chance.fill(fields.destination, 16);
  fields.source_port = static_cast<uint16_t>(chance.next());
  fields.destination_port = static_cast<uint16_t>(chance.next());
  fields.ttl = chance.byte();
  fields.udp_checksum = !chance.one_in(8);
  fields.payload = payload;
  fields.payload_length = chance.one_in(64) ? chance.below(1400) : chance.below(80);
  fields.padding = chance.one_in(4) ? chance.below(20) : 0;
  chance.fill(payload, fields.payload_length);
  return fields;
}

// The parser and the reference agree, and what the parser says lies inside the frame.
ParseResult agree(const uint8_t* frame, uint32_t length, const ParseOptions& options) {
  Datagram datagram{};
  ParseResult result = parse_frame(frame, length, options, datagram);
  Reading reading = read_frame(frame, length, options);
  bool right = result == ok ? reading.defects == 0 : reading.has(result);
  if (right && result == ok) {
    right = datagram.ethernet == frame && datagram.ip == frame + reading.ip &&
            datagram.payload == frame + reading.payload() && datagram.ipv6 == reading.ipv6 &&
            datagram.payload_length == reading.payload_length() &&
            datagram.payload + datagram.payload_length <= frame + length &&
            datagram.source_port == be16(frame + reading.udp) &&
            datagram.destination_port == be16(frame + reading.udp + 2);
  }
  if (!right) {
    fail("parser and reference differ: " + std::string(PARSE_RESULT_NAMES[static_cast<size_t>(result)]) +
             ", the reference's defects are " + text(reading.defects) + ", frame " + hex_dump(frame, length),
         __FILE__, __LINE__);
  }
  return result;
}

constexpr ParseOptions OPTIONS[] = {{-1, true}, {-1, false}, {100, true}, {100, false}};

void every_length(Chance& chance) {
  uint8_t payload[1400];
  uint8_t frame[MAX_FRAME];
  for (int i = 0; i < 2000; i++) {
    FrameFields fields = random_fields(chance, payload);
    uint32_t length = build(fields, frame);
    ParseOptions options{fields.vlan == 0 ? -1 : fields.vlan, true};
    for (uint32_t cut = 0; cut <= length; cut++) {
      ParseResult result = agree(place(frame, cut), cut, options);
      bool whole = cut + fields.padding >= length;
      expect(whole || result != ok, "what is cut off is not ok");
    }
  }
}

void by_chance(Chance& chance) {
  uint8_t payload[1400];
  uint8_t frames[2][MAX_FRAME];
  uint8_t mutated[MAX_FRAME];
  uint32_t lengths[2];
  uint64_t results[static_cast<size_t>(COUNT)] = {};
  lengths[0] = build(random_fields(chance, payload), frames[0]);
  for (int i = 0; i < 4'000'000; i++) {
    int at = i & 1;
    if (i % 16 < 2) lengths[at] = build(random_fields(chance, payload), frames[at]);
    if (i == 0) lengths[1] = build(random_fields(chance, payload), frames[1]);
    memcpy(mutated, frames[at], lengths[at]);
    uint32_t length = mutate(chance, mutated, lengths[at], frames[1 - at], lengths[1 - at]);
    results[static_cast<size_t>(
        agree(place(mutated, length), length, OPTIONS[chance.below(std::size(OPTIONS))]))]++;
  }
  // Chance reached everything: no result is rarer than one in forty thousand.
  for (size_t i = 0; i < static_cast<size_t>(COUNT); i++) expect(results[i] > 100, PARSE_RESULT_NAMES[i]);
}

const Tests TESTS{
    {"parse: frames known by hand", by_hand},
    {"parse: each reason to refuse a frame", refusals},
    {"parse: VLAN tags", tags},
    {"parse: checksums missing, wrong and unfinished", checksums},
    {"parse: no bit that a checksum covers turns over unseen", single_bits},
    {"parse: good frames cut off at every length", every_length},
    {"parse: four million frames by chance, as the reference reads them", by_chance},
};

}  // namespace
}  // namespace carom::test
