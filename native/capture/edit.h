// Changes frames before they are replayed: addresses, ports, tag, TTL; and mends the checksums.
#pragma once

#include <cstdint>
#include <vector>

#include "capture/layers.h"

namespace carom {

struct AddressMap {
  bool ipv6;
  uint8_t prefix;  // bits of `from` that count, and that `to` replaces
  uint8_t from[16];
  uint8_t to[16];
};

struct PortMap {
  uint16_t from;
  uint16_t to;
};

struct EditConfig {
  static constexpr int32_t AS_IT_IS = -2;
  static constexpr int32_t UNTAGGED = -1;

  bool sets_source_mac = false;
  bool sets_target_mac = false;  // of frames to one host: those to groups and to all keep theirs
  uint8_t source_mac[6] = {};
  uint8_t target_mac[6] = {};
  std::vector<AddressMap> addresses = {};  // of sources and destinations; the first that fits
  std::vector<PortMap> ports = {};         // of UDP and TCP
  int32_t vlan = AS_IT_IS;                 // or UNTAGGED, or the identifier
  int32_t ttl = -1;                        // -1: as it is
  bool mends = false;  // every checksum is made anew; otherwise one that was wrong stays wrong

  bool none() const noexcept {
    return !sets_source_mac && !sets_target_mac && addresses.empty() && ports.empty() && vlan == AS_IT_IS &&
           ttl < 0 && !mends;
  }
};

class FrameEditor {
 public:
  explicit FrameEditor(const EditConfig& config) : config_(config) {}

  // In place; there is room for one more tag behind the frame. Returns the length.
  uint32_t edit(uint8_t* frame, uint32_t length) const noexcept;

 private:
  uint32_t set_tag(uint8_t* frame, uint32_t length) const noexcept;
  bool map_addresses(uint8_t* frame, const Layers& layers) const noexcept;
  void map_in_icmp(uint8_t* frame, uint32_t length, const Layers& layers) const noexcept;
  void map_ports(uint8_t* frame, const Layers& layers) const noexcept;
  bool map_address(uint8_t* address, bool ipv6) const noexcept;

  EditConfig config_;
};

// The source address of a frame of IP becomes this one, with the checksums.
void set_source(uint8_t* frame, const Layers& layers, const uint8_t* address) noexcept;

// Writes bytes of a UDP or TCP segment, at an even distance from its beginning, and keeps its checksum as
// right or wrong as it was.
void overwrite(uint8_t* frame, const Layers& layers, uint32_t at, const void* bytes, uint32_t size) noexcept;

// Makes all checksums of the frame anew, as far as it has what they are of.
void mend_checksums(uint8_t* frame, const Layers& layers) noexcept;

}  // namespace carom
