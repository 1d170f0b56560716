// The capture of a run: each frame that a generator's loop sends and receives, as the loop has it, with what
// the ledger says of the ticks and orders in it. A tap could not see them: what AF_XDP and XDP move goes past
// the kernel's network stack.
#pragma once

#include <string>
#include <vector>

#include "capture/writer.h"
#include "frame/parse.h"
#include "generate/ledger.h"

namespace carom {

class RunCapture {
 public:
  // Opens the file. Throws Error.
  RunCapture(const CaptureOutput& output, const IoConfig& io, Ledger& ledger);
  ~RunCapture();

  CaptureWriter& writer() noexcept { return writer_; }
  const CaptureWriter& writer() const noexcept { return writer_; }

  // By the loop: what leads from its clock to ns since the epoch.
  void begin(int64_t epoch_offset_ns) noexcept { epoch_offset_ns_ = epoch_offset_ns; }

  // A frame was handed over; its ticks are in the ledger.
  void sent(const Frame& frame, uint64_t sent_ns) noexcept;

  // A frame is about to be judged, and was. `refusal` says why it was not looked at, null where it was.
  void receiving() noexcept { judgements_.count = judgements_.more = 0; }
  void received(const Frame& frame, uint64_t now_ns, const char* refusal) noexcept;

  Counter frames;  // put, or dropped for lack of room

 private:
  void put(const Frame& frame, uint64_t time_ns, PcapngDirection direction, uint16_t kind,
           std::span<const uint8_t> note) noexcept;

  Ledger& ledger_;
  int64_t epoch_offset_ns_ = 0;
  bool receives_;
  Judgements judgements_{};
  std::array<uint8_t, sizeof(Judgements) + 64> note_{};
  CaptureWriter writer_;
};

}  // namespace carom
