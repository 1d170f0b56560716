// For libFuzzer: the reader of captures, what makes Ethernet of them and what replays them, on whatever it
// comes up with.
//   make -C native/test fuzz SECONDS=60
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "capture/ethernet.h"
#include "capture/player.h"
#include "core/error.h"
#include "test/capture_support.h"

namespace carom::test {

void fail(const std::string& what, const char* file, int line) {
  fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
  abort();
}

namespace {

void touch(const uint8_t* bytes, uint32_t length) {
  uint8_t all = 0;
  for (uint32_t i = 0; i < length; i++) all ^= bytes[i];
  asm volatile("" : : "r"(all));  // read in any case
}

void require(bool holds) {
  if (!holds) __builtin_trap();
}

void read_all(const std::string& bytes) {
  MemoryFile file(bytes);
  try {
    CaptureReader reader(file.path());
    ToEthernet to(reader, {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}});
    CapturedFrame frame{};
    CapturedFrame ethernet{};
    uint64_t number = 0;
    while (reader.next(frame)) {
      touch(frame.data, frame.captured);
      require(frame.captured <= frame.length && frame.captured <= CAPTURED_MAX);
      require(frame.time_ns < uint64_t{1} << 63 && frame.number > number);
      number = frame.number;
      if (to.convert(frame, ethernet)) touch(ethernet.data, ethernet.captured);
    }
    const CaptureEnd& end = reader.end();
    uint64_t left_out = 0;
    for (const CaptureRemark& remark : reader.remarks()) left_out += remark.is_left_out ? remark.frames : 0;
    require(!end.cancelled && end.bytes != 0 && end.packets == end.frames + left_out);
  } catch (const Error& error) {
    if (error.code != ErrorCode::usage || error.detail.empty()) __builtin_trap();
  }
}

// All that a replay does to it, twice.
void play(const std::string& bytes) {
  MemoryFile file(bytes);
  PlayerConfig config;
  config.files = {file.path()};
  config.passes = 2;
  config.timeline.max_gap_ns = 1'000'000'000;
  config.timeline.cuts_gaps = true;
  config.timeline.loop_gap_ns = 5;
  config.edit.addresses = {{false, 0, {}, {198, 18}}, {true, 3, {0x20}, {0x20, 1}}};
  config.edit.ports = {{8080, 8081}};
  config.edit.vlan = 7;
  config.edit.ttl = 3;
  config.oversize = Oversize::cut;
  config.tick_port = 8080;
  config.judges = true;
  try {
    Player player(config);
    PlayedFrame frame{};
    uint64_t last_ns = 0;
    while (player.next(frame)) {
      touch(frame.data, frame.length);
      if (frame.offset_ns < last_ns || frame.length > config.largest + VLAN_SIZE) __builtin_trap();
      last_ns = frame.offset_ns;
    }
  } catch (const Error& error) {
    if (error.code != ErrorCode::usage || error.detail.empty()) __builtin_trap();
  }
}

// Bytes as blocks of pcapng whose lengths are right: a byte chooses the type, the next one how long it is.
std::string blocks_of(std::string_view bytes, bool swapped) {
  constexpr uint32_t TYPES[] = {6, 6, 1, 2, 3, 5, 0x0a0d0d0a, 77};
  Bytes out(swapped);
  while (bytes.size() >= 2) {
    uint32_t type = TYPES[bytes[0] & 7];
    size_t size = std::min<size_t>(4 * static_cast<uint8_t>(bytes[1]), (bytes.size() - 2) / 4 * 4);
    block(out, swapped, type, std::string(bytes.substr(2, size)));
    bytes.remove_prefix(2 + size);
  }
  return out.text;
}

// Input: a byte of settings, a link type, then the capture. Bits of the byte: 1 gzip, 2 zstd, 12 a good
// beginning in front of it: of pcap, or pcapng with one or two interfaces; 16 the rest is made blocks.
void feed(const uint8_t* data, size_t size) {
  if (size < 2) return;
  const uint32_t type = data[1] == 0 ? 1 : data[1] == 1 ? 113 : data[1] == 2 ? 276 : data[1];
  const Interface one{9, 100, static_cast<uint16_t>(type)};
  const bool swapped = (data[0] & 12) == 12;
  std::string begin;
  switch (data[0] >> 2 & 3) {
    case 1:
      begin = pcap({}, true, false, type);
      break;
    case 2:
      begin = pcapng({}, {one}, false);
      break;
    case 3:
      begin = pcapng({{1, "frame", 7}}, {one, {6, 0, one.link_type}}, true);
  }
  std::string rest(reinterpret_cast<const char*>(data + 2), size - 2);
  std::string bytes = begin + ((data[0] & 16) != 0 ? blocks_of(rest, swapped) : rest);
  if ((data[0] & 1) != 0) bytes = gzip(bytes);
  if ((data[0] & 2) != 0) bytes = zstd(bytes);
  read_all(bytes);
  play(bytes);
}

}  // namespace
}  // namespace carom::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  carom::test::feed(data, size);
  return 0;
}
