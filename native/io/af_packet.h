// Backend `af_packet`: a packet socket with memory-mapped rings, received and sent without a copy to user
// space. TPACKET_V2 and not V3: V3 hands over a block only when it is full or its timer fires, 1 ms at the
// earliest, so a single frame would be seen a millisecond late; V2 hands over each frame as it comes. Source:
// Documentation/networking/packet_mmap.rst of the Linux kernel.
#pragma once

#include "io/packet_io.h"
#include "io/socket.h"
#include "io/timestamping.h"

namespace carom {

class AfPacketIo {
 public:
  static constexpr std::string_view NAME = "af_packet";

  static std::string probe(const IoConfig& config, bool tries);
  AfPacketIo(const IoConfig& config, IoCounters& counters);
  ~AfPacketIo();
  AfPacketIo(const AfPacketIo&) = delete;
  AfPacketIo& operator=(const AfPacketIo&) = delete;

  uint32_t rx_peek(std::span<Frame> frames) noexcept;
  void rx_release(uint32_t count) noexcept;
  uint32_t tx_reserve(std::span<Frame> frames) noexcept;
  uint32_t tx_submit(std::span<const Frame> frames) noexcept;
  uint32_t tx_stamps(std::span<TxStamp> stamps) noexcept;
  void settle() noexcept;
  static bool filters() noexcept { return false; }  // the kernel's part of it is not all
  const std::vector<std::string>& notes() const { return notes_; }
  static int stamp_clock() noexcept;

 private:
  void attach(const std::string& operation);
  uint32_t submit(std::span<const Frame> frames) noexcept;
  int kick() noexcept;
  bool drop_refused() noexcept;
  void renumber() noexcept;
  bool drop_blocking() noexcept;
  void drop(uint32_t at) noexcept;
  bool has_carrier() const noexcept;
  uint8_t* rx_slot(uint32_t index) const noexcept { return rx_ring_ + size_t{index & mask_} * frame_size_; }
  uint8_t* tx_slot(uint32_t index) const noexcept { return tx_ring_ + size_t{index & mask_} * frame_size_; }

  IoConfig config_;
  Fd held_port_;
  Fd fd_;
  uint8_t* ring_ = nullptr;
  size_t ring_bytes_ = 0;
  uint8_t* rx_ring_ = nullptr;
  uint8_t* tx_ring_ = nullptr;
  uint32_t frame_size_ = 0;
  uint32_t mask_ = 0;
  uint32_t rx_head_ = 0;     // the next frame to look at
  uint32_t rx_tail_ = 0;     // the oldest that was not released
  uint32_t tx_head_ = 0;     // the next frame to write
  uint32_t tx_dropped_ = 0;  // frames that the kernel refused for good
  uint32_t longest_sent_ = 0;
  uint32_t shortest_refused_ = UINT32_MAX;  // by the link, as too long
  uint32_t blocking_ = 0;                   // the frame at which the kernel stops, and since when
  uint64_t blocking_since_ns_ = 0;
  uint64_t launch_ns_ = 0;  // of the frame that is sent next
  TxStampReader stamps_;
  IoCounters& counters_;
  std::vector<std::string> notes_;
};

}  // namespace carom
