// The bytes of a capture through a window that moves along the file: what a record needs lies in it in one
// piece. Its size is fixed, so no file makes it take more memory.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>

#include "capture/bytes.h"

namespace carom {

class CaptureWindow {
 public:
  static constexpr size_t SIZE = 1 << 19;

  explicit CaptureWindow(CaptureBytes& bytes)
      : bytes_(bytes), buffer_(std::make_unique_for_overwrite<uint8_t[]>(SIZE)) {}

  // Whether so many bytes, at most SIZE, are at data(). Reads on where they aren't, which moves the window:
  // what was borrowed from it is gone.
  bool has(size_t size) noexcept { return end_ - begin_ >= size || fill(size); }
  const uint8_t* data() const noexcept { return buffer_.get() + begin_; }
  size_t size() const noexcept { return end_ - begin_; }  // bytes at data(), of those read so far

  // Passes over bytes that are at data(). They stay there until the next has() or skip().
  void pass(size_t size) noexcept {
    begin_ += size;
    position_ += size;
  }

  // Passes over bytes that need not be there. False: the file ended before.
  bool skip(uint64_t size) noexcept {
    while (size != 0) {
      size_t some = static_cast<size_t>(std::min<uint64_t>(size, end_ - begin_));
      pass(some);
      size -= some;
      if (size != 0 && !has(1)) return false;
    }
    return true;
  }

  uint64_t position() const noexcept { return position_; }  // of data() in the decompressed file

 private:
  bool fill(size_t size) noexcept {
    memmove(buffer_.get(), data(), end_ - begin_);
    end_ -= begin_;
    begin_ = 0;
    while (end_ < size) {
      ssize_t got = bytes_.read(buffer_.get() + end_, SIZE - end_);
      if (got <= 0) return false;
      end_ += static_cast<size_t>(got);
    }
    return true;
  }

  CaptureBytes& bytes_;
  std::unique_ptr<uint8_t[]> buffer_;
  size_t begin_ = 0;
  size_t end_ = 0;
  uint64_t position_ = 0;
};

}  // namespace carom
