// Captures for the tests, written byte by byte after the formats' specifications.
#pragma once

#include <sys/mman.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "test/test.h"

namespace carom::test {

struct Record {
  uint64_t time_ns;
  std::string data;
  uint32_t length;         // on the wire
  uint32_t interface = 0;  // of pcapng
};

// Numbers in the byte order of the capture.
class Bytes {
 public:
  explicit Bytes(bool swapped) : swapped_(swapped) {}

  Bytes& u16(uint32_t value) {
    return put(swapped_ ? __builtin_bswap16(static_cast<uint16_t>(value)) : value, 2);
  }
  Bytes& u32(uint32_t value) { return put(swapped_ ? __builtin_bswap32(value) : value, 4); }
  Bytes& raw(const std::string& bytes) {
    text += bytes;
    return *this;
  }
  Bytes& padded(const std::string& bytes) {
    return raw(bytes).raw(std::string((4 - bytes.size() % 4) % 4, '\0'));
  }

  std::string text;

 private:
  Bytes& put(uint32_t value, uint32_t size) {
    text.append(reinterpret_cast<const char*>(&value), size);
    return *this;
  }
  bool swapped_;
};

// draft-ietf-opsawg-pcap
inline std::string pcap(const std::vector<Record>& records, bool nano, bool swapped, uint32_t link_type = 1,
                        uint32_t snap = 262144) {
  Bytes out(swapped);
  out.u32(nano ? 0xa1b23c4d : 0xa1b2c3d4).u16(2).u16(4).u32(0).u32(0).u32(snap).u32(link_type);
  for (const Record& record : records) {
    out.u32(static_cast<uint32_t>(record.time_ns / 1'000'000'000));
    out.u32(static_cast<uint32_t>(record.time_ns % 1'000'000'000 / (nano ? 1 : 1000)));
    out.u32(static_cast<uint32_t>(record.data.size())).u32(record.length).raw(record.data);
  }
  return out.text;
}

struct Interface {
  uint8_t resolution = 9;  // if_tsresol: a power of ten, or with the highest bit set of two
  uint32_t snap = 0;
  uint16_t link_type = 1;
};

inline void block(Bytes& out, bool swapped, uint32_t type, const std::string& body) {
  uint32_t length = static_cast<uint32_t>(body.size()) + 12;
  out.raw(Bytes(swapped).u32(type).u32(length).text).raw(body).u32(length);
}

inline uint64_t in_units(uint64_t time_ns, uint8_t resolution) {
  if ((resolution & 0x80) != 0)
    return static_cast<uint64_t>((static_cast<unsigned __int128>(time_ns) << (resolution & 0x7f)) /
                                 1'000'000'000);
  for (int digit = 9; digit > resolution; digit--) time_ns /= 10;
  return time_ns;
}

// draft-ietf-opsawg-pcapng
inline std::string pcapng(const std::vector<Record>& records, const std::vector<Interface>& interfaces,
                          bool swapped) {
  Bytes out(swapped);
  block(out, swapped, 0x0a0d0d0a,
        Bytes(swapped).u32(0x1a2b3c4d).u16(1).u16(0).u32(0xffffffff).u32(0xffffffff).text);
  for (const Interface& one : interfaces) {
    Bytes body(swapped);
    body.u16(one.link_type)
        .u16(0)
        .u32(one.snap)
        .u16(9)
        .u16(1)
        .padded(std::string(1, static_cast<char>(one.resolution)));
    block(out, swapped, 1, body.u32(0).text);
  }
  for (const Record& record : records) {
    uint64_t units = in_units(record.time_ns, interfaces[record.interface].resolution);
    Bytes body(swapped);
    body.u32(record.interface).u32(static_cast<uint32_t>(units >> 32)).u32(static_cast<uint32_t>(units));
    body.u32(static_cast<uint32_t>(record.data.size())).u32(record.length).padded(record.data);
    block(out, swapped, 6, body.text);
  }
  return out.text;
}

inline std::string gzip(const std::string& plain) {
  z_stream stream{};
  expect(deflateInit2(&stream, 1, Z_DEFLATED, 31, 8, Z_DEFAULT_STRATEGY) == Z_OK, "deflateInit2");
  std::string out(deflateBound(&stream, plain.size()), '\0');
  stream.next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(plain.data()));
  stream.avail_in = static_cast<uint32_t>(plain.size());
  stream.next_out = reinterpret_cast<uint8_t*>(out.data());
  stream.avail_out = static_cast<uint32_t>(out.size());
  expect(deflate(&stream, Z_FINISH) == Z_STREAM_END, "deflate");
  out.resize(stream.total_out);
  deflateEnd(&stream);
  return out;
}

inline std::string zstd(const std::string& plain) {
  std::string out(ZSTD_compressBound(plain.size()), '\0');
  ZSTD_CCtx* context = ZSTD_createCCtx();
  ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1);  // as the program zstd does
  out.resize(ZSTD_compress2(context, out.data(), out.size(), plain.data(), plain.size()));
  ZSTD_freeCCtx(context);
  return out;
}

// A file without a name in any folder.
class MemoryFile {
 public:
  explicit MemoryFile(const std::string& bytes) : file_(memfd_create("capture", MFD_CLOEXEC)) {
    expect(file_ >= 0 && write(file_, bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()),
           "memfd");
  }
  ~MemoryFile() { close(file_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(file_); }

 private:
  int file_;
};

}  // namespace carom::test
