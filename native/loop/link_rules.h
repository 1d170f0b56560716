// Which frames are for a role, as its eBPF program is told.
#pragma once

#include <cstring>

#include "bpf/link_rules.h"
#include "io/packet_io.h"

namespace carom {

inline link_rules link_rules_of(const IoConfig& io) {
  link_rules rules{};
  rules.has_address4 = io.link.has_address4;
  rules.has_address6 = io.link.has_address6;
  memcpy(&rules.address4, io.link.address4, 4);
  memcpy(rules.address6, io.link.address6, 16);
  static_assert(LINK_GROUPS == GROUPS_MAX);
  for (const Group& group : io.groups) {
    if (group.ipv6) {
      memcpy(rules.group6[rules.groups6++], group.address, 16);
    } else {
      memcpy(&rules.group4[rules.groups4++], group.address, 4);
    }
  }
  memcpy(&rules.mac, io.link.mac, 6);
  rules.local_port = __builtin_bswap16(io.local_port);
  rules.vlan = io.vlan < 0 ? 0xffff : __builtin_bswap16(static_cast<uint16_t>(io.vlan));
  return rules;
}

}  // namespace carom
