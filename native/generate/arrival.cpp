#include "generate/arrival.h"

#include <algorithm>

#include "generate/random.h"

namespace carom {
namespace {

constexpr double MEAN_GAP_NS = 1e12;  // at a rate of 1/1000 a second

// A time with a fraction of 2^-32 ns, so that rounding to whole ns happens once and does not add up. Beyond
// NEVER_NS it stands still.
class FineTime {
 public:
  uint64_t ns() const noexcept { return ns_; }

  void add(double gap_ns) noexcept {
    if (!(gap_ns < static_cast<double>(NEVER_NS - ns_))) {
      ns_ = NEVER_NS;
      return;
    }
    uint64_t whole = static_cast<uint64_t>(gap_ns);
    uint64_t fraction = static_cast<uint64_t>((gap_ns - static_cast<double>(whole)) * 0x1p32) + fraction_;
    ns_ += whole + (fraction >> 32);
    fraction_ = fraction & 0xffff'ffff;
  }

  // No earlier than another.
  void catch_up(const FineTime& other) noexcept {
    if (other.ns_ > ns_ || (other.ns_ == ns_ && other.fraction_ > fraction_)) *this = other;
  }

 private:
  uint64_t ns_ = 0;
  uint64_t fraction_ = 0;
};

// Gaps are exponential: the time to the next tick does not depend on anything before.
class PoissonArrival final : public Arrival {
 public:
  PoissonArrival(uint64_t rate_millihertz, uint64_t seed) noexcept
      : random_(seed), mean_ns_(MEAN_GAP_NS / static_cast<double>(rate_millihertz)) {}

  uint64_t next_ns() noexcept override {
    time_.add(random_.exponential() * mean_ns_);
    return time_.ns();
  }

 private:
  Random random_;
  double mean_ns_;
  FineTime time_;
};

// On and off: a burst of `count` ticks begins every `every_ns`, exactly.
class BurstArrival final : public Arrival {
 public:
  explicit BurstArrival(const ArrivalConfig& config) noexcept
      : count_(config.count), every_ns_(config.every_ns), gap_ns_(config.gap_ns) {}

  uint64_t next_ns() noexcept override {
    uint64_t now_ns = std::min(begin_ns_ + number_ * gap_ns_, NEVER_NS);
    if (++number_ == count_) {
      number_ = 0;
      begin_ns_ = std::min(begin_ns_ + every_ns_, NEVER_NS);
    }
    return now_ns;
  }

 private:
  uint64_t count_;
  uint64_t every_ns_;
  uint64_t gap_ns_;
  uint64_t begin_ns_ = 0;
  uint64_t number_ = 0;  // within the burst
};

// Bursts that begin as a Poisson process does, of a geometric number of ticks with exponential gaps. One that
// would begin before the last has ended waits for that.
class MicroburstArrival final : public Arrival {
 public:
  MicroburstArrival(const ArrivalConfig& config, uint64_t seed) noexcept
      : random_(seed),
        every_ns_(static_cast<double>(config.every_ns)),
        gap_ns_(static_cast<double>(config.gap_ns)),
        // The tick goes on to another with probability 1 - 1/size.
        on_(config.size <= 1 ? 0 : static_cast<uint64_t>((1 - 1 / config.size) * 0x1p63)) {}

  uint64_t next_ns() noexcept override {
    if (inside_) {
      time_.add(random_.exponential() * gap_ns_);
    } else {
      begin_.add(random_.exponential() * every_ns_);
      time_.catch_up(begin_);
    }
    inside_ = random_.next() >> 1 < on_;
    return time_.ns();
  }

 private:
  Random random_;
  double every_ns_;
  double gap_ns_;
  uint64_t on_;
  bool inside_ = false;
  FineTime begin_;  // of the last burst, had it not waited: so the mean rate is kept
  FineTime time_;
};

// Each tick makes others more probable, the more the sooner: the rate jumps by branching / decay at each tick
// and falls back exponentially. Exact, without steps or rejection: Dassios and Zhao, "Exact simulation of
// Hawkes process with exponentially decaying intensity", Electron. Commun. Probab. 18 (2013).
class HawkesArrival final : public Arrival {
 public:
  HawkesArrival(const ArrivalConfig& config, uint64_t seed) noexcept
      : random_(seed),
        base_gap_ns_(MEAN_GAP_NS / static_cast<double>(config.rate_millihertz)),
        decay_ns_(static_cast<double>(config.decay_ns)),
        branching_(config.branching) {}

