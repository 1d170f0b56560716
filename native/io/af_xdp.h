// Backend `af_xdp`: a UMEM and its four rings, shared with the kernel. Frames come from an XDP program in the
// driver and go out without a socket buffer's detours; zero-copy where the driver can. Source:
// Documentation/networking/af_xdp.rst and xsk-tx-metadata.rst of the Linux kernel.
#pragma once

#include <linux/if_xdp.h>

#include <memory>

#include "io/packet_io.h"
#include "io/socket.h"
#include "io/xdp_program.h"

namespace carom {

// One ring that user space shares with the kernel: single producer, single consumer.
template <class Entry>
struct XskRing {
  uint32_t* producer = nullptr;
  uint32_t* consumer = nullptr;
  uint32_t* flags = nullptr;
  Entry* entries = nullptr;
  uint32_t mask = 0;
  uint32_t head = 0;  // our own index, published when a batch is complete
  void* mapping = nullptr;
  size_t mapping_size = 0;
};

class AfXdpIo {
 public:
  static constexpr std::string_view NAME = "af_xdp";

  static std::string probe(const IoConfig& config, bool tries);

  // What can be told of an interface without touching it. Throws Error.
  static void look_at(const IoConfig& config);

  // `program` is the one that serves another queue of the interface already, null for none.
  AfXdpIo(const IoConfig& config, IoCounters& counters, std::shared_ptr<XdpProgram> program = nullptr);

  // The same with another program in front, which has a map of sockets, too.
  AfXdpIo(const IoConfig& config, IoCounters& counters, std::shared_ptr<XdpProgram> program,
          const XdpObject& object, const XdpProgram::Prepare& prepare, bool sends = true);
  ~AfXdpIo();
  AfXdpIo(const AfXdpIo&) = delete;
  AfXdpIo& operator=(const AfXdpIo&) = delete;

  bool peeks_by_call() const noexcept { return busy_poll_; }
  uint32_t rx_peek(std::span<Frame> frames) noexcept;
  void rx_release(uint32_t count) noexcept;
  uint32_t tx_reserve(std::span<Frame> frames) noexcept;
  uint32_t tx_submit(std::span<const Frame> frames) noexcept;
  uint32_t tx_stamps(std::span<TxStamp> stamps) noexcept;
  void settle() noexcept;
  bool filters() const noexcept { return program_->filters(); }
  const std::vector<std::string>& notes() const { return notes_; }
  static int stamp_clock() noexcept;
  // Sleeps until a frame has come by any of the queues, no longer than this.
  void rest(uint64_t most_ns) const noexcept;
  const std::shared_ptr<XdpProgram>& program() const noexcept { return program_; }

 private:
  struct Queue;  // one of config_.more_queues
  static constexpr size_t OWN = SIZE_MAX;

  uint32_t peek(std::span<Frame> frames) noexcept;
  void release(uint32_t count) noexcept;
  uint32_t peek_in_turn(std::span<Frame> frames) noexcept;
  void open_more(const std::string& operation);
  void make_umem(const std::string& operation);
  void make_rings(const std::string& operation);
  void bind_socket(int interface, const std::string& operation);
  void reclaim() noexcept;
  void count_unserved() noexcept;
  void kick() noexcept;
  void unmap() noexcept;

  IoConfig config_;
  const bool sends_;
  Fd held_port_;
  Fd fd_;
  std::shared_ptr<XdpProgram> program_;
  uint8_t* umem_ = nullptr;
  size_t umem_size_ = 0;
  uint32_t chunk_size_ = 0;
  uint32_t metadata_size_ = 0;  // in front of each sent frame, when its time is wanted
  XskRing<uint64_t> fill_;
  XskRing<uint64_t> completion_;
  XskRing<xdp_desc> rx_;
  XskRing<xdp_desc> tx_;
  uint32_t rx_released_ = 0;        // received frames given back so far
  std::vector<uint64_t> tx_free_;   // chunks not in flight; the last used is the first used again: it is warm
  std::vector<uint32_t> tx_index_;  // by chunk: which sent frame it held
  std::vector<TxStamp> stamps_;     // completed, not yet asked for; a ring
  uint32_t stamps_head_ = 0;
  uint32_t stamps_tail_ = 0;
  uint32_t tx_count_ = 0;        // frames submitted
  uint32_t tx_outstanding_ = 0;  // submitted, not completed
  bool busy_poll_ = false;
  bool owns_program_;
  bool owns_redirect_ = false;  // the program is its own, and the one that only redirects
  IoCounters& counters_;
  std::vector<std::string> notes_;
  std::vector<std::unique_ptr<Queue>> more_;
  size_t peeked_ = OWN;  // from which of them frames were received last
};

}  // namespace carom
