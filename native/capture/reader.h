// Reads captures: pcap (µs and ns, both byte orders) and pcapng; plain, gzip or zstd, from a file or standard
// input. Streamed: the memory that it takes does not depend on the file's size, nor on what is in it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "capture/bytes.h"
#include "capture/pcap_file.h"
#include "capture/pcapng_file.h"
#include "capture/records.h"

namespace carom {

enum class CaptureFormat : uint8_t { pcap_us, pcap_ns, pcapng };
constexpr const char* CAPTURE_FORMAT_NAMES[] = {"pcap µs", "pcap ns", "pcapng"};

// How far a capture was read, and whether it broke there.
struct CaptureEnd {
  uint64_t frames = 0;     // that next() gave
  uint64_t packets = 0;    // and those left out; set at the end
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
  CaptureReader(const CaptureReader&) = delete;
  CaptureReader& operator=(const CaptureReader&) = delete;

  // False at the end, or where the capture is broken; then end() says which.
  bool next(CapturedFrame& out) noexcept;
  const CaptureEnd& end() const noexcept { return end_; }

  const std::string& path() const noexcept { return path_; }
  CaptureFormat format() const noexcept { return format_; }
  Compression compression() const noexcept { return bytes_.compression(); }
  uint64_t interfaces() const noexcept { return pcapng_.interfaces(); }  // seen so far; 0 of pcap

  // LINKTYPE_ numbers: of pcap one; of pcapng those of the interfaces that had packets so far, or else of all
  // that are described so far; not more than 16.
  std::vector<uint32_t> link_types() const;
  // "EN10MB (Ethernet), RAW (Raw IP)".
  std::string link_types_text() const;

  // About frames that are left out or given otherwise than they are in the file; over all passes.
  std::vector<CaptureRemark> remarks() const { return in_.remarks.list(); }

  // Of the file as it is on the disk, compressed or not; the size is 0 where it isn't known, as of a pipe.
  // May be asked by another thread.
  uint64_t file_size() const noexcept { return bytes_.file_size(); }
  uint64_t file_read() const noexcept { return bytes_.file_read(); }

  // From another thread: a next() that waits for a pipe returns false.
  void cancel() noexcept { bytes_.cancellation()->store(true, std::memory_order_relaxed); }
  const std::shared_ptr<std::atomic<bool>>& cancellation() const noexcept { return bytes_.cancellation(); }

 private:
  void open();
  bool stop(bool is_broken) noexcept;

  std::string path_;
  CaptureBytes bytes_;
  CaptureInput in_;
  CaptureFormat format_ = CaptureFormat::pcap_us;
  PcapFile pcap_;
  PcapngFile pcapng_;
  bool ended_ = false;
  CaptureEnd end_;
};

// "EN10MB (Ethernet)" of a LINKTYPE_ number.
std::string link_type_text(uint32_t link_type);

}  // namespace carom