  uint64_t next_ns() noexcept override {
    double base_ns = random_.exponential() * base_gap_ns_;
    double gap_ns = base_ns;
    double remains = 0;  // what is left of the excitement, as a factor
    bool excited = false;
    if (excitement_ > 0) {
      // The excitement gives `excitement_` more ticks in the mean if nothing is added; with it gone, none.
      double fall = 1 - random_.exponential() / excitement_;
      if (fall > 0) {
        double excited_ns = -portable_log(fall) * decay_ns_;
        if (excited_ns < base_ns) {
          gap_ns = excited_ns;
          remains = fall;
          excited = true;
        }
      }
    }
    if (!excited) remains = portable_exp(-gap_ns / decay_ns_);
    excitement_ = excitement_ * remains + branching_;
    time_.add(gap_ns);
    return time_.ns();
  }

 private:
  Random random_;
  double base_gap_ns_;
  double decay_ns_;
  double branching_;
  double excitement_ = 0;  // the rate above the base, times the decay: ticks still to come of it
  FineTime time_;
};

// A recorded rate. The integral of the rate is kept exactly, in ticks times 10^12; a tick is due at each
// whole one of it, or by chance at each step of an exponential number.
class CurveArrival final : public Arrival {
 public:
  CurveArrival(const ArrivalConfig& config, uint64_t seed)
      : random_(seed), poisson_(config.poisson), points_(config.points) {
    if (poisson_) draw();
  }

  uint64_t next_ns() noexcept override {
    while (begin_ns_ < NEVER_NS) {
      const CurvePoint& point = points_[at_];
      uint64_t length_ns = points_[at_ + 1].time_ns - point.time_ns;
      unsigned __int128 area = static_cast<unsigned __int128>(length_ns) * point.rate_millihertz;
      if (wanted_ < area) {
        // Rounded up: at the rounded time the integral has reached it.
        uint64_t offset_ns =
            static_cast<uint64_t>((wanted_ + point.rate_millihertz - 1) / point.rate_millihertz);
        uint64_t now_ns = begin_ns_ + point.time_ns + offset_ns;
        draw();
        return std::min(now_ns, NEVER_NS);
      }
      wanted_ -= area;
      if (++at_ + 1 == points_.size()) {
        begin_ns_ += points_.back().time_ns;
        at_ = 0;
      }
    }
    return NEVER_NS;
  }

 private:
  static constexpr uint64_t ONE = 1'000'000'000'000;

  void draw() noexcept {
    wanted_ += poisson_ ? static_cast<uint64_t>(random_.exponential() * static_cast<double>(ONE)) : ONE;
  }

  Random random_;
  bool poisson_;
  std::vector<CurvePoint> points_;
  size_t at_ = 0;                 // the segment
  uint64_t begin_ns_ = 0;         // of this round through the curve
  unsigned __int128 wanted_ = 0;  // the integral from the segment's beginning at which the next tick is due
};

// All ticks of several processes, in order; at the same time the first process's come first.
class SumArrival final : public Arrival {
 public:
  explicit SumArrival(std::vector<std::unique_ptr<Arrival>> parts) : parts_(std::move(parts)) {
    for (auto& part : parts_) next_ns_.push_back(part->next_ns());
  }

  uint64_t next_ns() noexcept override {
    size_t first = 0;
    for (size_t i = 1; i < next_ns_.size(); i++) {
      if (next_ns_[i] < next_ns_[first]) first = i;
    }
    uint64_t now_ns = next_ns_[first];
    next_ns_[first] = parts_[first]->next_ns();
    return now_ns;
  }

 private:
  std::vector<std::unique_ptr<Arrival>> parts_;
  std::vector<uint64_t> next_ns_;
};

// All gaps made smaller, or larger, by the same factor.
class ScaledGaps final : public Arrival {
 public:
  ScaledGaps(std::unique_ptr<Arrival> inner, uint32_t thousandths)
      : inner_(std::move(inner)), thousandths_(thousandths) {}

