// Two captures of what should be the same traffic: what is missing, added or out of order in the second, and
// how its timing differs. Frames are matched by their contents, the n-th of those that are alike to the n-th.
// Of each frame of the first capture 26 to 32 bytes are kept (8 more with a filter), of the second one
// nothing.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "capture/fingerprint.h"
#include "capture/inspect.h"
#include "core/histogram.h"

namespace carom {

struct CompareConfig {
  std::string path_a;
  std::string path_b;
  std::string filter;  // of both
  IgnoredFields ignored;
  uint16_t tick_port;
  uint16_t order_port;
};

// A frame that only one of them has.
struct LoneFrame {
  uint64_t number;  // in its file, from 1
  uint64_t time_ns;
};

// What one of the two has, the filter's choice.
struct ComparedSide {
  FileFound file;
  uint64_t frames = 0;
  uint64_t filtered = 0;
  uint64_t first_ns = 0;  // of all of them
  uint64_t last_ns = 0;
};

struct CompareResult {
  ComparedSide a;
  ComparedSide b;
  uint64_t matched = 0;
  uint64_t missing = 0;    // in A alone
  uint64_t added = 0;      // in B alone
  uint64_t reordered = 0;  // after one that is behind it in A (RFC 4737, 3.2)
  Histogram gap_error;     // of neighbours that are in order: |gap in B - gap in A|
  uint64_t longer = 0;     // gaps that are longer in B
  uint64_t shorter = 0;
  std::vector<int64_t> first_offsets_ns;  // time in B less time in A, of up to 1,000 first frames in order
  std::vector<int64_t> last_offsets_ns;   // and as many last ones; not in order
  std::vector<LoneFrame> first_missing;   // up to EXAMPLES
  std::vector<LoneFrame> first_added;
  uint64_t span_a_ns = 0;  // from the first to the last frame that are in both and in order
  uint64_t span_b_ns = 0;
  uint64_t in_order = 0;
};

constexpr uint32_t COMPARE_EXAMPLES = 10;
constexpr uint32_t COMPARE_OFFSETS = 1000;

class Comparison {
 public:
  Comparison(const CompareConfig& config, CompareResult& result);

  void add_a(uint64_t number, uint64_t time_ns, const CapturedFrame& ethernet);
  void begin_b();  // when all of A is there
  void add_b(uint64_t number, uint64_t time_ns, const CapturedFrame& ethernet);
  void finish();

 private:
  static constexpr uint32_t NONE = UINT32_MAX;
  struct Known {
    uint64_t hash;
    uint64_t time_ns;
  };

  size_t slot_of(uint64_t hash) const noexcept;
  void match(uint32_t index, uint64_t time_ns);

  CompareResult& result_;
  Fingerprint fingerprint_;
  std::deque<Known> known_;       // of A, in its order; a vector would need room for two while it grows
  std::vector<uint32_t> next_;    // the next one that is alike; of a frame that was matched: itself
  std::vector<uint32_t> slots_;   // by hash: the first one of those alike that is not matched
  uint64_t numbered_ = 0;         // so many have their place as their number in the file
  std::deque<uint64_t> numbers_;  // those behind them: some before were left out
  uint64_t highest_ = 0;          // one more than the index in A of the latest frame in order
  int64_t offset_ns_ = 0;
  uint64_t first_a_ns_ = 0;
  uint64_t first_b_ns_ = 0;
};

// Reads both to their ends, or where they broke. Throws Error.
std::unique_ptr<CompareResult> compare_captures(const CompareConfig& config, InspectProgress& progress);

}  // namespace carom
