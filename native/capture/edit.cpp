#include "capture/edit.h"

#include <algorithm>
#include <cstring>

#include "capture/checksums.h"
#include "capture/ethernet.h"

namespace carom {
namespace {

constexpr uint32_t ARP_SIZE = 28;
constexpr uint32_t ARP_SENDER = 14;  // addresses in ARP for IPv4 (RFC 826)
constexpr uint32_t ARP_TARGET = 24;
constexpr uint32_t ICMP_CHECKSUM_AT = 2;  // in the header of ICMP and ICMPv6

// RFC 1624, equation 3, in memory order.
void patch(uint8_t* checksum, uint64_t removed, uint64_t added, bool zero_is_none) noexcept {
  uint16_t stored;
  memcpy(&stored, checksum, 2);
  if (zero_is_none && stored == 0) return;
  uint64_t sum = static_cast<uint16_t>(~stored);
  sum += static_cast<uint16_t>(~checksum_fold(removed));
  sum += checksum_fold(added);
  stored = static_cast<uint16_t>(~checksum_fold(sum));
  if (zero_is_none && stored == 0) stored = 0xffff;
  memcpy(checksum, &stored, 2);
}

void patch_transport(uint8_t* frame, const Layers& layers, uint64_t removed, uint64_t added) noexcept {
  if (layers.checksum == 0) return;
  patch(frame + layers.checksum, removed, added, layers.protocol == PROTOCOL_UDP);
}

// An address of an IP header or a routing header: in IPv4's own checksum, and in the transport's, if that
// counts it. ICMP's does not.
void replace_address(uint8_t* frame, const Layers& layers, uint32_t at, const uint8_t* address) noexcept {
  uint32_t size = layers.address_size();
  uint64_t removed = checksum_add(0, frame + at, size);
  uint64_t added = checksum_add(0, address, size);
  memcpy(frame + at, address, size);
  if (layers.ipv4) patch(frame + layers.network + 10, removed, added, false);
  bool is_counted = at == layers.source() || at == layers.final_destination;
  if (is_counted && layers.protocol != PROTOCOL_ICMP) patch_transport(frame, layers, removed, added);
}

// ICMP (RFC 792) and ICMPv6 (RFC 4443) errors quote the packet that they are about.
bool is_error(const uint8_t* frame, const Layers& layers) noexcept {
  uint8_t type = frame[layers.transport];
  if (layers.protocol == PROTOCOL_ICMP6) return type >= 1 && type <= 4;
  return type == 3 || type == 4 || type == 5 || type == 11 || type == 12;
}

// A length of 0 that was left to a NIC; the packet may be longer than the field can say.
void mend_length(uint8_t* frame, Layers& layers) noexcept {
  uint32_t size = layers.end - layers.network - (layers.ipv6 ? IPV6_SIZE : 0);
  if (!layers.unsized || size > UINT16_MAX) return;
  store_be16(frame + layers.network + (layers.ipv6 ? 4 : 2), static_cast<uint16_t>(size));
  layers.unsized = false;
}

}  // namespace

uint32_t FrameEditor::edit(uint8_t* frame, uint32_t length) const noexcept {
  if (length < ETHERNET_SIZE) return length;
  if (config_.sets_source_mac) memcpy(frame + 6, config_.source_mac, 6);
  if (config_.sets_target_mac && (frame[0] & 1) == 0) memcpy(frame, config_.target_mac, 6);
  if (config_.vlan != EditConfig::AS_IT_IS) length = set_tag(frame, length);
  Layers layers = find_layers(frame, length);
  if (layers.ethertype == ETHERTYPE_ARP && layers.network + ARP_SIZE <= length) {
    map_address(frame + layers.network + ARP_SENDER, false);
    map_address(frame + layers.network + ARP_TARGET, false);
  }
  if (!layers.ip()) return length;
  // A group's frames go to the group's own MAC address.
  if (map_addresses(frame, layers)) group_mac(frame + layers.destination(), layers.ipv6, frame);
  map_ports(frame, layers);
  if (layers.transport != 0 && checksum_in_header(layers) == ICMP_CHECKSUM_AT)
    map_in_icmp(frame, length, layers);
  if (config_.ttl >= 0 && layers.ipv6) frame[layers.network + 7] = static_cast<uint8_t>(config_.ttl);
  if (config_.ttl >= 0 && layers.ipv4) {
    uint8_t* word = frame + layers.network + 8;  // with the protocol, as a checksum goes by pairs
    uint64_t removed = checksum_add(0, word, 2);
    word[0] = static_cast<uint8_t>(config_.ttl);
    patch(frame + layers.network + 10, removed, checksum_add(0, word, 2), false);
  }
  if (config_.mends) {
    mend_length(frame, layers);
    mend_checksums(frame, layers);
  }
  return length;
}

uint32_t FrameEditor::set_tag(uint8_t* frame, uint32_t length) const noexcept {
  constexpr uint32_t TAG = 12;
  if (config_.vlan == EditConfig::UNTAGGED) {
    while (length >= ETHERNET_SIZE + VLAN_SIZE && is_tag(load_be16(frame + TAG))) {
      length -= VLAN_SIZE;
      memmove(frame + TAG, frame + TAG + VLAN_SIZE, length - TAG);
    }
    return length;
  }
  auto identifier = static_cast<uint16_t>(config_.vlan);
  if (is_tag(load_be16(frame + TAG)) && length >= ETHERNET_SIZE + VLAN_SIZE) {
    uint16_t priority = load_be16(frame + ETHERNET_SIZE) & 0xf000;
    store_be16(frame + ETHERNET_SIZE, static_cast<uint16_t>(priority | identifier));
    return length;
  }
  memmove(frame + TAG + VLAN_SIZE, frame + TAG, length - TAG);
  store_be16(frame + TAG, ETHERTYPE_VLAN);
  store_be16(frame + TAG + 2, identifier);
  return length + VLAN_SIZE;
}

bool FrameEditor::map_address(uint8_t* address, bool ipv6) const noexcept {
  for (const AddressMap& map : config_.addresses) {
    if (map.ipv6 != ipv6) continue;
    uint32_t whole = map.prefix / 8;
    auto mask = static_cast<uint8_t>(map.prefix % 8 == 0 ? 0 : 0xff << (8 - map.prefix % 8));
    if (memcmp(address, map.from, whole) != 0) continue;
    if (mask != 0 && ((address[whole] ^ map.from[whole]) & mask) != 0) continue;
    memcpy(address, map.to, whole);
    if (mask != 0) address[whole] = static_cast<uint8_t>((address[whole] & ~mask) | (map.to[whole] & mask));
    return true;
  }
  return false;
}

// Those of the IP header, and those on the way in a routing header. Says whether the destination is another.
bool FrameEditor::map_addresses(uint8_t* frame, const Layers& layers) const noexcept {
  if (config_.addresses.empty()) return false;
  auto map = [&](uint32_t at) {
    uint8_t address[16];
    memcpy(address, frame + at, layers.address_size());
    if (!map_address(address, layers.ipv6)) return false;
    replace_address(frame, layers, at, address);
    return true;
  };
  map(layers.source());
  bool is_other = map(layers.destination());
  for (uint32_t i = 0; i < layers.segment_count; i++) map(layers.segments + 16 * i);
  return is_other;
}

// A fragment of TCP that has the ports but not the checksum keeps them: who has the checksum does not know.
void FrameEditor::map_ports(uint8_t* frame, const Layers& layers) const noexcept {
  if (!layers.ports || (layers.fragment && layers.checksum == 0)) return;
  for (uint32_t at : {layers.payload, layers.payload + 2}) {
    uint16_t port = load_be16(frame + at);
    for (const PortMap& map : config_.ports) {
      if (map.from != port) continue;
      uint8_t bytes[2];
      store_be16(bytes, map.to);
      overwrite(frame, layers, at, bytes, 2);
      break;
    }
  }
}

// Addresses and ports in the packet that an error quotes, with that packet's checksums, as far as it has
// them; and the addresses that ICMP itself tells: of a redirect's gateway (RFC 792), and of a neighbour (RFC
// 4861).
void FrameEditor::map_in_icmp(uint8_t* frame, uint32_t length, const Layers& layers) const noexcept {
  constexpr uint32_t HEADER = 8;
  const uint32_t there = std::min(length, layers.end);
  const uint32_t at = layers.transport + 4;
  if (at + 4 > there) return;
  const uint64_t removed = checksum_add(0, frame + at, there - at);
  const uint8_t type = frame[layers.transport];
  auto map = [&](uint32_t address) {
    if (address + layers.address_size() <= there) map_address(frame + address, layers.ipv6);
  };
  if (layers.ipv4 && type == 5) map(at);
  bool is_neighbour = layers.ipv6 && type >= 135 && type <= 137;
  if (is_neighbour) map(layers.transport + HEADER);
  if (is_neighbour && type == 137) map(layers.transport + HEADER + 16);
  if (is_error(frame, layers)) {
    Layers quoted;
    quoted.ethertype = layers.ethertype;
    find_ip(frame, there, layers.transport + HEADER, quoted);
    if (quoted.ip()) {
      map_addresses(frame, quoted);
      map_ports(frame, quoted);
    }
  }
  patch_transport(frame, layers, removed, checksum_add(0, frame + at, there - at));
}

void set_source(uint8_t* frame, const Layers& layers, const uint8_t* address) noexcept {
  replace_address(frame, layers, layers.source(), address);
}

void overwrite(uint8_t* frame, const Layers& layers, uint32_t at, const void* bytes, uint32_t size) noexcept {
  uint64_t removed = checksum_add(0, frame + at, size);
  memcpy(frame + at, bytes, size);
  patch_transport(frame, layers, removed, checksum_add(0, frame + at, size));
}

void mend_checksums(uint8_t* frame, const Layers& layers) noexcept {
  auto put = [](uint8_t* at, uint64_t sum, bool zero_is_none) {
    auto made = static_cast<uint16_t>(~checksum_fold(sum));
    if (zero_is_none && made == 0) made = 0xffff;
    memcpy(at, &made, 2);
  };
  if (layers.ipv4) {
    uint8_t* header = frame + layers.network;
    uint32_t size = layers.payload - layers.network;
    // Options may lie beyond the frame: nothing to make it of.
    if (layers.whole || size == IPV4_SIZE) {
      memset(header + 10, 0, 2);
      put(header + 10, checksum_add(0, header, size), false);
    }
  }
  uint32_t at = layers.checksum;
  uint32_t size = summed_size(frame, layers);
  bool udp = layers.protocol == PROTOCOL_UDP;
  if (at == 0 || size == 0 || (udp && layers.ipv4 && all_zero(frame + at, 2))) return;
  memset(frame + at, 0, 2);
  put(frame + at, checksum_add(pseudo_sum(frame, layers, size), frame + layers.transport, size), udp);
}

}  // namespace carom
