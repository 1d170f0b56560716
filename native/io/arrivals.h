// What an XDP program at the receiving end stamped (bpf/arrival.h): when ticks arrived, against when they
// were planned. The sender has no part in it but the planned time in each tick.
#pragma once

#include <memory>
#include <vector>

#include "bpf/arrival_state.h"
#include "bpf/trail_state.h"
#include "core/trail.h"
#include "io/xdp_program.h"

namespace carom {

// In ns. Errors are those of the arrival against the planned time, up to a constant.
struct ArrivalFindings {
  uint64_t ticks;
  std::vector<uint64_t> gap_counts;  // of the gaps' errors, in the index order of Histogram
  uint64_t gap_min_ns;
  uint64_t gap_max_ns;
  uint64_t gap_sum_ns;
  std::vector<int64_t>
      first_ns;  // errors of the first ticks, and as many of the last, less that of the first
  std::vector<int64_t> last_ns;
  double clock_drift_ns;  // of that, what the kernel's clock ran ahead of the TSC between the two
  uint64_t elapsed_ns;    // from the first arrival to the last
};

class Arrivals {
 public:
  // Switches stamping on in a program that has it, before it is loaded: of ticks to the port, or with `any`
  // of whatever is on the trail.
  static void prepare(XdpProgram& program, uint16_t port, bool any);

  // Of a program that was loaded with stamping on. Throws Error.
  explicit Arrivals(std::shared_ptr<XdpProgram> program);

  // Attaches a program that stamps and lets everything pass, in the calling thread's namespace. Throws Error.
  static std::shared_ptr<Arrivals> attach(const Link& link, uint16_t port, bool any);

  ~Arrivals();
  Arrivals(const Arrivals&) = delete;
  Arrivals& operator=(const Arrivals&) = delete;

  // Ticks with an earlier timestamp are left out. Called before the first of the others is sent.
  void measure_from(uint64_t timestamp) noexcept;

  // Where who sends says of each frame when it was planned; for a program that stamps any. It stays as long
  // as this.
  Trail& trail() noexcept { return trail_; }

  // Once nothing comes any more.
  ArrivalFindings findings() const;

 private:
  volatile uint64_t* map(const char* name, size_t size);

  struct Mapping {
    void* memory;
    size_t size;
  };

  std::shared_ptr<XdpProgram> program_;
  std::vector<Mapping> mappings_;
  arrival_state* state_ = nullptr;
  Trail trail_{nullptr};
  volatile uint64_t* gaps_ = nullptr;
  volatile uint64_t* ends_ = nullptr;
  int64_t began_offset_ns_ = 0;  // of the kernel's clock against the TSC's timeline, when measuring began
  uint64_t began_ns_ = 0;
};

}  // namespace carom
