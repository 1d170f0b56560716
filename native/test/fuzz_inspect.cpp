// For libFuzzer: what is found in a capture, and the comparison of it with a part of itself, on whatever it
// comes up with.
//   make -C native/test fuzz SECONDS=60
#include <cstdio>
#include <cstdlib>

#include "capture/compare.h"
#include "core/error.h"
#include "test/capture_support.h"

namespace carom::test {

void fail(const std::string& what, const char* file, int line) {
  fprintf(stderr, "%s:%d: %s\n", file, line, what.c_str());
  abort();
}

namespace {

void require(bool condition) {
  if (!condition) __builtin_trap();
}

void inspect(const std::string& path) {
  InspectProgress progress;
  auto found = inspect_capture({path, "", 0, UINT64_MAX, 8080, 9999}, progress);
  const InspectCounters& is = found->inspection.counters();
  require(is.frames == found->file.end.frames);
  require(is.captured <= is.bytes);
  uint64_t sizes = 0;
  for (const FrameCount& size : is.sizes) sizes += size.frames;
  require(sizes == is.frames);
  uint64_t binned = 0;
  for (const FrameCount& bin : found->inspection.rate().bins()) binned += bin.frames;
  require(binned == is.frames);
  require(found->inspection.gaps().count() + is.backwards + (is.frames > 0) == is.frames);
  require(found->inspection.bursts().busiest()[0].frames <= is.frames);
  const TradingCounters& trading = found->inspection.trading().counters();
  require(trading.orders == trading.matched + trading.repeated + trading.unmatched + trading.bad_ids);
  require(found->inspection.trading().round_trips().count() + trading.early == trading.matched);
}

void compare(const std::string& one, const std::string& other, uint32_t settings) {
  IgnoredFields ignored{(settings & 1) != 0,  (settings & 2) != 0,   (settings & 4) != 0,
                        (settings & 8) != 0,  (settings & 16) != 0,  (settings & 32) != 0,
                        (settings & 64) != 0, (settings & 128) != 0, (settings & 256) != 0};
  InspectProgress progress;
  auto found = compare_captures({one, other, "", ignored, 8080, 9999}, progress);
  require(found->a.frames == found->matched + found->missing);
  require(found->b.frames == found->matched + found->added);
  require(found->matched == found->in_order + found->reordered);
  if (one == other) require(found->added == 0 && found->missing == 0 && found->reordered == 0);
}

// Input: two bytes of settings, a link type, then the records of a capture.
void feed(const uint8_t* data, size_t size) {
  if (size < 3) return;
  const uint32_t type = data[2] == 0 ? 113 : data[2] == 1 ? 276 : data[2] == 2 ? 101 : 1;
  bool swapped = (data[0] & 2) != 0;
  std::string begin =
      (data[0] & 4) != 0
          ? pcapng({}, {{9, 0, static_cast<uint16_t>(type)}, {6, 0, static_cast<uint16_t>(type)}}, swapped)
          : pcap({}, true, swapped, type);
  std::string records(reinterpret_cast<const char*>(data + 3), size - 3);
  MemoryFile whole(begin + records);
  MemoryFile part(begin + records.substr(records.size() / 3));
  uint32_t settings = (data[0] & 1u) | static_cast<uint32_t>(data[1]) << 1;
  try {
    inspect(whole.path());
    compare(whole.path(), whole.path(), settings);
    compare(whole.path(), part.path(), settings);
  } catch (const Error& error) {
    require(error.code == ErrorCode::usage && !error.detail.empty());
  }
}

}  // namespace
}  // namespace carom::test

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  carom::test::feed(data, size);
  return 0;
}
