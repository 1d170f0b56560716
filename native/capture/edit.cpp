#include "capture/edit.h"

#include <cstring>

#include "capture/checksums.h"
#include "capture/ethernet.h"

namespace carom {
namespace {

constexpr uint32_t ARP_SIZE = 28;
constexpr uint32_t ARP_SENDER = 14;  // addresses in ARP for IPv4 (RFC 826)
constexpr uint32_t ARP_TARGET = 24;

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

// Of addresses and ports, which ICMP's checksum has no part in.
void patch_transport(uint8_t* frame, const Layers& layers, uint64_t removed, uint64_t added) noexcept {
  uint32_t at = layers.protocol == PROTOCOL_ICMP ? 0 : checksum_place(layers);
  if (at != 0) patch(frame + at, removed, added, layers.protocol == PROTOCOL_UDP);
}

// An address of an IP header: in its own checksum, if it has one, and in the transport's.
void replace_address(uint8_t* frame, const Layers& layers, uint32_t at, const uint8_t* address) noexcept {
  uint32_t size = layers.address_size();
  uint64_t removed = checksum_add(0, frame + at, size);
  uint64_t added = checksum_add(0, address, size);
  memcpy(frame + at, address, size);
  if (layers.ipv4) patch(frame + layers.network + 10, removed, added, false);
  patch_transport(frame, layers, removed, added);
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
  if (!config_.addresses.empty()) map_addresses(frame, layers);
  if (!config_.ports.empty() && layers.ports) map_ports(frame, layers);
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

void FrameEditor::map_addresses(uint8_t* frame, const Layers& layers) const noexcept {
  for (uint32_t at : {layers.source(), layers.destination()}) {
    uint8_t address[16];
    memcpy(address, frame + at, layers.address_size());
    if (!map_address(address, layers.ipv6)) continue;
    replace_address(frame, layers, at, address);
    // A group's frames go to the group's own MAC address.
    if (at == layers.destination()) group_mac(address, layers.ipv6, frame);
  }
}

void FrameEditor::map_ports(uint8_t* frame, const Layers& layers) const noexcept {
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
  uint32_t at = checksum_place(layers);
  uint32_t size = summed_size(frame, layers);
  bool udp = layers.protocol == PROTOCOL_UDP;
  if (at == 0 || size == 0 || (udp && layers.ipv4 && all_zero(frame + at, 2))) return;
  memset(frame + at, 0, 2);
  put(frame + at, checksum_add(pseudo_sum(frame, layers, size), frame + layers.transport, size), udp);
}

}  // namespace carom
