#include "capture/reader.h"

#include <sys/types.h>
// Needs the types above.
#include <pcap/pcap.h>
#include <stdio_ext.h>

#include <cerrno>
#include <cstring>

#include "core/error.h"

namespace carom {
namespace {

constexpr size_t BUFFER = 1 << 18;
constexpr uint64_t SECOND_NS = 1'000'000'000;
constexpr __int128 TIME_END_NS = static_cast<__int128>(1) << 63;

std::string operation_of(const std::string& path) {
  return "read the capture " + (path == "-" ? "on standard input" : path);
}

}  // namespace

void CaptureReader::Close::operator()(pcap* capture) const noexcept { pcap_close(capture); }

CaptureReader::CaptureReader(const std::string& path)
    : path_(path), bytes_(path), buffer_(std::make_unique<char[]>(BUFFER)) {
  open();
}

CaptureReader::CaptureReader(Again, const CaptureReader& other)
    : path_(other.path_), bytes_(other.path_, other.bytes_), buffer_(std::make_unique<char[]>(BUFFER)) {
  open();
}

void CaptureReader::open() {
  cookie_io_functions_t functions{};
  functions.read = read_bytes;
  functions.seek = tell;
  FILE* stream = fopencookie(this, "r", functions);
  if (stream == nullptr) throw Error(ErrorCode::internal, operation_of(path_), errno_text(errno));
  setvbuf(stream, buffer_.get(), _IOFBF, BUFFER);
  __fsetlocking(stream, FSETLOCKING_BYCALLER);  // libpcap reads a few bytes at a time, and alone
  char trouble[PCAP_ERRBUF_SIZE] = "";
  capture_.reset(pcap_fopen_offline_with_tstamp_precision(stream, PCAP_TSTAMP_PRECISION_NANO, trouble));
  if (!capture_) {
    fclose(stream);
    std::string detail = *bytes_.trouble() != 0 ? bytes_.trouble() : "not a capture: " + std::string(trouble);
    throw Error(ErrorCode::usage, operation_of(path_), detail,
                "carom reads pcap and pcapng, plain or compressed with gzip or zstd");
  }
  link_type_ = pcap_datalink(capture_.get());
}

CaptureReader::~CaptureReader() = default;

bool CaptureReader::next(CapturedFrame& out) noexcept {
  if (ended_) return false;
  pcap_pkthdr* header;
  const uint8_t* data;
  int result = pcap_next_ex(capture_.get(), &header, &data);
  if (result == PCAP_ERROR_BREAK) return stop("");
  if (result != 1) return stop(*bytes_.trouble() != 0 ? bytes_.trouble() : pcap_geterr(capture_.get()));
  int64_t seconds = header->ts.tv_sec;
  // pcap has 32 bits for the seconds, without a sign; libpcap reads them with one.
  if (format() != CaptureFormat::pcapng) seconds &= 0xffffffff;
  __int128 time_ns = static_cast<__int128>(seconds) * SECOND_NS + header->ts.tv_usec;
  if (time_ns < 0 || time_ns >= TIME_END_NS) return stop("its time is before 1970 or after 2262");
  out = {static_cast<uint64_t>(time_ns), data, header->caplen, std::max(header->len, header->caplen)};
  end_.frames++;
  return true;
}

bool CaptureReader::stop(const char* trouble) noexcept {
  ended_ = true;
  off64_t at = ftello64(pcap_file(capture_.get()));
  end_.bytes = at < 0 ? passed_ : static_cast<uint64_t>(at);
  end_.cancelled = bytes_.cancelled();
  if (!end_.cancelled) end_.broken = trouble;
  return false;
}

ssize_t CaptureReader::read_bytes(void* self, char* to, size_t size) noexcept {
  auto* reader = static_cast<CaptureReader*>(self);
  ssize_t got = reader->bytes_.read(reinterpret_cast<uint8_t*>(to), size);
  if (got < 0) {
    errno = EIO;
    return -1;
  }
  reader->sections_.pass(reinterpret_cast<uint8_t*>(to), static_cast<size_t>(got));
  reader->passed_ += static_cast<uint64_t>(got);
  return got;
}

// Only for ftello(): where the stream is can be told, but it can't be moved.
int CaptureReader::tell(void* self, off64_t* offset, int whence) noexcept {
  if (whence != SEEK_CUR || *offset != 0) {
    errno = ESPIPE;
    return -1;
  }
  *offset = static_cast<off64_t>(static_cast<CaptureReader*>(self)->passed_);
  return 0;
}

std::string CaptureEnd::text() const {
  if (broken.empty()) return "";
  return "frame " + std::to_string(frames + 1) + ", at byte " + std::to_string(bytes) + ": " + broken;
}

std::string link_type_text(int link_type) {
  const char* name = pcap_datalink_val_to_name(link_type);
  const char* description = pcap_datalink_val_to_description(link_type);
  if (name == nullptr) return "number " + std::to_string(link_type);
  return std::string(name) + (description == nullptr ? "" : " (" + std::string(description) + ")");
}

}  // namespace carom
