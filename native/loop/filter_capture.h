// A capture through the packet filter: counted, written, or kept in memory to measure every engine.
#pragma once

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "capture/ethernet.h"
#include "capture/file.h"
#include "capture/pcapng.h"
#include "capture/reader.h"
#include "filter/filter.h"

namespace carom {

struct FilterCaptureConfig {
  std::string expression;
  std::string engine;
  std::string path;   // of the capture, "-" for standard input
  std::string write;  // where the accepted frames go, "" for nowhere
  uint32_t rounds;    // each engine is measured so often; 0: none is
};

// One engine, or libpcap's interpreter, on the frames of the capture.
struct EngineFigure {
  std::string name;
  std::string reason;  // why it can't be had; "" if it was measured
  uint64_t accepted;
  std::vector<double> ns_a_packet;  // a figure a round
};

class FilterCapture {
 public:
  // Throws Error: usage for the expression, the engine or the capture, environment for what is written.
  explicit FilterCapture(const FilterCaptureConfig& config);

  // Reads the capture to its end. Throws Error (environment) when what is accepted can't be written.
  void run();

  // From another thread: run() ends early.
  void cancel() noexcept;
  bool is_cancelled() const noexcept { return cancelled_.load(std::memory_order_relaxed); }

  // What is written goes to a pipe, whose reader has seen enough: run() ended early.
  bool is_reader_gone() const noexcept { return reader_gone_; }

  const Filter& filter() const noexcept { return filter_; }
  const CaptureReader& reader() const noexcept { return reader_; }
  uint64_t frames() const noexcept { return frames_; }
  uint64_t accepted() const noexcept { return accepted_; }
  uint64_t accepted_bytes() const noexcept { return accepted_bytes_; }
  uint64_t written() const noexcept { return file_ ? appended_ - file_->lost() : 0; }
  uint64_t not_ethernet() const noexcept {
    return not_ethernet_;
  }                                            // left out: they can't have an Ethernet header
  std::vector<CaptureRemark> remarks() const;  // once it has run
  const std::vector<EngineFigure>& figures() const noexcept { return figures_; }
  uint64_t measured_frames() const noexcept { return measured_frames_; }

 private:
  struct Kept {
    uint64_t time_ns;
    size_t at;  // in the batch's bytes
    uint32_t captured;
    uint32_t length;
  };

  void keep(const CapturedFrame& frame);
  void decide();
  void write(const uint64_t* verdicts);
  void measure();

  FilterCaptureConfig config_;
  Filter filter_;
  CaptureReader reader_;
  ToEthernet to_ethernet_;
  std::atomic<bool> cancelled_{false};
  std::unique_ptr<CaptureFile> file_;
  PcapngBlocks blocks_;
  std::vector<uint8_t> bytes_;  // of the frames kept
  std::vector<Kept> kept_;
  std::vector<FilterFrame> batch_;
  uint64_t frames_ = 0;
  uint64_t accepted_ = 0;
  uint64_t accepted_bytes_ = 0;
  uint64_t appended_ = 0;  // frames given to the file
  bool reader_gone_ = false;
  uint64_t not_ethernet_ = 0;
  uint64_t measured_frames_ = 0;
  std::vector<EngineFigure> figures_;
};

}  // namespace carom
