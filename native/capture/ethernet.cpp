#include "capture/ethernet.h"

#include <sys/types.h>
// Needs the types above.
#include <pcap/pcap.h>

#include <cstring>

#include "core/error.h"
#include "frame/headers.h"

namespace carom {
namespace {

constexpr uint32_t LARGEST = 262'144;  // bytes that libpcap takes for a record of these link types
constexpr uint32_t COOKED_SIZE = 16;   // https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL.html
constexpr uint32_t COOKED2_SIZE = 20;  // https://www.tcpdump.org/linktypes/LINKTYPE_LINUX_SLL2.html
constexpr uint32_t LOOPBACK_SIZE = 4;
constexpr uint16_t SMALLEST_ETHERTYPE = 0x0600;
constexpr uint8_t COOKED_BROADCAST = 1;
constexpr uint8_t BROADCAST_MAC[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

uint16_t ethertype_of_version(uint8_t first) noexcept {
  if (first >> 4 == 4) return ETHERTYPE_IPV4;
  return first >> 4 == 6 ? ETHERTYPE_IPV6 : 0;
}

// The address family of BSD's loopback, in the byte order of who captured; IPv6 has a number in each system.
uint16_t ethertype_of_family(const uint8_t* at) noexcept {
  uint32_t family;
  memcpy(&family, at, 4);
  if (family > 0xffff) family = __builtin_bswap32(family);
  if (family == 2) return ETHERTYPE_IPV4;
  return family == 10 || family == 24 || family == 28 || family == 30 ? ETHERTYPE_IPV6 : 0;
}

}  // namespace

ToEthernet::ToEthernet(int link_type, const std::string& path, const GivenMacs& macs)
    : kind_(kind_of(link_type, path)), macs_(macs) {
  if (kind_ != Kind::ethernet) frame_.resize(ETHERNET_SIZE + LARGEST);
}

ToEthernet::Kind ToEthernet::kind_of(int link_type, const std::string& path) {
  switch (link_type) {
    case DLT_EN10MB:
      return Kind::ethernet;
    case DLT_RAW:
    case DLT_IPV4:
    case DLT_IPV6:
      return Kind::ip;
    case DLT_LINUX_SLL:
      return Kind::cooked;
    case DLT_LINUX_SLL2:
      return Kind::cooked2;
    case DLT_NULL:
    case DLT_LOOP:
      return Kind::loopback;
  }
  throw Error(ErrorCode::usage, "read the capture " + path,
              "its link type is " + link_type_text(link_type) + ", which can't be turned into Ethernet",
              "captures of Ethernet, raw IP, Linux cooked and loopback interfaces are taken");
}

bool ToEthernet::convert(const CapturedFrame& in, CapturedFrame& out) noexcept {
  if (kind_ == Kind::ethernet) [[likely]] {
    out = in;
    return true;
  }
  uint32_t header = 0;
  uint16_t ethertype = 0;
  const uint8_t* data = in.data;
  if (kind_ == Kind::cooked) header = COOKED_SIZE;
  if (kind_ == Kind::cooked2) header = COOKED2_SIZE;
  if (kind_ == Kind::loopback) header = LOOPBACK_SIZE;
  if (in.captured < header || in.captured - header > LARGEST) return false;
  const uint8_t* packet = data + header;
  uint32_t captured = in.captured - header;
  if (kind_ == Kind::ip && captured != 0) ethertype = ethertype_of_version(*packet);
  if (kind_ == Kind::loopback) ethertype = ethertype_of_family(data);
  if (kind_ == Kind::cooked) ethertype = load_be16(data + 14);
  if (kind_ == Kind::cooked2) ethertype = load_be16(data);
  if (ethertype < SMALLEST_ETHERTYPE) return false;
  address(packet, captured, ethertype);
  if (kind_ == Kind::cooked) cooked_macs(data[1], load_be16(data + 4), data + 6);
  if (kind_ == Kind::cooked2) cooked_macs(data[10], data[11], data + 12);
  store_be16(frame_.data() + 12, ethertype);
  memcpy(frame_.data() + ETHERNET_SIZE, packet, captured);
  out = {in.time_ns, frame_.data(), captured + ETHERNET_SIZE, in.length - header + ETHERNET_SIZE};
  return true;
}

void ToEthernet::address(const uint8_t* packet, uint32_t length, uint16_t ethertype) noexcept {
  memcpy(frame_.data(), macs_.destination, 6);
  memcpy(frame_.data() + 6, macs_.source, 6);
  if (ethertype == ETHERTYPE_IPV4 && length >= IPV4_SIZE) group_mac(packet + 16, false, frame_.data());
  if (ethertype == ETHERTYPE_IPV6 && length >= IPV6_SIZE) group_mac(packet + 24, true, frame_.data());
}

// What a cooked header still knows: who sent it, and whether it went to everybody.
void ToEthernet::cooked_macs(uint8_t type, uint16_t address_length, const uint8_t* address) noexcept {
  if (type == COOKED_BROADCAST) memcpy(frame_.data(), BROADCAST_MAC, 6);
  if (address_length == 6 && !all_zero(address, 6)) memcpy(frame_.data() + 6, address, 6);
}

bool group_mac(const uint8_t* address, bool ipv6, uint8_t mac[6]) noexcept {
  if (ipv6) {
    if (address[0] != 0xff) return false;
    mac[0] = mac[1] = 0x33;
    memcpy(mac + 2, address + 12, 4);
    return true;
  }
  if (address[0] >> 4 != 14) return false;
  mac[0] = 0x01;
  mac[1] = 0x00;
  mac[2] = 0x5e;
  mac[3] = address[1] & 0x7f;
  mac[4] = address[2];
  mac[5] = address[3];
  return true;
}

}  // namespace carom
