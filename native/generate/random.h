// Chance from a seed: whole numbers and doubles, the same on every machine. Only + - * / of doubles are used,
// which IEEE 754 defines to the last bit; the logarithm and the exponential of libm differ from one to
// another.
#pragma once

#include <bit>
#include <cstdint>

namespace carom {

// xoshiro256** 1.0: small state, passes BigCrush. Source: Blackman and Vigna, https://prng.di.unimi.it.
class Random {
 public:
  explicit Random(uint64_t seed) noexcept {
    for (auto& word : state_) word = split_mix(seed);
  }

  uint64_t next() noexcept {
    uint64_t result = rotate(state_[1] * 5, 7) * 9;
    uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotate(state_[3], 45);
    return result;
  }

  // Uniform in [0, bound), by multiplication (Lemire); the bias is below 2^-32 for the bounds used here.
  uint32_t below(uint32_t bound) noexcept { return static_cast<uint32_t>(((next() >> 32) * bound) >> 32); }

  // Uniform in (0, 1], a multiple of 2^-53: its logarithm is always finite.
  double part() noexcept { return static_cast<double>((next() >> 11) + 1) * 0x1p-53; }

  // Exponential with mean 1; at the most 36.7.
  double exponential() noexcept;

 private:
  static uint64_t rotate(uint64_t x, int k) noexcept { return (x << k) | (x >> (64 - k)); }
  static uint64_t split_mix(uint64_t& state) noexcept {
    uint64_t z = (state += 0x9e3779b97f4a7c15ull);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
  }

  uint64_t state_[4];
};

inline constexpr double LN2_HIGH =
    0x1.62e42fefa38p-1;  // its last bits are zero: times an exponent it is exact
inline constexpr double LN2_LOW = 0x1.ef35793c7673p-45;

// Natural logarithm of a positive, normal number; within 2^-50 of the result's size. With s = (m - 1) / (m +
// 1), ln m = 2 (s + s^3/3 + s^5/5 + ...), and m between the roots of 1/2 and 2 the 11th term is below 2^-54.
inline double portable_log(double x) noexcept {
  uint64_t bits = std::bit_cast<uint64_t>(x);
  int64_t exponent = static_cast<int64_t>(bits >> 52) - 1023;
  double m = std::bit_cast<double>((bits & 0x000f'ffff'ffff'ffffull) | 0x3ff0'0000'0000'0000ull);
  if (m > 1.4142135623730951) {
    m *= 0.5;
    exponent++;
  }
  double s = (m - 1) / (m + 1);
  double z = s * s;
  double sum = 0;
  for (int n = 21; n >= 3; n -= 2) sum = (sum + 1.0 / n) * z;
  double e = static_cast<double>(exponent);
  return e * LN2_HIGH + (2 * s + (2 * s * sum + e * LN2_LOW));
}

// e to the power of x, for x from -700 to 700; below that 0. Within 2^-50 of the result's size.
inline double portable_exp(double x) noexcept {
  if (x < -700) return 0;
  double scaled = x * 1.4426950408889634;
  int64_t exponent = static_cast<int64_t>(scaled < 0 ? scaled - 0.5 : scaled + 0.5);
  double e = static_cast<double>(exponent);
  double r = (x - e * LN2_HIGH) - e * LN2_LOW;  // within ln 2 / 2 of zero: the 14th term is below 2^-57
  double sum = 1;
  for (int n = 14; n >= 1; n--) sum = 1 + sum * r / n;
  return sum * std::bit_cast<double>(static_cast<uint64_t>(exponent + 1023) << 52);
}

inline double Random::exponential() noexcept { return -portable_log(part()); }

}  // namespace carom
