// What the programs of the bench have in common: how they fail, how they end, what they print.
#pragma once

#include <signal.h>
#include <sys/prctl.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include "core/histogram.h"

namespace bench {

[[noreturn]] inline void fail(const char* what) {
  perror(what);
  exit(3);
}

inline void check(bool good, const char* what) {
  if (!good) fail(what);
}

// However the bench ends, its programs do, too, and what they attached goes with them.
inline void die_with_parent() { prctl(PR_SET_PDEATHSIG, SIGKILL); }

inline double percentile(const carom::Histogram& histogram, double part) {
  uint64_t rank = static_cast<uint64_t>(part * static_cast<double>(histogram.count()));
  uint64_t seen = 0;
  uint32_t index = 0;
  while (index < carom::Histogram::SIZE && seen <= rank) seen += histogram.count_at(index++);
  uint32_t bucket = (index - 1) / 1024;
  return bucket == 0 ? index - 1 : static_cast<double>(((index - 1) % 1024 + 1024ull) << (bucket - 1));
}

// Round trips in ns, as JSON.
inline void print_round_trips(const carom::Histogram& histogram) {
  printf(
      "{\"count\":%llu,\"min_ns\":%llu,\"p50_ns\":%.0f,\"p90_ns\":%.0f,\"p99_ns\":%.0f,\"p999_ns\":%.0f}\n",
      static_cast<unsigned long long>(histogram.count()), static_cast<unsigned long long>(histogram.min()),
      percentile(histogram, 0.5), percentile(histogram, 0.9), percentile(histogram, 0.99),
      percentile(histogram, 0.999));
}

}  // namespace bench
