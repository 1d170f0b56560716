// Where things are in Ethernet, IPv4, IPv6 and UDP headers, and unaligned access in network order.
#pragma once

#include <cstdint>
#include <cstring>

namespace carom {

constexpr uint32_t ETHERNET_SIZE = 14;
constexpr uint32_t VLAN_SIZE = 4;
constexpr uint32_t IPV4_SIZE = 20;  // without options
constexpr uint32_t IPV6_SIZE = 40;
constexpr uint32_t UDP_SIZE = 8;
constexpr uint32_t TCP_SIZE = 20;  // without options
constexpr uint32_t MAX_HEADER_SIZE = ETHERNET_SIZE + VLAN_SIZE + IPV6_SIZE + UDP_SIZE;

constexpr uint16_t ETHERTYPE_IPV4 = 0x0800;
constexpr uint16_t ETHERTYPE_IPV6 = 0x86dd;
constexpr uint16_t ETHERTYPE_ARP = 0x0806;
constexpr uint16_t ETHERTYPE_VLAN = 0x8100;
constexpr uint16_t ETHERTYPE_SERVICE_VLAN = 0x88a8;  // IEEE 802.1ad
constexpr uint8_t PROTOCOL_ICMP = 1;
constexpr uint8_t PROTOCOL_IGMP = 2;
constexpr uint8_t PROTOCOL_TCP = 6;
constexpr uint8_t PROTOCOL_UDP = 17;
constexpr uint8_t PROTOCOL_ICMP6 = 58;

inline uint16_t load_be16(const uint8_t* at) noexcept {
  uint16_t value;
  memcpy(&value, at, 2);
  return __builtin_bswap16(value);
}

inline void store_be16(uint8_t* at, uint16_t value) noexcept {
  value = __builtin_bswap16(value);
  memcpy(at, &value, 2);
}

inline bool all_zero(const uint8_t* bytes, uint32_t length) noexcept {
  uint8_t any = 0;
  for (uint32_t i = 0; i < length; i++) any |= bytes[i];
  return any == 0;
}

}  // namespace carom
