#include "capture/bytes.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include <algorithm>
#include <cstring>

#include "core/error.h"

namespace carom {
namespace {

constexpr size_t BLOCK = 1 << 18;
constexpr int CANCEL_MS = 50;  // how soon a wait for a pipe sees that it is cancelled
constexpr int GZIP_ONLY = 16 + MAX_WBITS;
constexpr uint8_t GZIP_MAGIC[] = {0x1f, 0x8b};
constexpr uint8_t ZSTD_MAGIC[] = {0x28, 0xb5, 0x2f, 0xfd};
constexpr uint32_t SKIPPABLE_MAGIC = 0x184d2a50;  // and 15 more (RFC 8878, 3.1.2); pzstd begins with one

// What people hand over by mistake; they are told so.
struct OtherFormat {
  const char* name;
  uint8_t magic[6];
  size_t size;
};
constexpr OtherFormat OTHER_FORMATS[] = {
    {"xz", {0xfd, '7', 'z', 'X', 'Z', 0}, 6},
    {"bzip2", {'B', 'Z', 'h'}, 3},
    {"lz4", {0x04, 0x22, 0x4d, 0x18}, 4},
    {"zip", {'P', 'K', 3, 4}, 4},
};

bool is_skippable(const uint8_t* magic) noexcept {
  uint32_t value;
  memcpy(&value, magic, sizeof value);
  return (value & ~15u) == SKIPPABLE_MAGIC;
}

}  // namespace

void CaptureBytes::FreeGzip::operator()(z_stream_s* stream) const noexcept {
  inflateEnd(stream);
  delete stream;
}

void CaptureBytes::FreeZstd::operator()(ZSTD_DCtx_s* context) const noexcept { ZSTD_freeDCtx(context); }

CaptureBytes::CaptureBytes(const std::string& path)
    : operation_("read the capture " + (path == "-" ? "on standard input" : path)), input_(BLOCK) {
  file_ = path == "-" ? fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3) : open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file_ < 0) throw Error(ErrorCode::usage, operation_, errno_text(errno), "name a file that can be read");
  begin();
}

// Through the descriptor that is open: the file may have another name by now, or be allowed to others only.
CaptureBytes::CaptureBytes(const std::string& path, const CaptureBytes& other)
    : operation_("read the capture " + path + " once more"),
      file_(fcntl(other.file_, F_DUPFD_CLOEXEC, 3)),
      cancelled_(other.cancelled_),
      input_(BLOCK) {
  if (file_ < 0 || lseek(file_, 0, SEEK_SET) != 0) {
    int number = errno;
    if (file_ >= 0) close(file_);
    throw Error(ErrorCode::usage, operation_, errno_text(number), "only a file can be read again: save it");
  }
  begin();
}

void CaptureBytes::begin() {
  try {
    struct stat about {};
    if (fstat(file_, &about) != 0) throw system_error(operation_, errno);
    if (S_ISDIR(about.st_mode)) throw Error(ErrorCode::usage, operation_, "it is a folder", "name its files");
    if (isatty(file_) != 0)
      throw Error(ErrorCode::usage, operation_, "it is a terminal", "pipe a capture into carom: < FILE");
    waits_ = !S_ISREG(about.st_mode);
    if (!waits_) {
      file_size_ = static_cast<uint64_t>(about.st_size);
      posix_fadvise(file_, 0, 0, POSIX_FADV_SEQUENTIAL);  // only advice: it may fail
    }
    fill_magic();
    detect();
  } catch (...) {
    close(file_);
    throw;
  }
}

CaptureBytes::~CaptureBytes() { close(file_); }

// Enough to tell the format by, even from a pipe that gives a byte at a time.
void CaptureBytes::fill_magic() {
  while (to_ < sizeof OtherFormat::magic && !ended_) {
    if (!fill()) throw Error(ErrorCode::usage, operation_, trouble_);
  }
  if (to_ == 0) {
    throw Error(ErrorCode::usage, operation_, "it is empty: 0 bytes",
                "a capture has at least a header, even without a frame; see what was to write it");
  }
}

void CaptureBytes::detect() {
  auto is = [&](const uint8_t* magic, size_t size) {
    return to_ >= size && memcmp(input_.data(), magic, size) == 0;
  };
  for (const OtherFormat& other : OTHER_FORMATS) {
    if (is(other.magic, other.size)) {
      throw Error(ErrorCode::usage, operation_, std::string("it is compressed with ") + other.name,
                  "carom reads gzip and zstd: decompress it, and pipe it in with - as the file");
    }
  }
  if (is(GZIP_MAGIC, sizeof GZIP_MAGIC)) {
    compression_ = Compression::gzip;
    auto stream = std::make_unique<z_stream_s>();
    memset(stream.get(), 0, sizeof *stream);
    if (inflateInit2(stream.get(), GZIP_ONLY) != Z_OK)
      throw Error(ErrorCode::internal, operation_, "zlib has no memory for it");
    gzip_.reset(stream.release());
  } else if (is(ZSTD_MAGIC, sizeof ZSTD_MAGIC) || (to_ >= 4 && is_skippable(input_.data()))) {
    compression_ = Compression::zstd;
    zstd_.reset(ZSTD_createDCtx());
    if (!zstd_) throw Error(ErrorCode::internal, operation_, "zstd has no memory for it");
  }
}

