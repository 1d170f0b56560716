// The Internet checksum against the RFC's plain loop, and frames made from templates against the reference.
#include <cstring>
#include <vector>

#include "frame/build.h"
#include "test/frames.h"
#include "test/guarded_memory.h"
#include "test/test.h"

namespace carom::test {
namespace {

// The core's sums are in memory order: the two bytes of the result the other way round.
uint32_t core_sum(const uint8_t* bytes, uint32_t length) {
  uint16_t sum = checksum_fold(checksum_add(0, bytes, length));
  return static_cast<uint32_t>(sum >> 8 | (sum & 0xff) << 8);
}

void sums(Chance& chance) {
  GuardedMemory memory(1, 4096, true);
  for (int i = 0; i < 20'000; i++) {
    uint32_t length = i <= 2000 ? static_cast<uint32_t>(i) : chance.below(2001);
    uint32_t behind = chance.below(8);  // any alignment; 0: the end is the end of what may be read
    uint8_t* bytes = memory.last(0, length + behind);
    uint32_t style = chance.below(4);
    for (uint32_t j = 0; j < length; j++) bytes[j] = style == 0 ? 0xff : style == 1 ? 0 : chance.byte();
    uint32_t expected = ones_sum(bytes, length);
    expect_equal(core_sum(bytes, length), expected, "sum of random bytes");
    // In two parts, as headers and payload are.
    uint32_t first = length == 0 ? 0 : chance.below(length + 1) & ~1u;
    uint64_t parts = checksum_add(checksum_add(0, bytes, first), bytes + first, length - first);
    uint16_t folded = checksum_fold(parts);
    expect_equal(be16(reinterpret_cast<const uint8_t*>(&folded)), expected, "sum of two parts");
  }
}

void carries(Chance& chance) {
  // Sums near 2^64: every carry must come round.
  for (int i = 0; i < 1'000'000; i++) {
    uint64_t sum = chance.one_in(2) ? UINT64_MAX - chance.below(3) : chance.any_size();
    uint64_t word = chance.one_in(2) ? UINT64_MAX - chance.below(3) : chance.any_size();
    uint8_t bytes[16];
    memcpy(bytes, &sum, 8);
    memcpy(bytes + 8, &word, 8);
    uint16_t expected = static_cast<uint16_t>(ones_sum(bytes, 16));
    uint16_t by_word = checksum_fold(checksum_add_word(sum, word));
    uint16_t by_bytes = checksum_fold(checksum_add(sum, bytes + 8, 8));
    expect_equal(__builtin_bswap16(by_word), expected, "sum and a word");
    expect_equal(__builtin_bswap16(by_bytes), expected, "sum and eight bytes");
  }
}

Endpoint random_endpoint(Chance& chance) {
  Endpoint endpoint;
  chance.fill(endpoint.mac, 6);
  chance.fill(endpoint.address, 16);
  endpoint.mac[0] &= 0xfe;
  endpoint.address[0] = static_cast<uint8_t>(1 + chance.below(223));  // somebody can have it
  endpoint.port = static_cast<uint16_t>(chance.next());
  return endpoint;
}

// Everything a frame from a template must be, by the reference.
void check_built(const uint8_t* frame, uint32_t length, const Endpoint& from, const Endpoint& to, bool ipv6,
                 int32_t vlan, uint8_t ttl, uint8_t dscp, const uint8_t* payload, uint32_t payload_length) {
  Reading reading = read_frame(frame, length, {vlan, true});
  expect_equal(reading.defects, 0, "defects of a frame from a template");
  expect(reading.ipv6 == ipv6, "IP version");
  expect(memcmp(frame, to.mac, 6) == 0 && memcmp(frame + 6, from.mac, 6) == 0, "MAC addresses");
  const uint8_t* ip = frame + reading.ip;
  uint32_t size = ipv6 ? 16 : 4;
  const uint8_t* addresses = ip + (ipv6 ? 8 : 12);
  expect(memcmp(addresses, from.address, size) == 0, "source address");
  expect(memcmp(addresses + size, to.address, size) == 0, "destination address");
  expect_equal(ip[ipv6 ? 7 : 8], ttl, "TTL");
  // Bits 8 to 15 of the first word, or 4 to 11 (RFC 791, 3.1; RFC 8200, 3); ECN, their last two, is 0.
  expect_equal(ipv6 ? be16(ip) >> 4 & 0xff : ip[1], dscp * 4, "traffic class");
  if (ipv6) expect_equal((be16(ip) & 0xf) << 16 | be16(ip + 2), 0, "flow label");
  if (!ipv6) expect_equal(be16(ip + 6), 0x4000, "don't fragment");
  expect_equal(be16(frame + reading.udp), from.port, "source port");
  expect_equal(be16(frame + reading.udp + 2), to.port, "destination port");
  expect_equal(reading.payload_length(), payload_length, "payload length");
  expect_equal(length, reading.payload() + payload_length, "frame length");
  expect(memcmp(frame + reading.payload(), payload, payload_length) == 0, "payload");
  expect(be16(frame + reading.udp + 6) != 0, "a UDP checksum of zero would mean none");
  Datagram datagram{};
  expect_equal(parse_frame(frame, length, {vlan, true}, datagram), ParseResult::ok, "the parser's result");
  expect(datagram.payload == frame + reading.payload(), "where the parser finds the payload");
}

void templates(Chance& chance) {
  constexpr uint32_t SIZES[] = {0, 1, 7, 8, 24, 41, 64, 1400, 1464};
  for (int i = 0; i < 30'000; i++) {
    bool ipv6 = chance.one_in(2);
    int32_t vlan = chance.one_in(2) ? -1 : static_cast<int32_t>(1 + chance.below(4094));
    uint8_t ttl = static_cast<uint8_t>(1 + chance.below(255));
    uint8_t dscp = static_cast<uint8_t>(chance.below(64));
    uint32_t size = chance.one_in(2) ? SIZES[chance.below(9)] : chance.below(200);
    Endpoint from = random_endpoint(chance);
    Endpoint to = random_endpoint(chance);
    FrameTemplate headers(from, to, ipv6, vlan, ttl, dscp, size);
    // No byte beyond the frame's, or the minimum, may be written.
    static GuardedMemory memory(1, MAX_FRAME, true);
    uint8_t* frame = memory.last(0, std::max(headers.frame_length(), FrameTemplate::MIN_BUFFER));
    chance.fill(frame, 80);
    uint8_t payload[1500];
    for (int round = 0; round < 2; round++) {  // a template serves many frames
      chance.fill(payload, size);
      uint8_t* at = headers.begin(frame);
      expect_equal(at - frame, headers.header_length(), "where the payload goes");
      memcpy(at, payload, size);
      headers.finish(frame);
      check_built(frame, headers.frame_length(), from, to, ipv6, vlan, ttl, dscp, payload, size);
    }
  }
}

// RFC 768: a checksum that comes out as zero is sent as all ones.
void zero_checksum(Chance& chance) {
  for (bool ipv6 : {false, true}) {
    Endpoint from = random_endpoint(chance);
    Endpoint to = random_endpoint(chance);
    FrameTemplate headers(from, to, ipv6, -1, 16, 0, 24);
    uint8_t frame[FrameTemplate::MIN_BUFFER];
    uint8_t payload[24] = {};
    uint32_t found = 0;
    for (uint32_t value = 0; value <= 0xffff; value++) {
      put_be16(payload, value);
      memcpy(headers.begin(frame), payload, 24);
      headers.finish(frame);
      uint32_t stored = be16(frame + headers.header_length() - 2);
      expect(stored != 0, "the checksum is never sent as zero");
      if (stored != 0xffff) continue;
      found++;
      check_built(frame, headers.frame_length(), from, to, ipv6, -1, 16, 0, payload, 24);
    }
    // One of all the values brings the sum to 0xffff; with 0x0000 and 0xffff being alike, at most two.
    expect(found == 1 || found == 2, "the case came up");
  }
}

const Tests TESTS{
    {"checksum: as by RFC 1071, any length and alignment", sums},
    {"checksum: every carry comes round", carries},
    {"checksum: frames from templates verify, IPv4, IPv6, VLAN, any size", templates},
    {"checksum: zero is sent as 0xffff", zero_checksum},
};

}  // namespace
}  // namespace carom::test
