// Frames that go out: the headers are made once, a payload and its checksum are put behind them for each
// frame.
#pragma once

#include <cstdint>
#include <cstring>

#include "frame/checksum.h"
#include "frame/headers.h"

namespace carom {

struct Endpoint {
  uint8_t mac[6];
  uint8_t address[16];  // IPv4 in the first four bytes
  uint16_t port;
};

class FrameTemplate {
 public:
  FrameTemplate() = default;

  // Headers for datagrams of one size; of a size told when a frame is finished, with a payload of 0. `vlan`
  // -1 is untagged; `dscp` goes into the upper six bits of the traffic class, congestion is not notified
  // (RFC 2474, 3; RFC 3168, 5).
  FrameTemplate(const Endpoint& source, const Endpoint& destination, bool ipv6, int32_t vlan, uint8_t ttl,
                uint8_t dscp, uint32_t payload_length) noexcept {
    uint8_t* at = bytes_;
    memcpy(at, destination.mac, 6);
    memcpy(at + 6, source.mac, 6);
    at += 12;
    if (vlan >= 0) {
      store_be16(at, ETHERTYPE_VLAN);
      store_be16(at + 2, static_cast<uint16_t>(vlan));
      at += VLAN_SIZE;
    }
    store_be16(at, ipv6 ? ETHERTYPE_IPV6 : ETHERTYPE_IPV4);
    at += 2;
    uint32_t udp_length = UDP_SIZE + payload_length;
    at = ipv6 ? write_ipv6(at, source, destination, ttl, dscp, udp_length)
              : write_ipv4(at, source, destination, ttl, dscp, udp_length);
    store_be16(at, source.port);
    store_be16(at + 2, destination.port);
    store_be16(at + 4, static_cast<uint16_t>(udp_length));
    store_be16(at + 6, 0);
    ipv6_ = ipv6;
    header_length_ = static_cast<uint32_t>(at + UDP_SIZE - bytes_);
    payload_length_ = payload_length;
    ip_sum_ = ipv6 ? 0 : checksum_fold(checksum_add(0, at - IPV4_SIZE, 10));
    if (!ipv6) ip_sum_ += checksum_fold(checksum_add(0, at - IPV4_SIZE + 12, 8));
    sum_ = checksum_add_word(0, __builtin_bswap16(static_cast<uint16_t>(udp_length)));
    sum_ = checksum_add_word(sum_, static_cast<uint64_t>(PROTOCOL_UDP) << 8);
    uint32_t address_size = ipv6 ? 16 : 4;
    sum_ = checksum_add(sum_, source.address, address_size);
    sum_ = checksum_add(sum_, destination.address, address_size);
    sum_ = checksum_add(sum_, at, UDP_SIZE);
  }

  uint32_t frame_length() const noexcept { return header_length_ + payload_length_; }
  uint32_t header_length() const noexcept { return header_length_; }
  const uint8_t* headers() const noexcept { return bytes_; }  // the UDP checksum is still to come
  uint64_t sum() const noexcept { return sum_; }              // of the pseudo header and the UDP header

  // Writes the headers; the payload goes to the address returned.
  uint8_t* begin(uint8_t* frame) const noexcept {
    memcpy(frame, bytes_, sizeof bytes_);  // a constant size, so that it is a few vector moves
    return frame + header_length_;
  }

  // The payload is in place: completes the UDP checksum.
  void finish(uint8_t* frame) const noexcept {
    uint64_t sum = checksum_add(sum_, frame + header_length_, payload_length_);
    uint16_t checksum = static_cast<uint16_t>(~checksum_fold(sum));
    if (checksum == 0) checksum = 0xffff;  // zero would mean "none" (RFC 768)
    memcpy(frame + header_length_ - 2, &checksum, 2);
  }

