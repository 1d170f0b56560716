// A backend whose main work is done by a program in the kernel: its loop rests, adds up what was done below,
// and takes what was handed up.
#pragma once

#include "bpf/respond.h"
#include "io/packet_io.h"

namespace carom {

// What the program has decided by itself.
struct KernelTally {
  uint64_t orders;
  uint64_t quiet;
  uint64_t limited;
  uint64_t over_limit;
  uint64_t disabled;   // thrown away because the responder was disabled
  uint64_t unsampled;  // packets to be looked at closely for which there was no room
};

// What of its settings can change while it runs.
struct KernelSettings {
  bool enabled;
  strategy_settings strategy;
  answer_limit limit;
};

// clang-format off
template <class B>
concept KernelAssisted = PacketIo<B> && requires(B b) {
  { b.rest() } noexcept;  // sleeps until there is something to take, a few ms at the most
  { b.take_tally() } noexcept -> std::same_as<KernelTally>;  // since the last call
  { b.set_epoch_offset() } noexcept;  // the kernel's orders carry the time, and clocks drift apart
  { b.change(KernelSettings{}) } noexcept;  // in force for the next packet, all of it at once
  { b.sample(uint32_t{}) } noexcept;  // about so many packets a second are looked at closely
  { b.take_samples([](const respond_sample&) {}) } noexcept;  // those that were, oldest first
};
// clang-format on

}  // namespace carom
