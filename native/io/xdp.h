// Backend `xdp`: the responder in the kernel. A program in the driver answers what is right to the last bit
// (bpf/respond.bpf.c); what it hands up comes here, as from af_xdp, and is refused or answered like
// everywhere.
#pragma once

#include "bpf/respond.h"
#include "io/af_xdp.h"

namespace carom {

class XdpIo {
 public:
  static constexpr std::string_view NAME = "xdp";

  static std::string probe(const IoConfig& config);
  XdpIo(const IoConfig& config, IoCounters& counters, const respond_settings& settings,
        const std::vector<uint64_t>& symbols);

  uint32_t rx_peek(std::span<Frame> frames) noexcept { return below_.rx_peek(frames); }
  void rx_release(uint32_t count) noexcept { below_.rx_release(count); }
  uint32_t tx_reserve(std::span<Frame> frames) noexcept { return below_.tx_reserve(frames); }
  uint32_t tx_submit(std::span<const Frame> frames) noexcept { return below_.tx_submit(frames); }
  uint32_t tx_stamps(std::span<TxStamp> stamps) noexcept { return below_.tx_stamps(stamps); }
  void settle() noexcept { below_.settle(); }
  const std::vector<std::string>& notes() const { return notes_; }

  // Sleeps until a frame was handed up, 10 ms at the most: the work is done elsewhere.
  void rest() noexcept;

  // What the program has done since the last call.
  KernelTally take_tally() noexcept;

  // In force for the next packet, all of it at once.
  void change(const KernelSettings& wanted) noexcept;

  // The kernel's orders carry the time: the clocks drift apart.
  void set_epoch_offset() noexcept;

 private:
  void put_in_force() noexcept;

  AfXdpIo below_;
  respond_settings settings_;
  uint32_t in_force_ = 0;
  KernelTally last_{};
  std::vector<std::string> notes_;
};

}  // namespace carom
