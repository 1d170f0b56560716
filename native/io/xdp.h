// Backend `xdp`: the responder in the kernel. A program in the driver answers what is right to the last bit
// (bpf/respond.bpf.c); what it hands up comes here, as from af_xdp, and is refused or answered like
// everywhere.
#pragma once

#include "io/af_xdp.h"
#include "io/driver_counters.h"
#include "io/kernel_assisted.h"

struct ring_buffer;

namespace carom {

// What the program is loaded with.
struct KernelProgram {
  respond_constants constants;
  respond_settings settings;
  std::vector<uint64_t> symbols;  // empty: all
};

class XdpIo {
 public:
  static constexpr std::string_view NAME = "xdp";

  static std::string probe(const IoConfig& config, bool tries);
  XdpIo(const IoConfig& config, IoCounters& counters, std::shared_ptr<XdpProgram> program,
        const KernelProgram& wanted);

  uint32_t rx_peek(std::span<Frame> frames) noexcept { return below_.rx_peek(frames); }
  void rx_release(uint32_t count) noexcept { below_.rx_release(count); }
  uint32_t tx_reserve(std::span<Frame> frames) noexcept { return below_.tx_reserve(frames); }
  uint32_t tx_submit(std::span<const Frame> frames) noexcept { return below_.tx_submit(frames); }
  uint32_t tx_stamps(std::span<TxStamp> stamps) noexcept { return below_.tx_stamps(stamps); }
  void settle() noexcept;
  bool filters() const noexcept { return below_.filters(); }
  const std::vector<std::string>& notes() const { return notes_; }
  const std::shared_ptr<XdpProgram>& program() const noexcept { return below_.program(); }

  // One program serves all queues: only the thread that brought it controls it and counts for it.
  void rest() noexcept;
  KernelTally take_tally() noexcept;
  void change(const KernelSettings& wanted) noexcept;
  void set_epoch_offset() noexcept;
  void sample(uint32_t per_second) noexcept;

  template <class Take>
  void take_samples(Take take) noexcept {
    auto call = [](void* context, void* data, size_t size) {
      if (size >= sizeof(respond_sample)) (*static_cast<Take*>(context))(*static_cast<respond_sample*>(data));
      return 0;
    };
    consume(call, &take);
  }

 private:
  using Consumer = int (*)(void* context, void* data, size_t size);

  void put_in_force() noexcept;
  void consume(Consumer consumer, void* context) noexcept;
  static int on_sample(void* self, void* data, size_t size);

  struct FreeRing {
    void operator()(ring_buffer*) const noexcept;
  };

  AfXdpIo below_;
  bool owns_program_;
  IoCounters& counters_;
  respond_settings settings_;
  respond_shared* shared_ = nullptr;
  DriverCounters statistics_;  // of the driver: frames sent back that it threw away
  uint64_t tx_errors_before_ = 0;
  uint32_t in_force_ = 0;
  KernelTally last_{};
  uint64_t sampled_at_ns_ = 0;  // when the pace of samples was last set
  uint64_t sampled_count_ = 0;  // and how many packets had been decided then
  uint32_t sampled_rate_ = 0;   // samples a second that are wanted
  std::unique_ptr<ring_buffer, FreeRing> samples_;
  Consumer consumer_ = nullptr;
  void* consumer_context_ = nullptr;
  std::vector<std::string> notes_;
};

}  // namespace carom
