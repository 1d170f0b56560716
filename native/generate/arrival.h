// Arrival processes: when ticks are planned, in ns from the start of the run. Each gives one time after the
// other, never an earlier one, from a seed and in a memory that does not grow. Nothing is allocated after
// make_arrival().
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

namespace carom {

// 292 years: far enough for a tick that no run will reach, and short of a wrap when the start is added.
inline constexpr uint64_t NEVER_NS = uint64_t{1} << 62;

class Arrival {
 public:
  virtual ~Arrival() = default;
  virtual uint64_t next_ns() noexcept = 0;
};

// From its time on a rate of so many ticks a second, times 1000; the last point ends the curve.
struct CurvePoint {
  uint64_t time_ns;
  uint64_t rate_millihertz;
};

// A description, as the profile has it. Each kind uses its own of the fields.
struct ArrivalConfig {
  enum class Kind : uint8_t { constant, poisson, bursts, microbursts, hawkes, curve, sum };
  Kind kind = Kind::constant;
  uint64_t rate_millihertz = 1000;   // constant, poisson; hawkes: of the ticks that follow from no other
  uint64_t count = 1;                // bursts: ticks of each
  uint64_t every_ns = 1;             // bursts: from start to start; microbursts: the mean of that
  uint64_t gap_ns = 0;               // bursts: within one; microbursts: the mean of that
  double size = 1;                   // microbursts: the mean number of ticks
  double branching = 0;              // hawkes: how many ticks follow from one directly, in the mean; below 1
  uint64_t decay_ns = 1;             // hawkes: the mean time after which they do
  bool poisson = false;              // curve: by chance, otherwise evenly
  std::vector<CurvePoint> points;    // curve: from time 0, at least two; begins again at its end
  std::vector<ArrivalConfig> parts;  // sum
};

struct ScheduleConfig {
  ArrivalConfig arrival;
  uint64_t seed = 1;
  uint32_t scale_thousandths = 1000;  // 2000 is twice as much
  bool scale_bursts = false;          // each tick so many times over; otherwise the gaps are made smaller
  uint64_t ceiling_millihertz = 0;    // no two ticks closer than this rate allows; 0 for no ceiling
};

// The whole of it: the process, scaled, and under its ceiling.
std::unique_ptr<Arrival> make_arrival(const ScheduleConfig& config);

// A fixed rate: the n-th tick is planned floor(n / rate) after the start. The remainder is carried on, so
// that no error accumulates and nothing is divided.
class ConstantArrival final : public Arrival {
 public:
  explicit ConstantArrival(uint64_t rate_millihertz) noexcept
      : rate_(rate_millihertz), step_ns_(PER_RATE / rate_), step_rest_(PER_RATE % rate_) {}

  uint64_t next_ns() noexcept override {
    uint64_t now_ns = next_ns_;
    if (next_ns_ < NEVER_NS) [[likely]] {
      next_ns_ += step_ns_;
      rest_ += step_rest_;
      if (rest_ >= rate_) {
        rest_ -= rate_;
        next_ns_++;
      }
      number_++;
    }
    return now_ns;
  }

  // The next one's time, rounded up.
  uint64_t next_up_ns() const noexcept { return next_ns_ + (rest_ != 0); }

  // Goes on with tick n.
  void seek(uint64_t n) noexcept {
    unsigned __int128 product = static_cast<unsigned __int128>(n) * PER_RATE;
    unsigned __int128 offset_ns = product / rate_;
    next_ns_ = offset_ns < NEVER_NS ? static_cast<uint64_t>(offset_ns) : NEVER_NS;
    rest_ = static_cast<uint64_t>(product % rate_);
    number_ = n;
  }

  // How many of those still to come lie before a time.
  uint64_t count_before(uint64_t until_ns) const noexcept {
    if (until_ns <= next_ns_) return 0;
    // floor(n * PER_RATE / rate) < until is n * PER_RATE < until * rate.
    unsigned __int128 product = static_cast<unsigned __int128>(until_ns) * rate_;
    unsigned __int128 end = (product + PER_RATE - 1) / PER_RATE;
    return static_cast<uint64_t>(end) - number_;
  }

 private:
  static constexpr uint64_t PER_RATE = 1'000'000'000'000;  // ns of a tick at a rate of 1/1000 a second

  uint64_t rate_;
  uint64_t step_ns_;
  uint64_t step_rest_;
  uint64_t next_ns_ = 0;
  uint64_t rest_ = 0;
  uint64_t number_ = 0;  // of the tick that is next
};

}  // namespace carom
