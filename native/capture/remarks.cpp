#include "capture/remarks.h"

namespace carom {
namespace {

struct Kind {
  const char* name;
  const char* text;
  bool is_left_out;
};

constexpr Kind KINDS[] = {
    {"bad_time", "left out: the time is before 1970 or after 2262", true},
    {"unknown_interface",
     "left out: the file does not describe the interface, or in a way that can't be read", true},
    {"bad_block", "left out: the block is shorter than what it says it holds", true},
    {"oversized", "left out: more than 262,144 bytes", true},
    {"fcs_removed", "taken without the FCS at the end, of which the file tells", false},
    {"no_time", "without a time (Simple Packet Block): it is that of the frame before", false},
    {"above_length", "with more bytes in the file than on the wire, by its lengths: all of them are taken",
     false},
    {"long_fraction", "with a fraction of a second that is over a second: it is added", false},
    {"bad_options", "with options that break off or have a wrong length: taken without those", false},
};
static_assert(sizeof KINDS / sizeof *KINDS == static_cast<size_t>(RemarkKind::COUNT));

}  // namespace

std::vector<CaptureRemark> CaptureRemarks::list() const {
  std::vector<CaptureRemark> all;
  for (size_t i = 0; i < counts_.size(); i++) {
    const auto& [frames, first] = counts_[i];
    const auto& [name, text, is_left_out] = KINDS[i];
    if (frames != 0) all.push_back({name, text, frames, first, is_left_out, is_left_out});
  }
  return all;
}

}  // namespace carom
