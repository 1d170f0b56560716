#include "capture/inspect.h"

#include "capture/checksums.h"

namespace carom {

Inspection::Inspection(const InspectConfig& config)
    : filter_(config.filter),
      from_ns_(config.from_ns),
      to_ns_(config.to_ns),
      trading_(config.tick_port, config.order_port) {}

void Inspection::add(const CapturedFrame& frame, const CapturedFrame* ethernet) {
  number_ = frame.number;
  if (!began_) begin_ns_ = frame.time_ns;
  began_ = true;
  if (!wanted(frame, ethernet)) return;
  time(frame.time_ns, frame.length);
  counters_.frames++;
  counters_.bytes += frame.length;
  counters_.captured += frame.captured;
  counters_.truncated += frame.captured < frame.length;
  counters_.empty += frame.length == 0;
  counters_.shortest = std::min<uint64_t>(counters_.shortest, frame.length);
  counters_.longest = std::max<uint64_t>(counters_.longest, frame.length);
  FrameCount& size = counters_.sizes[size_range(frame.length)];
  size.frames++;
  size.bytes += frame.length;
  if (ethernet == nullptr) {
    counters_.unconverted++;
    return;
  }
  Layers found = find_layers(ethernet->data, ethernet->captured);
  // Of a fragmented datagram only the first part has them: all parts are one conversation.
  if (found.fragment) found.ports = false;
  classify(found);
  if (!found.ip()) return;
  check(*ethernet, found);
  converse(ethernet->data, found, frame.length);
  bool udp = found.ports && found.protocol == PROTOCOL_UDP;
  if (udp && trading_.wants(load_be16(ethernet->data + found.payload + 2))) {
    trading_.add(ethernet->data, ethernet->captured, frame.time_ns);
  }
}

bool Inspection::wanted(const CapturedFrame& frame, const CapturedFrame* ethernet) noexcept {
  uint64_t after_ns = frame.time_ns > begin_ns_ ? frame.time_ns - begin_ns_ : 0;
  if (after_ns < from_ns_ || after_ns >= to_ns_) {
    counters_.outside++;
    return false;
  }
  if (is_match(filter_, ethernet)) return true;
  counters_.filtered++;
  return false;
}

// Before the frame is counted.
void Inspection::time(uint64_t time_ns, uint32_t length) {
  if (counters_.frames == 0) {
    counters_.first_ns = time_ns;
  } else if (time_ns >= counters_.last_ns) {
    gaps_.record(time_ns - counters_.last_ns);
  } else {
    if (counters_.backwards++ == 0) counters_.backwards_frame = number_;
    counters_.backwards_max_ns = std::max(counters_.backwards_max_ns, counters_.last_ns - time_ns);
  }
  counters_.last_ns = time_ns;
  counters_.least_ns = std::min(counters_.least_ns, time_ns);
  counters_.most_ns = std::max(counters_.most_ns, time_ns);
  rate_.add(time_ns > counters_.first_ns ? time_ns - counters_.first_ns : 0, length);
  bursts_.add(time_ns, length);
}

void Inspection::classify(const Layers& found) noexcept {
  if (found.tags != 0) count(FrameKind::vlan);
  if (!found.ip()) {
    bool ip = found.ethertype == ETHERTYPE_IPV4 || found.ethertype == ETHERTYPE_IPV6;
    count(found.network == 0                 ? FrameKind::runt
          : ip                               ? FrameKind::bad_ip
          : found.ethertype == ETHERTYPE_ARP ? FrameKind::arp
                                             : FrameKind::other_ethertype);
    return;
  }
  count(found.ipv6 ? FrameKind::ipv6 : FrameKind::ipv4);
  if (found.fragment) count(FrameKind::fragment);
  if (found.options) count(FrameKind::ip_options);
  switch (found.protocol) {
    case PROTOCOL_UDP:
      count(FrameKind::udp);
      break;
    case PROTOCOL_TCP:
      count(FrameKind::tcp);
      break;
    case PROTOCOL_ICMP:
    case PROTOCOL_ICMP6:
      count(FrameKind::icmp);
      break;
    case PROTOCOL_IGMP:
      count(FrameKind::igmp);
      break;
    default:
      count(FrameKind::other_protocol);
  }
}

void Inspection::check(const CapturedFrame& ethernet, const Layers& found) noexcept {
  if (check_header(ethernet.data, ethernet.captured, found) == ChecksumState::bad) count(BadChecksum::ip);
  bool tcp = found.protocol == PROTOCOL_TCP;
  ChecksumState state = check_transport(ethernet.data, found);
  if (state == ChecksumState::bad) count(tcp ? BadChecksum::tcp : BadChecksum::udp);
  if (state == ChecksumState::unfinished) count(BadChecksum::unfinished);
}

void Inspection::converse(const uint8_t* frame, const Layers& found, uint32_t length) {
  ConversationKey key{};
  memcpy(key.address[0].data(), frame + found.source(), found.address_size());
  memcpy(key.address[1].data(), frame + found.destination(), found.address_size());
  uint16_t port = found.ports ? load_be16(frame + found.payload + 2) : 0;
  key.port[0] = found.ports ? load_be16(frame + found.payload) : 0;
  key.port[1] = port;
  key.protocol = found.protocol;
  key.ipv6 = found.ipv6;
  key.has_ports = found.ports;
  bool swapped =
      key.address[1] < key.address[0] || (key.address[0] == key.address[1] && key.port[1] < key.port[0]);
  if (swapped) {
    std::swap(key.address[0], key.address[1]);
    std::swap(key.port[0], key.port[1]);
  }
  conversations_.at(key).add({1, length, swapped ? 0u : 1u});
  uint8_t mac[6];
  if (!group_mac(frame + found.destination(), found.ipv6, mac)) return;
  GroupKey group{};
  memcpy(group.address.data(), frame + found.destination(), found.address_size());
  group.port = port;
  group.ipv6 = found.ipv6;
  group.has_port = found.ports;
  groups_.at(group).add({{1, length}});
}

std::unique_ptr<InspectResult> inspect_capture(const InspectConfig& config, InspectProgress& progress) {
  std::unique_ptr<InspectResult> result(new InspectResult{{}, Inspection(config)});
  Inspection& inspection = result->inspection;
  result->file = read_capture(
      config.path, progress,
      [&](const CapturedFrame& frame, const CapturedFrame* ethernet) { inspection.add(frame, ethernet); });
  inspection.finish();
  return result;
}

}  // namespace carom
