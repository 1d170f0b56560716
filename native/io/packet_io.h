// How frames move: the interface that all backends share, and what they are given.
#pragma once

#include <array>
#include <concepts>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/counters.h"
#include "filter/filter.h"

namespace carom {

enum class Provenance { hardware, kernel, tsc };

// An interface in a namespace, with its addresses: where a role is attached.
struct Link {
  std::string network_namespace;  // path, "" for the process's own
  std::string interface_name;
  uint8_t mac[6];
  uint8_t address4[4];
  uint8_t address6[16];
  bool has_address4;
  bool has_address6;
  uint32_t mtu;
};

// A multicast group, IPv4 in the first four bytes.
struct Group {
  bool ipv6;
  uint8_t address[16];
};

constexpr uint32_t GROUPS_MAX = 16;

struct IoConfig {
  Link link;
  uint32_t queue;
  std::vector<uint32_t> more_queues;  // by which frames come, too: received from by the same thread
  int cpu;                            // -1: not pinned
  uint32_t ring_size;                 // frames, a power of two
  uint16_t local_port;
  uint16_t send_port;
  std::vector<Group> groups;  // to join, at most GROUPS_MAX
  int32_t vlan;               // -1: untagged
  uint8_t ttl;
  uint8_t dscp;   // of what a responder sends
  bool receives;  // false for a generator that expects no answers
  uint32_t busy_poll_us;
  std::string copy_mode;  // auto, copy, zero-copy
  std::string xdp_mode;   // auto, native, generic
  Provenance timestamps;
  bool rx_stamps;
  bool tx_stamps;
  uint64_t stall_threshold_ns;
  bool stamps_arrivals;  // a responder with an XDP program has it stamp each tick (io/arrivals.h)
  bool stamps_any;       // or any frame, by what its sender says of it
  bool launches;         // each frame says when the NIC is to send it (io/launch.h): af_packet, udp
  std::shared_ptr<const Filter> filter;  // which frames for the port are wanted; null: all
};

// A borrowed view of a frame: valid until it is released (rx) or submitted (tx).
struct Frame {
  uint8_t* data;
  uint32_t length;
  bool checksums_verified;  // by the kernel or the NIC
  // Of a received one: when, by the stamp clock, 0 for none. Of one to be sent that the NIC launches: when,
  // by its clock.
  uint64_t stamp_ns;
};

// Batches of them, for the packet filter.
constexpr FrameLayout IO_FRAMES{sizeof(Frame), offsetof(Frame, data), offsetof(Frame, length),
                                offsetof(Frame, length)};

// When a frame left. `index` counts the frames submitted on this backend, from 0.
struct TxStamp {
  uint32_t index;
  uint64_t stamp_ns;
};

struct IoCounters {
  static constexpr uint32_t QUEUES = 64;
  Counter tx_full;          // no room for a frame: asked again later
  Counter tx_refused;       // the kernel did not take a frame: asked again later
  Counter fill_ring_empty;  // af_xdp: frames for us that the kernel had no buffer for
  Counter tx_invalid;       // af_xdp: descriptors that the kernel refused
  Counter rx_ring_drops;    // frames for us that found no room in the ring (af_xdp: none of the above)
  Counter filtered;         // frames for us that the filter did not want
  Counter passed_on;        // af_xdp, xdp: frames that are not for us and went on to the kernel
  Counter unserved_queue;  // af_xdp, xdp: frames for us on a queue that no thread serves; the kernel got them
  std::array<Counter, QUEUES> unserved_by_queue;  // the same, each
  Counter xdp_tx_errors;                          // xdp: answers that the driver threw away, by its own count
  Counter rx_other_host;                          // frames for another MAC address
  Counter wakeups;                                // system calls that moved frames
  Counter link_errors;                            // the interface was down or gone
  Counter launch_missed;  // frames that the qdisc threw away, as their launch time was over
};

// clang-format off
template <class B>
concept PacketIo = requires(B b, std::span<Frame> frames, std::span<const Frame> filled,
                            std::span<TxStamp> stamps, uint32_t count) {
  { B::NAME } -> std::convertible_to<std::string_view>;
  { b.rx_peek(frames) } noexcept -> std::same_as<uint32_t>;  // views of received frames; never blocks
  { b.rx_release(count) } noexcept -> std::same_as<void>;  // gives the oldest back
  { b.tx_reserve(frames) } noexcept -> std::same_as<uint32_t>;  // views to write into; 0 = full; with all that was wanted it did not enter the kernel
  { b.tx_submit(filled) } noexcept -> std::same_as<uint32_t>;  // to the wire, as one batch; how many were taken
  { b.tx_stamps(stamps) } noexcept -> std::same_as<uint32_t>;  // when earlier frames left; 0 = none known yet
  { b.settle() } noexcept -> std::same_as<void>;  // reads what the kernel counted; after the loop
  { b.filters() } noexcept -> std::same_as<bool>;  // whether what it receives has passed the filter
  { b.notes() } -> std::convertible_to<const std::vector<std::string>&>;  // what was found out while opening
};
// clang-format on

// Whether a look for frames is a system call each time, and so something that may take long; a backend that
// says nothing looks into memory.
template <PacketIo B>
bool peeks_by_call(const B& io) noexcept {
  if constexpr (requires { io.peeks_by_call(); }) return io.peeks_by_call();
  return false;
}

inline constexpr uint32_t MAX_BATCH = 64;

}  // namespace carom
