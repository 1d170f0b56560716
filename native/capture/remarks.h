// What a reader of captures has to say about frames: those that it leaves out, and those that it doesn't give
// just as they are in the file. Each kind is counted, and the first frame of it is named.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace carom {

enum class RemarkKind : uint8_t {
  bad_time,
  unknown_interface,
  bad_block,
  oversized,
  fcs_removed,
  no_time,
  above_length,
  long_fraction,
  bad_options,
  COUNT
};

// One kind, as it is reported.
struct CaptureRemark {
  std::string kind;
  std::string text;         // "left out: …", what is said of the frames
  uint64_t frames = 0;      // of this kind
  uint64_t first = 0;       // the number of the first one in the file, from 1
  bool is_left_out = true;  // or it is read
  bool is_fault = false;    // the file is damaged, or says what can't be
};

class CaptureRemarks {
 public:
  void note(RemarkKind kind, uint64_t number) noexcept {
    Count& count = counts_[static_cast<size_t>(kind)];
    if (count.frames++ == 0) count.first = number;
  }
  std::vector<CaptureRemark> list() const;

 private:
  struct Count {
    uint64_t frames = 0;
    uint64_t first = 0;
  };
  std::array<Count, static_cast<size_t>(RemarkKind::COUNT)> counts_{};
};

}  // namespace carom
