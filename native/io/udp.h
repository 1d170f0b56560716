// Backend `udp`: kernel sockets, recvmmsg and sendmmsg. The kernel parses and verifies; so that everything
// above sees the same frames from every backend, this one writes the headers that the kernel took off in
// front of the payload, and sends by what the headers of an outgoing frame say.
#pragma once

#include <array>
#include <memory>

#include "io/packet_io.h"
#include "io/socket.h"
#include "io/timestamping.h"

namespace carom {

class UdpIo {
 public:
  static constexpr std::string_view NAME = "udp";

  static std::string probe(const IoConfig& config, bool tries);
  UdpIo(const IoConfig& config, IoCounters& counters);

  static bool peeks_by_call() noexcept { return true; }
  uint32_t rx_peek(std::span<Frame> frames) noexcept;
  void rx_release(uint32_t) noexcept {}  // the buffers are used again by the next peek
  uint32_t tx_reserve(std::span<Frame> frames) noexcept;
  uint32_t tx_submit(std::span<const Frame> frames) noexcept;
  uint32_t tx_stamps(std::span<TxStamp> stamps) noexcept;
  void settle() noexcept;
  static bool filters() noexcept { return false; }
  const std::vector<std::string>& notes() const { return notes_; }
  static int stamp_clock() noexcept;

 private:
  static constexpr uint32_t BATCH = 32;
  static constexpr uint32_t CONTROL_SIZE = 256;

  struct Slot {
    sockaddr_in6 peer;  // also holds a sockaddr_in
    iovec vector;
    alignas(8) uint8_t control[CONTROL_SIZE];
  };

  void restore_headers(Frame& frame, mmsghdr& message, Slot& slot) noexcept;
  void renumber() noexcept;
  int send_some(uint32_t from, uint32_t count) noexcept;
  static void write_control(msghdr& header, Slot& slot, bool ipv6, int traffic_class) noexcept;

  IoConfig config_;
  Fd rx_;
  Fd tx_own_;  // when ticks leave from another port than orders come to
  int tx_;
  uint32_t buffer_size_;
  std::unique_ptr<uint8_t[]> rx_buffers_;
  std::unique_ptr<uint8_t[]> tx_buffers_;
  std::array<Slot, BATCH> rx_slots_{};
  std::array<Slot, BATCH> tx_slots_{};
  std::array<mmsghdr, BATCH> rx_messages_{};
  std::array<mmsghdr, BATCH> tx_messages_{};
  TxStampReader stamps_;
  uint32_t submitted_ = 0;
  IoCounters& counters_;
  std::vector<std::string> notes_;
};

}  // namespace carom
