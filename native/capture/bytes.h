// The bytes of a capture: from a file or standard input, decompressed on the way (gzip, zstd), counted.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

struct z_stream_s;
struct ZSTD_DCtx_s;

namespace carom {

enum class Compression : uint8_t { none, gzip, zstd };
constexpr const char* COMPRESSION_NAMES[] = {"none", "gzip", "zstd"};

class CaptureBytes {
 public:
  // "-" is standard input. Throws Error (usage) when it can't be opened, or is empty.
  explicit CaptureBytes(const std::string& path);

  // The same file once more from its beginning. Throws Error where that can't be, as of a pipe.
  CaptureBytes(const std::string& path, const CaptureBytes& other);
  ~CaptureBytes();
  CaptureBytes(const CaptureBytes&) = delete;
  CaptureBytes& operator=(const CaptureBytes&) = delete;

  // As many as there are, up to `size`. 0: the end; -1: it broke, and trouble() says how.
  ssize_t read(uint8_t* to, size_t size) noexcept;

  Compression compression() const noexcept { return compression_; }
  const char* trouble() const noexcept { return trouble_; }
  uint64_t file_size() const noexcept { return file_size_; }  // 0: not known, as of a pipe
  uint64_t file_read() const noexcept { return file_read_.load(std::memory_order_relaxed); }

  // Set from another thread: a read that waits for a pipe ends, as if the pipe had. Shared by all that read
  // the file, one after the other.
  const std::shared_ptr<std::atomic<bool>>& cancellation() const noexcept { return cancelled_; }
  bool cancelled() const noexcept { return cancelled_->load(std::memory_order_relaxed); }

 private:
  struct FreeGzip {
    void operator()(z_stream_s*) const noexcept;
  };
  struct FreeZstd {
    void operator()(ZSTD_DCtx_s*) const noexcept;
  };

  bool fill() noexcept;
  ssize_t receive(uint8_t* to, size_t size) noexcept;
  bool wait() noexcept;
  void begin();
  void fill_magic();
  void detect();
  ssize_t break_off(const char* trouble) noexcept;
  ssize_t copy(uint8_t* to, size_t size) noexcept;
  ssize_t inflate_some(uint8_t* to, size_t size) noexcept;
  ssize_t unzstd_some(uint8_t* to, size_t size) noexcept;

  std::string operation_;
  int file_ = -1;
  bool waits_ = false;  // a pipe, a terminal or a socket: a read may block
  uint64_t file_size_ = 0;
  std::atomic<uint64_t> file_read_{0};
  std::shared_ptr<std::atomic<bool>> cancelled_ = std::make_shared<std::atomic<bool>>(false);
  Compression compression_ = Compression::none;
  const char* trouble_ = "";
  std::string refusal_;  // what trouble_ points to when the system refused a read
  std::vector<uint8_t> input_;
  size_t from_ = 0;
  size_t to_ = 0;
  bool ended_ = false;
  bool in_frame_ = false;  // of the compressed data: what ends now is cut short
  std::unique_ptr<z_stream_s, FreeGzip> gzip_;
  std::unique_ptr<ZSTD_DCtx_s, FreeZstd> zstd_;
};

}  // namespace carom
