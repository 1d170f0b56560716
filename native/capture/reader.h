// Reads captures: pcap (µs and ns, both byte orders) and pcapng, through libpcap; plain, gzip or zstd, from a
// file or standard input. Streamed: the memory that it takes does not depend on the file's size.
#pragma once

#include <cstdint>
#include <cstdio>
#include <memory>
#include <string>

#include "capture/bytes.h"
#include "capture/sections.h"

struct pcap;

namespace carom {

// A record of a capture, borrowed from the reader until its next().
struct CapturedFrame {
  uint64_t time_ns;  // since the epoch, below 2^63
  const uint8_t* data;
  uint32_t captured;  // bytes at `data`
  uint32_t length;    // that it had on the wire; never below `captured`
};

// How far a capture was read, and whether it broke there.
struct CaptureEnd {
  uint64_t frames = 0;
  uint64_t bytes = 0;      // of the decompressed file; set at the end
  bool cancelled = false;  // by cancel()
  std::string broken;      // how; "" as long as nothing is

  bool whole() const noexcept { return broken.empty() && !cancelled; }
  // "frame 7, at byte 1234: truncated dump file; …", "" when nothing is.
  std::string text() const;
};

class CaptureReader {
 public:
  // "-" is standard input. Throws Error (usage): unreadable, empty, not a capture.
  explicit CaptureReader(const std::string& path);

  // The same file once more from its beginning. Throws Error where that can't be, as of a pipe.
  struct Again {};
  CaptureReader(Again, const CaptureReader& other);
  ~CaptureReader();
  CaptureReader(const CaptureReader&) = delete;
  CaptureReader& operator=(const CaptureReader&) = delete;

  // False at the end, or where the capture is broken; then end() says which.
  bool next(CapturedFrame& out) noexcept;
  const CaptureEnd& end() const noexcept { return end_; }

  const std::string& path() const noexcept { return path_; }
  int link_type() const noexcept { return link_type_; }  // DLT_…
  CaptureFormat format() const noexcept { return sections_.format(); }
  Compression compression() const noexcept { return bytes_.compression(); }
  uint32_t interfaces() const noexcept { return sections_.interfaces(); }  // seen so far; 0 of pcap

  // Of the file as it is on the disk, compressed or not; the size is 0 where it isn't known, as of a pipe.
  // May be asked by another thread.
  uint64_t file_size() const noexcept { return bytes_.file_size(); }
  uint64_t file_read() const noexcept { return bytes_.file_read(); }

  // From another thread: a next() that waits for a pipe returns false.
  void cancel() noexcept { bytes_.cancellation()->store(true, std::memory_order_relaxed); }
  const std::shared_ptr<std::atomic<bool>>& cancellation() const noexcept { return bytes_.cancellation(); }

 private:
  struct Close {
    void operator()(pcap* capture) const noexcept;
  };

  static ssize_t read_bytes(void* reader, char* to, size_t size) noexcept;
  static int tell(void* reader, off64_t* offset, int whence) noexcept;
  void open();
  bool stop(const char* trouble) noexcept;

  std::string path_;
  CaptureBytes bytes_;
  CaptureSections sections_;
  uint64_t passed_ = 0;  // bytes given to libpcap's buffer
  int link_type_ = 0;
  bool ended_ = false;
  CaptureEnd end_;
  std::unique_ptr<char[]> buffer_;
  std::unique_ptr<pcap, Close> capture_;  // closes the stream, which uses all of the above
};

// "EN10MB (Ethernet)" of a DLT_ number.
std::string link_type_text(int link_type);

}  // namespace carom
