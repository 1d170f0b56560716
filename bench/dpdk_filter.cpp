#include "dpdk_filter.h"

#ifdef CAROM_WITH_DPDK
#define ALLOW_EXPERIMENTAL_API  // the converter is one

#include <pcap/pcap.h>
#include <rte_bpf.h>
#include <rte_eal.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>

#include <vector>

namespace {

class Frames : public DpdkFrames {
 public:
  Frames(const carom::FilterFrame* frames, uint32_t count) : buffers(count) {
    for (uint32_t i = 0; i < count; i++) {
      rte_mbuf& buffer = buffers[i];
      buffer.buf_addr = const_cast<uint8_t*>(frames[i].data);
      buffer.buf_len = buffer.data_len = static_cast<uint16_t>(frames[i].captured);
      buffer.pkt_len = frames[i].length;
      buffer.nb_segs = 1;
      buffer.refcnt = 1;
    }
  }

  std::vector<rte_mbuf> buffers;
};

class Jit : public DpdkFilter {
 public:
  Jit(const Frames& frames, rte_bpf* bpf) : frames_(frames), bpf_(bpf) { rte_bpf_get_jit(bpf, &jit_); }
  ~Jit() override { rte_bpf_destroy(bpf_); }
  bool has_code() const { return jit_.func != nullptr; }

  void match(uint32_t count, uint64_t* verdicts) const override {
    for (uint32_t i = 0; i < count; i++) {
      uint64_t is = jit_.func(const_cast<rte_mbuf*>(&frames_.buffers[i])) != 0;
      verdicts[i / 64] = (i % 64 == 0 ? 0 : verdicts[i / 64]) | is << i % 64;
    }
  }

 private:
  const Frames& frames_;
  rte_bpf* bpf_;
  rte_bpf_jit jit_{};
};

}  // namespace

std::unique_ptr<DpdkFrames> make_dpdk_frames(const carom::FilterFrame* frames, uint32_t count) {
  const char* arguments[] = {"bench", "--no-huge", "--no-shconf", "--no-pci", "-m", "64", "--no-telemetry"};
  if (rte_eal_init(std::size(arguments), const_cast<char**>(arguments)) < 0) return nullptr;
  return std::make_unique<Frames>(frames, count);
}

std::unique_ptr<DpdkFilter> make_dpdk_filter(const DpdkFrames& frames, const bpf_program& program) {
  rte_bpf_prm* converted = rte_bpf_convert(&program);
  if (converted == nullptr) return nullptr;
  rte_bpf* bpf = rte_bpf_load(converted);
  rte_free(converted);
  if (bpf == nullptr) return nullptr;
  auto made = std::make_unique<Jit>(static_cast<const Frames&>(frames), bpf);
  return made->has_code() ? std::move(made) : nullptr;
}

#else

std::unique_ptr<DpdkFrames> make_dpdk_frames(const carom::FilterFrame*, uint32_t) { return nullptr; }
std::unique_ptr<DpdkFilter> make_dpdk_filter(const DpdkFrames&, const bpf_program&) { return nullptr; }

#endif
