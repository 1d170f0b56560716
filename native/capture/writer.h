// A capture on its way to the file: takes records out of the ring, makes pcapng of them and writes it in
// large pieces, on a thread of its own, so that no thread with frames ever waits for a disk.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "capture/file.h"
#include "capture/pcapng.h"
#include "capture/ring.h"
#include "core/counters.h"

namespace carom {

struct CaptureOutput {
  CaptureFiles files;
  size_t buffer_bytes;  // of the ring, a power of two
  PcapngSection section;
  std::string interface_comment;  // what the timestamps are
};

// What is captured. The functions are called on the writer's thread.
struct CaptureSource {
  PcapngInterface interface;
  // At the end of each file, when the writer has dropped so many; it fills in times and what is delivered.
  std::function<PcapngStatistics(uint64_t dropped)> statistics;
  // What is to be said of a packet.
  std::function<void(const CaptureRecord&, std::vector<std::string>&)> comment;
};

class CaptureWriter {
 public:
  // Opens the first file and starts the thread. Throws Error.
  CaptureWriter(const CaptureOutput& output, CaptureSource source);
  ~CaptureWriter();
  CaptureWriter(const CaptureWriter&) = delete;
  CaptureWriter& operator=(const CaptureWriter&) = delete;

  CaptureRing& ring() noexcept { return ring_; }

  // Nothing more comes: what is in the ring is written, unless it has to be given up. Returns when the file
  // is closed.
  template <class GivenUp>
  void finish(GivenUp given_up) noexcept {
    finishing_.store(true, std::memory_order_release);
    while (!ended_.load(std::memory_order_acquire)) {
      if (given_up()) given_up_.store(true, std::memory_order_relaxed);
      rest();
    }
  }

  // It can't write any more, for whatever reason.
  bool has_failed() const noexcept { return has_failed_.load(std::memory_order_relaxed); }

  // Once finished: why not all was written. None when the reader of a pipe had seen enough.
  const std::optional<Error>& failure() const noexcept { return failure_; }

  // Frames that are missing in the files: there was no room in the ring, or they could not be written.
  uint64_t dropped() const noexcept { return ring_.dropped.get() + lost.get(); }

  Counter written;  // frames
  Counter bytes;    // of the files
  Counter files;
  Counter lost;                   // frames that were in the ring
  std::string last_file() const;  // once finished

 private:
  static void rest() noexcept;
  void run() noexcept;
  void write_all();
  void count_lost() noexcept;
  void take(const CaptureRecord& record);
  void begin_file();
  void end_file();
  void next_file();
  bool flush();
  void fail(int error);
  bool is_full(uint64_t now_ns) const noexcept;

  const CaptureOutput output_;
  const CaptureSource source_;
  CaptureRing ring_;
  std::atomic<bool> finishing_{false};
  std::atomic<bool> given_up_{false};
  std::atomic<bool> has_failed_{false};
  std::atomic<bool> ended_{false};
  CaptureFile file_;
  PcapngBlocks blocks_;
  std::vector<std::string> comments_;
  std::optional<Error> failure_;
  uint64_t start_ns_;           // of the capture, since the epoch
  uint64_t file_start_ns_ = 0;  // of the current file, since the epoch
  uint64_t flushed_ns_ = 0;     // the last time
  uint64_t pending_ = 0;        // packets that were not flushed
  bool has_packets_ = false;    // the current file, or it will have those
  uint64_t lost_seen_ = 0;
  std::thread thread_;
};

}  // namespace carom
