// Backend `xdp_live`: the generator in the kernel (bpf/generate.bpf.c). One program sends BPF live frames,
// which it makes from planned ticks or finds ready in a ring; another settles the orders that are right; what
// it hands up comes here as from af_xdp. Source: Documentation/bpf/bpf_prog_run.rst of the Linux kernel.
#pragma once

#include <atomic>
#include <condition_variable>
#include <mutex>
#include <thread>

#include "bpf/generate.h"
#include "io/af_xdp.h"

namespace carom {

// What the programs are loaded with.
struct LivePrograms {
  generate_constants constants;
  link_rules link;
  std::vector<generate_headers> headers;  // of each flow; none where whole frames are sent
};

class XdpLiveIo {
 public:
  static constexpr std::string_view NAME = "xdp_live";

  static std::string probe(const IoConfig& config, bool tries);
  XdpLiveIo(const IoConfig& config, IoCounters& counters, const LivePrograms& wanted);
  ~XdpLiveIo();

  generate_shared& shared() noexcept { return *shared_; }
  ledger_entry* entries() noexcept { return entries_; }
  ledger_due* dues() noexcept { return dues_; }
  // Frame, in bytes: the headers and a tick.
  uint32_t shortest() const noexcept { return constants_.header_length + MARKET_DATA_SIZE; }

  // Where whole frames are sent: the place of one of them in the ring.
  generate_frame& frame(uint64_t number) noexcept {
    return *reinterpret_cast<generate_frame*>(frames_ + (number & frame_mask_) * frame_stride_);
  }
  uint64_t frame_count() const noexcept { return frame_mask_ + 1; }
  std::span<const uint64_t> counts(generate_histogram which) const noexcept {
    return {histograms_ + size_t{which} * GENERATE_HISTOGRAM_SIZE, GENERATE_HISTOGRAM_SIZE};
  }

  // Lets the sending program run, on its own thread, from now until end_sending(). It begins after some 20
  // ms.
  void begin_sending() noexcept;
  void end_sending() noexcept;

  // Whether the sending program has run at all, and whether it ended by itself, which it never should.
  bool sends() const noexcept { return __atomic_load_n(&shared_->sender.alive, __ATOMIC_RELAXED) != 0; }
  int sender() const noexcept { return sender_id_.load(); }                          // its thread's number
  int failure() const noexcept { return failure_.load(std::memory_order_relaxed); }  // errno, 0 for none

  // Orders that were handed up. Their stamps are of CLOCK_MONOTONIC.
  uint32_t rx_peek(std::span<Frame> frames) noexcept { return below_.rx_peek(frames); }
  void rx_release(uint32_t count) noexcept { below_.rx_release(count); }

  // Sleeps until there are some, no longer than this.
  void rest(uint32_t most_ns = 1'000'000) noexcept { below_.rest(most_ns); }
  void settle() noexcept;
  const std::vector<std::string>& notes() const { return notes_; }

 private:
  enum class Stage : int { wait, send, end };

  void send();

  AfXdpIo below_;
  IoCounters& counters_;
  int cpu_;
  const generate_constants constants_;
  const char* program_;  // that sends
  uint64_t frame_mask_;
  size_t frame_stride_;
  uint8_t* frames_ = nullptr;
  generate_shared* shared_ = nullptr;
  ledger_entry* entries_ = nullptr;
  ledger_due* dues_ = nullptr;
  const uint64_t* histograms_ = nullptr;
  std::vector<std::string> notes_;
  std::atomic<int> failure_{0};
  std::atomic<Stage> stage_{Stage::wait};
  std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> gone_{false};
  std::atomic<int> sender_id_{0};
  std::thread sender_;
};

}  // namespace carom