  uint64_t next_ns() noexcept override {
    unsigned __int128 scaled = static_cast<unsigned __int128>(inner_->next_ns()) * 1000 / thousandths_;
    return scaled < NEVER_NS ? static_cast<uint64_t>(scaled) : NEVER_NS;
  }

 private:
  std::unique_ptr<Arrival> inner_;
  uint32_t thousandths_;
};

// Each tick several times over, at the same time; 2.5 times is twice and three times in turn.
class ScaledBursts final : public Arrival {
 public:
  ScaledBursts(std::unique_ptr<Arrival> inner, uint32_t thousandths)
      : inner_(std::move(inner)), thousandths_(thousandths) {}

  uint64_t next_ns() noexcept override {
    while (credit_ < 1000) {
      now_ns_ = inner_->next_ns();
      credit_ += thousandths_;
    }
    credit_ -= 1000;
    return now_ns_;
  }

 private:
  std::unique_ptr<Arrival> inner_;
  uint32_t thousandths_;
  uint64_t credit_ = 0;
  uint64_t now_ns_ = 0;
};

// What comes closer than the ceiling allows is put off, as a link does that serializes one frame after the
// other: k ticks after the beginning of a queue no earlier than k / rate, rounded up.
class Ceiling final : public Arrival {
 public:
  Ceiling(std::unique_ptr<Arrival> inner, uint64_t rate_millihertz) noexcept
      : inner_(std::move(inner)), rate_(rate_millihertz), free_(rate_millihertz) {}

  uint64_t next_ns() noexcept override {
    uint64_t wanted_ns = inner_->next_ns();
    uint64_t free_ns = begin_ns_ + free_.next_up_ns();
    if (wanted_ns >= free_ns) {
      begin_ns_ = free_ns = wanted_ns;
      free_ = ConstantArrival(rate_);
    }
    free_.next_ns();
    return std::min(free_ns, NEVER_NS);
  }

 private:
  std::unique_ptr<Arrival> inner_;
  uint64_t rate_;
  ConstantArrival free_;
  uint64_t begin_ns_ = 0;  // of the queue
};

std::unique_ptr<Arrival> make_process(const ArrivalConfig& config, Random& seeds) {
  using Kind = ArrivalConfig::Kind;
  uint64_t seed = seeds.next();
  switch (config.kind) {
    case Kind::constant:
      return std::make_unique<ConstantArrival>(config.rate_millihertz);
    case Kind::poisson:
      return std::make_unique<PoissonArrival>(config.rate_millihertz, seed);
    case Kind::bursts:
      return std::make_unique<BurstArrival>(config);
    case Kind::microbursts:
      return std::make_unique<MicroburstArrival>(config, seed);
    case Kind::hawkes:
      return std::make_unique<HawkesArrival>(config, seed);
    case Kind::curve:
      return std::make_unique<CurveArrival>(config, seed);
    case Kind::sum:
      break;
  }
  std::vector<std::unique_ptr<Arrival>> parts;
  for (const ArrivalConfig& part : config.parts) parts.push_back(make_process(part, seeds));
  return std::make_unique<SumArrival>(std::move(parts));
}

}  // namespace

std::unique_ptr<Arrival> make_arrival(const ScheduleConfig& config) {
  // Not the stream that the content of the ticks comes from.
  Random seeds(config.seed ^ 0x6172726976616cull);
  std::unique_ptr<Arrival> arrival = make_process(config.arrival, seeds);
  if (config.scale_thousandths != 1000) {
    if (config.scale_bursts) {
      arrival = std::make_unique<ScaledBursts>(std::move(arrival), config.scale_thousandths);
    } else {
      arrival = std::make_unique<ScaledGaps>(std::move(arrival), config.scale_thousandths);
    }
  }
  if (config.ceiling_millihertz != 0) {
    arrival = std::make_unique<Ceiling>(std::move(arrival), config.ceiling_millihertz);
  }
  return arrival;
}

}  // namespace carom
