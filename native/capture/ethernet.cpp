#include "capture/ethernet.h"

#include <cstring>

#include "frame/headers.h"

namespace carom {
namespace {

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

// What a cooked packet's protocol is depends on the ARPHRD_ type of its interface: for these it is no
// EtherType, whatever the number.
bool has_other_protocol(uint16_t arphrd) noexcept {
  constexpr uint16_t FRAD = 770;
  constexpr uint16_t IEEE80211 = 801;
  constexpr uint16_t IEEE80211_RADIOTAP = 803;
  constexpr uint16_t NETLINK = 824;
  return arphrd == FRAD || arphrd == NETLINK || (arphrd >= IEEE80211 && arphrd <= IEEE80211_RADIOTAP);
}

Error useless_error(const CaptureReader& reader) {
  return Error(ErrorCode::usage, "read the capture " + reader.path(),
               "its link type is " + reader.link_types_text() + ", which can't be turned into Ethernet",
               "captures of Ethernet, raw IP, Linux cooked and loopback interfaces are taken");
}

}  // namespace

ToEthernet::ToEthernet(const CaptureReader& reader, const GivenMacs& macs)
    : macs_(macs), frame_(std::make_unique_for_overwrite<uint8_t[]>(ETHERNET_SIZE + CAPTURED_MAX)) {
  if (reader.format() == CaptureFormat::pcapng) return;
  uint32_t link_type = reader.link_types().front();
  if (link_type != LINK_TYPE_ETHERNET && kind_of(link_type) == Kind::other) throw useless_error(reader);
}

ToEthernet::Kind ToEthernet::kind_of(uint32_t link_type) noexcept {
  switch (link_type) {
    case 12:   // as Linux, FreeBSD and others number raw IP, and some write it
    case 14:   // as OpenBSD does
    case 101:  // LINKTYPE_RAW
    case 228:  // LINKTYPE_IPV4
    case 229:  // LINKTYPE_IPV6
      return Kind::ip;
    case 113:  // LINKTYPE_LINUX_SLL
      return Kind::cooked;
    case 276:  // LINKTYPE_LINUX_SLL2
      return Kind::cooked2;
    case 0:    // LINKTYPE_NULL
    case 108:  // LINKTYPE_LOOP
      return Kind::loopback;
  }
  return Kind::other;
}

std::optional<Error> ToEthernet::useless(const CaptureReader& reader) const {
  uint64_t refused = 0;
  for (const auto& [link_type, count] : link_types_) refused += count.frames;
  if (refused == 0 || refused < reader.end().frames) return std::nullopt;
  return useless_error(reader);
}

bool ToEthernet::refuse(const CapturedFrame& in, Refused& as) noexcept {
  if (as.frames++ == 0) as.first = in.number;
  return false;
}

void ToEthernet::add_remarks(std::vector<CaptureRemark>& to) const {
  auto add = [&](const char* kind, const std::string& text, const Refused& refused) {
    if (refused.frames != 0) to.push_back({kind, text, refused.frames, refused.first, true, false});
  };
  for (const auto& [link_type, refused] : link_types_)
    add("link_type", "of link type " + link_type_text(link_type) + ", which can't be made Ethernet", refused);
  add("no_ethertype", "that can't be made Ethernet: no EtherType, or too short", contents_);
}

bool ToEthernet::make(const CapturedFrame& in, CapturedFrame& out) noexcept {
  const Kind kind = kind_of(in.link_type);
  if (kind == Kind::other) return refuse(in, link_types_[in.link_type]);
  uint32_t header = 0;
  uint16_t ethertype = 0;
  const uint8_t* data = in.data;
  if (kind == Kind::cooked) header = COOKED_SIZE;
  if (kind == Kind::cooked2) header = COOKED2_SIZE;
  if (kind == Kind::loopback) header = LOOPBACK_SIZE;
  if (in.captured < header) return refuse(in, contents_);
  const uint8_t* packet = data + header;
  uint32_t captured = in.captured - header;
  if (kind == Kind::ip && captured != 0) ethertype = ethertype_of_version(*packet);
  if (kind == Kind::loopback) ethertype = ethertype_of_family(data);
  if (kind == Kind::cooked) ethertype = load_be16(data + 14);
  if (kind == Kind::cooked2) ethertype = load_be16(data);
  bool is_other = (kind == Kind::cooked && has_other_protocol(load_be16(data + 2))) ||
                  (kind == Kind::cooked2 && has_other_protocol(load_be16(data + 8)));
  if (ethertype < SMALLEST_ETHERTYPE || is_other) return refuse(in, contents_);
  address(packet, captured, ethertype);
  if (kind == Kind::cooked) cooked_macs(data[1], load_be16(data + 4), data + 6);
  if (kind == Kind::cooked2) cooked_macs(data[10], data[11], data + 12);
  store_be16(frame_.get() + 12, ethertype);
  memcpy(frame_.get() + ETHERNET_SIZE, packet, captured);
  out = in;
  out.data = frame_.get();
  out.captured = captured + ETHERNET_SIZE;
  out.length = in.length - header + ETHERNET_SIZE;
  return true;
}

void ToEthernet::address(const uint8_t* packet, uint32_t length, uint16_t ethertype) noexcept {
  memcpy(frame_.get(), macs_.destination, 6);
  memcpy(frame_.get() + 6, macs_.source, 6);
  if (ethertype == ETHERTYPE_IPV4 && length >= IPV4_SIZE) group_mac(packet + 16, false, frame_.get());
  if (ethertype == ETHERTYPE_IPV6 && length >= IPV6_SIZE) group_mac(packet + 24, true, frame_.get());
}

// What a cooked header still knows: who sent it, and whether it went to everybody.
void ToEthernet::cooked_macs(uint8_t type, uint16_t address_length, const uint8_t* address) noexcept {
  if (type == COOKED_BROADCAST) memcpy(frame_.get(), BROADCAST_MAC, 6);
  if (address_length == 6 && !all_zero(address, 6)) memcpy(frame_.get() + 6, address, 6);
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