  // The same for a payload of any size, which the headers do not know yet. Returns the length of the frame.
  uint32_t finish(uint8_t* frame, uint32_t payload_length) const noexcept {
    uint8_t* udp = frame + header_length_ - UDP_SIZE;
    uint64_t length = __builtin_bswap16(static_cast<uint16_t>(payload_length));
    store_be16(udp + 4, static_cast<uint16_t>(UDP_SIZE + payload_length));
    if (ipv6_) {
      store_be16(udp - IPV6_SIZE + 4, static_cast<uint16_t>(UDP_SIZE + payload_length));
    } else {
      uint8_t* ip = udp - IPV4_SIZE;
      store_be16(ip + 2, static_cast<uint16_t>(IPV4_SIZE + UDP_SIZE + payload_length));
      // What was just written is not read again: that would wait for the stores.
      uint16_t checksum = static_cast<uint16_t>(~checksum_fold(ip_sum_ + length));
      memcpy(ip + 10, &checksum, 2);
    }
    // The length is in the pseudo header and in the UDP header.
    uint64_t sum = checksum_add_word(checksum_add_word(sum_, length), length);
    sum = checksum_add(sum, frame + header_length_, payload_length);
    uint16_t checksum = static_cast<uint16_t>(~checksum_fold(sum));
    if (checksum == 0) checksum = 0xffff;
    memcpy(udp + 6, &checksum, 2);
    return header_length_ + payload_length;
  }

  // begin() writes this much, past short headers.
  static constexpr uint32_t HEADER_SPACE = 72;
  static_assert(MAX_HEADER_SIZE <= HEADER_SPACE);

  // So a frame buffer must hold this many bytes at least.
  static constexpr uint32_t MIN_BUFFER = 128;

 private:
  static uint8_t* write_ipv4(uint8_t* ip, const Endpoint& source, const Endpoint& destination, uint8_t ttl,
                             uint8_t dscp, uint32_t udp_length) noexcept {
    memset(ip, 0, IPV4_SIZE);
    ip[0] = 0x45;
    ip[1] = static_cast<uint8_t>(dscp << 2);
    store_be16(ip + 2, static_cast<uint16_t>(IPV4_SIZE + udp_length));
    store_be16(ip + 6, 0x4000);  // DF: never fragmented, so the identification may stay 0 (RFC 6864, 4.1)
    ip[8] = ttl;
    ip[9] = PROTOCOL_UDP;
    memcpy(ip + 12, source.address, 4);
    memcpy(ip + 16, destination.address, 4);
    uint16_t checksum = static_cast<uint16_t>(~checksum_fold(checksum_add(0, ip, IPV4_SIZE)));
    memcpy(ip + 10, &checksum, 2);
    return ip + IPV4_SIZE;
  }

  static uint8_t* write_ipv6(uint8_t* ip, const Endpoint& source, const Endpoint& destination, uint8_t ttl,
                             uint8_t dscp, uint32_t udp_length) noexcept {
    memset(ip, 0, IPV6_SIZE);
    store_be16(ip, static_cast<uint16_t>(0x6000 | dscp << 6));
    store_be16(ip + 4, static_cast<uint16_t>(udp_length));
    ip[6] = PROTOCOL_UDP;
    ip[7] = ttl;
    memcpy(ip + 8, source.address, 16);
    memcpy(ip + 24, destination.address, 16);
    return ip + IPV6_SIZE;
  }

  uint8_t bytes_[HEADER_SPACE] = {};  // MAX_HEADER_SIZE, rounded up
  uint32_t header_length_ = 0;
  uint32_t payload_length_ = 0;
  bool ipv6_ = false;
  uint64_t sum_ = 0;     // pseudo header and UDP header
  uint64_t ip_sum_ = 0;  // IPv4 header without its checksum, for a payload of 0
};

// Bytes behind the IP packet, up to a length: an Ethernet trailer, which no receiver looks at (RFC
// 1122, 2.3.3: the IP length says where the packet ends). Returns the length of the frame.
inline uint32_t pad_frame(uint8_t* frame, uint32_t length, uint32_t wanted) noexcept {
  if (wanted <= length) return length;
  memset(frame + length, 0, wanted - length);
  return wanted;
}

}  // namespace carom
