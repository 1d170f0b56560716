// Values of eBPF maps of which each CPU has its own.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <new>
#include <span>
#include <vector>

namespace carom {

// The sum over all CPUs of each of the 64-bit numbers at the beginning of a value. The kernel gives the
// values of all possible CPUs at once, each on a boundary of 8 bytes: `lookup` puts them where it is told to,
// and returns whether it could. False when they can't be read. A machine of the largest kind has 8,192
// possible CPUs; a thread's first call makes the room.
template <class Lookup>
bool sum_cpu_values(int cpus, size_t value_bytes, std::span<uint64_t> sums, Lookup lookup) noexcept {
  static thread_local std::vector<uint64_t> values;
  std::fill(sums.begin(), sums.end(), 0);
  size_t stride = (value_bytes + 7) / 8;
  if (cpus <= 0 || sums.size() > stride) return false;
  size_t count = static_cast<size_t>(cpus);
  try {
    if (values.size() < count * stride) values.resize(count * stride);
  } catch (const std::bad_alloc&) {
    return false;
  }
  if (!lookup(values.data())) return false;
  for (size_t cpu = 0; cpu < count; cpu++) {
    for (size_t i = 0; i < sums.size(); i++) sums[i] += values[cpu * stride + i];
  }
  return true;
}

}  // namespace carom
