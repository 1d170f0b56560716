// A tap on an interface: a packet socket that sees what goes in and out, through a TPACKET_V3 ring. Unlike
// af_packet.h it has no hurry: V3 packs frames of any size into blocks and wakes its reader once a block, so
// one core keeps up with many more of them. Source: Documentation/networking/packet_mmap.rst of the Linux
// kernel. It sees what the kernel's network stack sees: frames that an XDP program takes, it does not.
#pragma once

#include <linux/if_packet.h>

#include <string>
#include <vector>

#include "filter/packet_filter.h"
#include "io/packet_io.h"
#include "io/socket.h"
#include "io/timestamping.h"

namespace carom {

enum class TapDirection { both, in, out };

struct TapConfig {
  Link link;
  std::string filter;    // of libpcap's language, "" for all
  uint32_t snap_length;  // bytes of each frame that are wanted
  TapDirection direction;
  bool promiscuous;
  size_t ring_bytes;
  Provenance timestamps;  // hardware or kernel
};

// A view of a frame in the ring.
struct TappedFrame {
  const uint8_t* data;
  uint32_t captured;
  uint32_t length;    // on the wire, as far as it was not stripped of a tag
  int32_t tag;        // VLAN tag control information that was stripped, -1 for none
  uint16_t tag_type;  // the tag's protocol identifier
  uint8_t type;       // PACKET_HOST and so on
  bool hardware_stamped;
  bool losing;  // the ring was full before it, and nothing was told of that yet
  uint64_t time_ns;
};

class PacketTap {
 public:
  static constexpr size_t BLOCK_BYTES = 1 << 20;

  explicit PacketTap(const TapConfig& config);
  ~PacketTap();
  PacketTap(const PacketTap&) = delete;
  PacketTap& operator=(const PacketTap&) = delete;

  // Gives the frames of the next block to `take`, which says whether it wants more. False when there was none
  // within the time.
  template <class Take>
  bool next_block(int timeout_ms, Take take) noexcept {
    auto* block = reinterpret_cast<tpacket_block_desc*>(ring_ + at_ * BLOCK_BYTES);
    if (!is_ready(block) && !wait(block, timeout_ms)) return false;
    const auto& head = block->hdr.bh1;
    // V3 says it of the block, not of the packet: the ring was full before its first one, as none is dropped
    // while a block is open.
    bool losing = (head.block_status & TP_STATUS_LOSING) != 0;
    const uint8_t* at = reinterpret_cast<const uint8_t*>(block) + head.offset_to_first_pkt;
    for (uint32_t i = 0; i < head.num_pkts; i++) {
      const auto* packet = reinterpret_cast<const tpacket3_hdr*>(at);
      if (!take(view(packet, losing && i == 0))) break;
      at += packet->tp_next_offset;
    }
    __atomic_store_n(&block->hdr.bh1.block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
    at_ = at_ + 1 == blocks_ ? 0 : at_ + 1;
    return true;
  }

  // From now on nothing comes in; what the kernel has already comes within FLUSH_MS.
  void mute() noexcept;
  static constexpr int FLUSH_MS = 60;

  // Frames that the filter took and the ring had no room for, since the last call.
  uint64_t take_ring_drops() noexcept;

  // Frames that the interface itself dropped since it was opened, by its own count.
  uint64_t interface_drops() const noexcept;

  // The interface is not there any more.
  bool is_gone() const noexcept;

  const std::vector<std::string>& notes() const { return notes_; }

  // Whether the filter is the kernel's; otherwise it has to be asked of each frame, with its tag put back.
  bool filters_in_kernel() const noexcept { return why_not_in_kernel_.empty(); }

 private:
  static bool is_ready(const tpacket_block_desc* block) noexcept {
    return (__atomic_load_n(&block->hdr.bh1.block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER) != 0;
  }
  bool wait(const tpacket_block_desc* block, int timeout_ms) noexcept;
  TappedFrame view(const tpacket3_hdr* packet, bool losing) const noexcept;
  void attach(const PacketFilter& filter, const std::string& operation);
  void make_ring(const std::string& operation);
  uint64_t read_interface_drops() const noexcept;

  TapConfig config_;
  Fd fd_;
  Fd counters_;  // /proc/thread-self/net/dev of the interface's namespace
  uint64_t drops_before_ = 0;
  uint8_t* ring_ = nullptr;
  size_t blocks_ = 0;
  size_t at_ = 0;
  std::string why_not_in_kernel_;
  std::vector<std::string> notes_;
};

}  // namespace carom
