// What a frame is known by in two captures: a hash of its bytes, without those that change on the way.
#pragma once

#include <cstdint>
#include <random>
#include <vector>

namespace carom {

// What is left out.
struct IgnoredFields {
  bool mac = false;        // both addresses
  bool vlan = false;       // tags: one may be added, changed or taken away
  bool ttl = false;        // or hop limit; and the IPv4 checksum with it
  bool dscp = false;       // and ECN; and the IPv4 checksum with it
  bool checksum = false;   // of IPv4, UDP and TCP
  bool ip = false;         // both addresses, and all checksums with them
  bool port = false;       // both, of UDP and TCP, and their checksums
  bool timestamp = false;  // of native ticks and orders, the clOrdId, and the checksums
  bool padding = false;    // what is behind the IP packet

  bool any() const noexcept {
    return mac || vlan || ttl || dscp || checksum || ip || port || timestamp || padding;
  }
};

class Fingerprint {
 public:
  Fingerprint(const IgnoredFields& ignored, uint16_t tick_port, uint16_t order_port)
      : ignored_(ignored), tick_port_(tick_port), order_port_(order_port) {}

  // Of an Ethernet frame. Another object has other values.
  uint64_t of(const uint8_t* frame, uint32_t captured);

 private:
  uint32_t blank(uint8_t* frame, uint32_t captured) const noexcept;

  IgnoredFields ignored_;
  uint16_t tick_port_;
  uint16_t order_port_;
  std::vector<uint8_t> copy_;
  // By chance, so that no capture can be made whose frames all fall on one slot.
  uint64_t seed_ = uint64_t{std::random_device{}()} << 32 | std::random_device{}();
};

}  // namespace carom
