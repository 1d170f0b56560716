// Where a capture goes: a file, a series of files of which the newest are kept, a pipe. What is appended is
// whole blocks; when the disk is full the file is cut back to whole blocks, with room for a last one.
#pragma once

#include <atomic>
#include <cstdint>
#include <ctime>
#include <deque>
#include <span>
#include <string>

#include "core/error.h"
#include "io/socket.h"

namespace carom {

struct CaptureFiles {
  std::string path;     // "-" is standard output
  uint32_t keep;        // files of a series, the newest; 0: all
  uint64_t file_bytes;  // the next file begins after so many; 0: no limit
  uint64_t file_ns;     // or after so long; 0: no limit

  bool is_series() const noexcept { return file_bytes != 0 || file_ns != 0; }
};

class CaptureFile {
 public:
  // Opens the first one: an existing file is overwritten. Throws Error.
  CaptureFile(const CaptureFiles& files, const std::atomic<bool>& given_up);

  // Appends blocks. False when that failed, or was given up: failure() says why. The file then is as long as
  // it may be, with room for a last block.
  bool append(std::span<const uint8_t> blocks) noexcept;

  // How many packets of those appended are not in the file because of a failure.
  uint64_t lost() const noexcept { return lost_; }

  // The error of the last append(), 0 for none: EPIPE when the reader has seen enough, ECANCELED when it was
  // given up.
  int failure() const noexcept { return failure_; }

  // The next file of the series, once this one is closed. Throws Error.
  void next();

  // A pipe's reader is waiting for this.
  void close() noexcept { fd_ = Fd(); }
  bool is_open() const noexcept { return fd_.open(); }

  uint64_t size() const noexcept { return size_; }  // bytes of the current file
  const std::string& name() const noexcept { return name_; }
  uint32_t count() const noexcept { return number_; }  // files so far

 private:
  struct Tail {
    uint64_t offset;
    uint64_t packets;
  };

  void open();
  bool wait_for_room() noexcept;
  void fail(int error, std::span<const uint8_t> blocks, size_t done) noexcept;
  void remember_tail(std::span<const uint8_t> blocks) noexcept;

  CaptureFiles files_;
  const std::atomic<bool>& given_up_;
  Fd fd_;
  bool is_regular_ = false;
  std::string name_;
  std::deque<std::string> kept_;
  uint32_t number_ = 0;
  uint64_t size_ = 0;
  Tail tail_{};   // a block's beginning near the end, 0 for none, and the packets from there on
  Tail newer_{};  // the next one
  uint64_t lost_ = 0;
  int failure_ = 0;
};

// "name_00001_20261122214500.pcapng" for the first file of name.pcapng, as other tools name them.
std::string series_name(const std::string& path, uint32_t number, time_t time);

}  // namespace carom