ssize_t CaptureBytes::read(uint8_t* to, size_t size) noexcept {
  if (*trouble_ != 0) return -1;
  if (compression_ == Compression::gzip) return inflate_some(to, size);
  if (compression_ == Compression::zstd) return unzstd_some(to, size);
  return copy(to, size);
}

// More input behind what is there. False: the system refused it.
bool CaptureBytes::fill() noexcept {
  if (from_ == to_) from_ = to_ = 0;
  ssize_t got = receive(input_.data() + to_, input_.size() - to_);
  if (got > 0) to_ += static_cast<size_t>(got);
  return got >= 0;
}

// Bytes of the file as it is. 0: it ended, or is cancelled; -1: the system refused it.
ssize_t CaptureBytes::receive(uint8_t* to, size_t size) noexcept {
  if (waits_ && !wait()) {
    ended_ = true;
    return 0;
  }
  ssize_t got;
  do {
    got = ::read(file_, to, size);
  } while (got < 0 && errno == EINTR);
  if (got < 0) {
    refusal_ = errno_text(errno);
    return break_off(refusal_.c_str());
  }
  if (got == 0) ended_ = true;
  file_read_.fetch_add(static_cast<uint64_t>(got), std::memory_order_relaxed);
  return got;
}

// For a pipe, until there is something. False: cancelled.
bool CaptureBytes::wait() noexcept {
  while (!cancelled()) {
    pollfd descriptor{file_, POLLIN, 0};
    int ready = poll(&descriptor, 1, CANCEL_MS);
    if (ready != 0 && !(ready < 0 && errno == EINTR)) return true;
  }
  return false;
}

ssize_t CaptureBytes::break_off(const char* trouble) noexcept {
  trouble_ = trouble;
  return -1;
}

ssize_t CaptureBytes::copy(uint8_t* to, size_t size) noexcept {
  if (from_ == to_) return ended_ ? 0 : receive(to, size);
  size_t taken = std::min(size, to_ - from_);
  memcpy(to, input_.data() + from_, taken);
  from_ += taken;
  return static_cast<ssize_t>(taken);
}

// A file of several gzip members is one after the other (RFC 1952, 2.2); zeros behind them fill up a block,
// as gzip(1) has it.
ssize_t CaptureBytes::inflate_some(uint8_t* to, size_t size) noexcept {
  gzip_->next_out = to;
  gzip_->avail_out = static_cast<uint32_t>(std::min<size_t>(size, UINT32_MAX));
  uint32_t room = gzip_->avail_out;
  while (gzip_->avail_out == room) {
    if (from_ == to_ && !ended_ && !fill()) return -1;
    if (from_ == to_) return in_frame_ ? break_off("the gzip data is cut short") : 0;
    if (!in_frame_ && input_[from_] == 0) {
      from_++;
      continue;
    }
    in_frame_ = true;
    gzip_->next_in = input_.data() + from_;
    gzip_->avail_in = static_cast<uint32_t>(to_ - from_);
    int result = inflate(gzip_.get(), Z_NO_FLUSH);
    from_ = to_ - gzip_->avail_in;
    if (result == Z_STREAM_END) {
      in_frame_ = false;
      inflateReset(gzip_.get());
    } else if (result != Z_OK && result != Z_BUF_ERROR) {
      return break_off("the gzip data is damaged");
    }
  }
  return static_cast<ssize_t>(room - gzip_->avail_out);
}

ssize_t CaptureBytes::unzstd_some(uint8_t* to, size_t size) noexcept {
  ZSTD_outBuffer out{to, size, 0};
  while (out.pos == 0) {
    // zstd may hold back output of input that it has taken: what is left at the end is asked for once more.
    if (from_ == to_ && !ended_ && !fill()) return -1;
    ZSTD_inBuffer in{input_.data(), to_, from_};
    bool is_last = from_ == to_;
    if (is_last && !in_frame_) return 0;
    size_t result = ZSTD_decompressStream(zstd_.get(), &out, &in);
    from_ = in.pos;
    if (ZSTD_getErrorCode(result) == ZSTD_error_frameParameter_windowTooLarge)
      return break_off("its zstd window is over 128 MiB: pipe it in through zstd -dc --long=31");
    if (ZSTD_getErrorCode(result) == ZSTD_error_prefix_unknown)
      return break_off("behind its first zstd frame is something else");
    if (ZSTD_isError(result) != 0) return break_off("the zstd data is damaged");
    in_frame_ = result != 0;
    if (is_last && out.pos == 0) return in_frame_ ? break_off("the zstd data is cut short") : 0;
  }
  return static_cast<ssize_t>(out.pos);
}

}  // namespace carom
