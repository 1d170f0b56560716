// The role that captures: takes what a tap sees, and hands it to the thread that writes it.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "capture/writer.h"
#include "io/packet_tap.h"
#include "loop/role.h"

namespace carom {

struct CaptureConfig {
  IoConfig io;  // the link and the core
  TapConfig tap;
  CaptureOutput output;
  uint64_t count;        // frames, 0 for no limit
  uint64_t duration_ns;  // 0 for no limit
};

// Each frame that the filter took is once in written, ring_drops, or among those that the writer dropped.
struct CaptureCounters {
  Counter frames;            // that came out of the kernel's ring and were wanted
  Counter bytes;             // of them, on the wire
  Counter captured_bytes;    // of them, kept
  Counter filtered;          // did not match, where the filter is not the kernel's
  Counter ring_drops;        // found no room in the kernel's ring
  Counter interface_drops;   // dropped by the interface, by its own count: it does not tell which
  Counter hardware_stamped;  // frames with the NIC's timestamp; the others have the kernel's
  Counter in;
  Counter out;
  Counter first_ns;  // since the epoch
  Counter last_ns;
};

struct CaptureRole : Role {
  explicit CaptureRole(const CaptureConfig& config) : Role(config.io), config(config) {}
  ~CaptureRole() { close(); }  // before what the thread uses goes

  const CaptureConfig config;
  CaptureCounters counters;
  std::optional<Error> failure;           // what ended it early, but for the writer's
  std::unique_ptr<CaptureWriter> writer;  // once opened
};

// What the role's thread runs.
void capture(CaptureRole& role);

}  // namespace carom
