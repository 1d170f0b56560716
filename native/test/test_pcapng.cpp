// What a capture writes: blocks that another reading finds whole and right, whatever was put into them; a
// ring that loses nothing uncounted; files that end with whole blocks when the disk does.
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <map>
#include <string>
#include <thread>
#include <vector>

#include "capture/pcapng.h"
#include "capture/writer.h"
#include "test/test.h"

namespace carom::test {
namespace {

using Bytes = std::vector<uint8_t>;

struct Option {
  uint16_t code;
  std::string value;
};

struct Block {
  uint32_t type;
  Bytes body;                   // before the options
  std::vector<Option> options;  // without the end
};

uint32_t word(const Bytes& bytes, size_t at) {
  expect(at + 4 <= bytes.size(), "a word lies within the block");
  return static_cast<uint32_t>(bytes[at]) | static_cast<uint32_t>(bytes[at + 1]) << 8 |
         static_cast<uint32_t>(bytes[at + 2]) << 16 | static_cast<uint32_t>(bytes[at + 3]) << 24;
}

uint32_t half(const Bytes& bytes, size_t at) { return word(bytes, at) & 0xffff; }

size_t fixed_size(uint32_t type, const Bytes& bytes, size_t at) {
  if (type == PCAPNG_SECTION) return 16;
  if (type == PCAPNG_INTERFACE) return 8;
  if (type == PCAPNG_STATISTICS) return 12;
  expect_equal(type, PCAPNG_PACKET, "no other block is written");
  return 20 + (word(bytes, at + 20) + 3) / 4 * 4;
}

// The test's own reading of the format.
std::vector<Block> read_blocks(const Bytes& bytes) {
  std::vector<Block> blocks;
  for (size_t at = 0; at < bytes.size();) {
    uint32_t type = word(bytes, at);
    uint32_t length = word(bytes, at + 4);
    expect(length % 4 == 0 && length >= 12 && at + length <= bytes.size(), "the length of a block");
    expect_equal(word(bytes, at + length - 4), length, "the length once more at the end");
    size_t body = fixed_size(type, bytes, at);
    size_t end = at + length - 4;
    size_t option = at + 8 + body;
    auto begin = bytes.begin() + static_cast<ptrdiff_t>(at + 8);
    Block block{type, Bytes(begin, begin + static_cast<ptrdiff_t>(body)), {}};
    while (true) {
      expect(option + 4 <= end, "the options come to an end");
      auto code = static_cast<uint16_t>(half(bytes, option));
      uint32_t size = word(bytes, option) >> 16;
      const auto* value = reinterpret_cast<const char*>(bytes.data() + option + 4);
      option += 4 + (size + 3) / 4 * 4;
      expect(option <= end, "an option lies within its block");
      if (code == 0) break;
      block.options.push_back({code, std::string(value, size)});
    }
    expect_equal(option, end, "nothing lies behind the options");
    blocks.push_back(std::move(block));
    at += length;
  }
  return blocks;
}

std::string value_of(const Block& block, uint16_t code) {
  for (const Option& option : block.options) {
    if (option.code == code) return option.value;
  }
  return "none";
}

uint64_t number_of(const std::string& value) {
  uint64_t number = 0;
  for (size_t i = value.size(); i > 0; i--) number = number << 8 | static_cast<uint8_t>(value[i - 1]);
  return number;
}

void any_blocks(Chance& chance) {
  for (int i = 0; i < 2000; i++) {
    PcapngBlocks blocks(1);
    Bytes frame(chance.below(300));
    chance.fill(frame.data(), static_cast<uint32_t>(frame.size()));
    std::string text(chance.below(70'000) >> chance.below(16), 'x');
    for (char& c : text) c = static_cast<char>(chance.byte());
    std::vector<std::string> comments(chance.below(4), text);
    uint64_t time_ns = chance.any_size();
    uint64_t dropped = chance.any_size();
    blocks.section({text, "os", "", text});
    blocks.interface({text, "", "udp", "", "", "by a test", 65535, {2, 0xca, 0x40, 0, 0, 1}});
    blocks.packet(
        {time_ns, 1234, frame, PcapngDirection::out, PcapngReception::multicast, dropped, comments});
    blocks.statistics({time_ns, 1, time_ns, 7, {}, 9, 3, 5, text});
    std::vector<Block> read = read_blocks({blocks.bytes().begin(), blocks.bytes().end()});
    expect_equal(read.size(), 4, "blocks");
    const Block& interface = read[1];
    expect_equal(number_of(value_of(interface, 9)), 9, "times are in ns");
    expect(value_of(interface, 11) == std::string("\0udp", 4), "the filter, as text");
    const Block& packet = read[2];
    expect_equal(uint64_t{word(packet.body, 4)} << 32 | word(packet.body, 8), time_ns, "the packet's time");
    expect_equal(word(packet.body, 12), frame.size(), "bytes captured");
    expect_equal(word(packet.body, 16), 1234, "bytes on the wire");
    expect(std::equal(frame.begin(), frame.end(), packet.body.begin() + 20), "the frame's bytes");
    expect_equal(number_of(value_of(packet, 2)), 2 | 2 << 2, "outbound, multicast");
    expect(dropped == 0 || number_of(value_of(packet, 4)) == dropped, "what was dropped before");
    bool is_cut = text.size() > PCAPNG_TEXT_MAX;
    std::string comment = value_of(packet, 1);
    expect(comments.empty() || text.empty() || comment == text.substr(0, comment.size()), "the comment");
    expect(comments.empty() || text.empty() || is_cut || comment.size() == text.size(), "all of it");
    const Block& statistics = read[3];
    expect_equal(number_of(value_of(statistics, 4)), 7, "received");
    expect(value_of(statistics, 5) == "none", "what is not known is left out");
    expect_equal(number_of(value_of(statistics, 6)), 9, "accepted by the filter");
    expect_equal(number_of(value_of(statistics, 7)), 3, "dropped by the system");
    expect_equal(number_of(value_of(statistics, 3)), time_ns << 32 | time_ns >> 32,
                 "the end, upper half first");
  }
}

void cut_between_characters(Chance&) {
  std::string text;
  while (text.size() <= PCAPNG_TEXT_MAX + 3) text += "\xe2\x86\x92";  // an arrow, three bytes
  for (int shift = 0; shift < 3; shift++) {
    PcapngBlocks blocks(1);
    blocks.section({"", "", "", std::string(static_cast<size_t>(shift), '.') + text});
    std::string kept = value_of(read_blocks({blocks.bytes().begin(), blocks.bytes().end()})[0], 1);
    expect(kept.size() > PCAPNG_TEXT_MAX - 3 && kept.size() <= PCAPNG_TEXT_MAX,
           "as much as there is room for");
    expect_equal((kept.size() - static_cast<size_t>(shift)) % 3, 0, "whole characters");
  }
}

// Numbered frames of any size from one thread to another: in order, whole, and those missing counted.
void ring_counts(Chance& chance) {
  constexpr uint32_t FRAMES = 200'000;
  CaptureRing ring(1 << 16);
  uint64_t seed = chance.next();
  std::jthread writer([&ring, seed] {
    Chance own(seed);
    uint8_t bytes[700];
    for (uint32_t number = 0; number < FRAMES; number++) {
      uint32_t size = 20 + own.below(600);
      memset(bytes, static_cast<uint8_t>(number), sizeof bytes);
      CaptureHead head{number, size, own.one_in(4) ? 7 : -1, 0x8100, PcapngDirection::in};
      ring.put(head, {bytes, size}, own.one_in(8) ? 18 : 65535, {bytes, own.below(50)});
    }
  });
  uint64_t taken = 0;
  uint64_t missing = 0;
  uint64_t next = 0;
  while (true) {
    const CaptureRecord* record = ring.peek();
    if (record == nullptr) {
      if (next + ring.dropped.get() - missing == FRAMES) break;
      continue;
    }
    missing += record->dropped;
    expect_equal(record->time_ns, next + record->dropped, "frames come in order, with what is missing said");
    next = record->time_ns + 1;
    taken++;
    auto number = static_cast<uint8_t>(record->time_ns);
    const uint8_t* frame = record->frame();
    bool tagged = record->captured > 16 && frame[12] == 0x81 && frame[13] == 0 && frame[15] == 7;
    for (uint32_t i = 0; i < record->captured; i++) {
      bool in_tag = tagged && i >= 12 && i < 16;
      expect(in_tag || frame[i] == number, "the frame's own bytes");
    }
    for (uint32_t i = 0; i < record->note_size; i++) expect(record->note()[i] == number, "the note's bytes");
    ring.release();
  }
  writer.join();
  expect_equal(taken + ring.dropped.get(), FRAMES, "each frame was taken or dropped");
  expect(taken > 0, "some came through");
}

// A file without a name, to be opened by a path.
class MemoryFile {
 public:
  MemoryFile() : fd_(memfd_create("capture", 0)) {}
  ~MemoryFile() { close(fd_); }
  MemoryFile(const MemoryFile&) = delete;
  MemoryFile& operator=(const MemoryFile&) = delete;

  std::string path() const { return "/proc/self/fd/" + std::to_string(fd_); }
  Bytes bytes() const {
    struct stat found {};
    fstat(fd_, &found);
    Bytes content(static_cast<size_t>(found.st_size));
    expect_equal(pread(fd_, content.data(), content.size(), 0), content.size(), "the file is read");
    return content;
  }
  mode_t mode() const {
    struct stat found {};
    fstat(fd_, &found);
    return found.st_mode & 0777;
  }

 private:
  int fd_;
};

CaptureSource source() {
  CaptureSource source{};
  source.interface.name = "test0";
  source.statistics = [](uint64_t dropped) {
    PcapngStatistics statistics{};
    statistics.os_drops = dropped;
    return statistics;
  };
  source.comment = [](const CaptureRecord& record, std::vector<std::string>& comments) {
    comments.push_back("number " + std::to_string(record.time_ns));
  };
  return source;
}

void put_all(CaptureWriter& writer, uint32_t frames, uint32_t size) {
  Bytes frame(size, 0x55);
  for (uint32_t i = 0; i < frames; i++)
    writer.ring().put({i, size, -1, 0, PcapngDirection::in}, frame, 65535);
}

void writer_writes(Chance&) {
  MemoryFile file;
  CaptureWriter writer({{file.path(), 0, 0, 0}, 1 << 22, {}, ""}, source());
  put_all(writer, 10'000, 100);
  writer.finish([] { return false; });
  std::vector<Block> blocks = read_blocks(file.bytes());
  expect_equal(blocks.size(), 10'003, "a section, an interface, the packets, the statistics");
  expect_equal(file.mode(), 0600, "the file is its owner's alone");
  for (uint32_t i = 0; i < 10'000; i++)
    expect(value_of(blocks[i + 2], 1) == "number " + std::to_string(i), "each packet has its comment");
  expect_equal(blocks.back().type, PCAPNG_STATISTICS, "the statistics are last");
  expect_equal(number_of(value_of(blocks.back(), 8)), 10'000, "delivered");
  expect_equal(writer.written.get(), 10'000, "written");
  expect_equal(writer.dropped(), 0, "dropped");
  expect_equal(writer.bytes.get(), file.bytes().size(), "bytes");
  expect(!writer.failure(), "no failure");
}

void expect_cut(const MemoryFile& file, const CaptureWriter& writer, uint64_t frames) {
  std::vector<Block> blocks = read_blocks(file.bytes());
  expect(writer.failure() && writer.failure()->detail.starts_with("EFBIG"), "the failure is told");
  expect_equal(blocks.back().type, PCAPNG_STATISTICS, "there is room for the statistics");
  expect_equal(blocks.size() - 3, writer.written.get(), "what is said to be written is there");
  expect_equal(number_of(value_of(blocks.back(), 8)), writer.written.get(), "and in the statistics");
  expect_equal(number_of(value_of(blocks.back(), 7)), writer.dropped(), "as what was dropped");
  expect_equal(writer.bytes.get(), file.bytes().size(), "bytes");
  expect_equal(writer.written.get() + writer.dropped(), frames, "each frame is written or dropped");
  expect(writer.written.get() > 0, "what found room is kept");
}

// The file may not grow beyond any size: it stays whole, and says how many are missing.
void full_disk(Chance& chance) {
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  for (int i = 0; i < 20; i++) {
    MemoryFile file;
    uint32_t frames = 20'000 + chance.below(10'000);
    uint32_t size = 60 + chance.below(200);
    rlimit limit{30'000 + chance.below(2'500'000), before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
    CaptureWriter writer({{file.path(), 0, 0, 0}, 1 << 23, {}, ""}, source());
    for (int part = 0; part < 4; part++) {
      put_all(writer, frames / 4, size);
      if (chance.one_in(3)) std::this_thread::sleep_for(std::chrono::milliseconds(3));
    }
    writer.finish([] { return false; });
    setrlimit(RLIMIT_FSIZE, &before);
    expect_cut(file, writer, frames / 4 * 4);
  }
}

// All frames find room, the statistics do not: some of the frames make room for them.
void full_at_last(Chance& chance) {
  constexpr uint32_t FRAMES = 500;
  rlimit before{};
  getrlimit(RLIMIT_FSIZE, &before);
  uint64_t whole = 0;
  for (int i = 0; i < 10; i++) {
    MemoryFile file;
    rlimit limit{whole == 0 ? before.rlim_cur : whole - 1 - chance.below(60), before.rlim_max};
    setrlimit(RLIMIT_FSIZE, &limit);
    CaptureWriter writer({{file.path(), 0, 0, 0}, 1 << 20, {}, ""}, source());
    put_all(writer, FRAMES, 100);
    writer.finish([] { return false; });
    setrlimit(RLIMIT_FSIZE, &before);
    if (whole != 0) expect_cut(file, writer, FRAMES);
    if (whole != 0) expect(writer.dropped() > 0, "some made room");
    whole = whole == 0 ? writer.bytes.get() : whole;
  }
}

void names(Chance&) {
  setenv("TZ", "UTC", 1);
  tzset();
  expect(series_name("/a.b/feed.pcapng", 7, 1'795'384'800) == "/a.b/feed_00007_20261122220000.pcapng",
         "a suffix");
  expect(series_name("/a.b/feed", 1, 1'795'384'800) == "/a.b/feed_00001_20261122220000", "none");
  expect(series_name(".feed", 123'456, 1'795'384'800) == ".feed_123456_20261122220000", "hidden");
}

const Tests TESTS{
    {"pcapng: any blocks, read by another reading", any_blocks},
    {"pcapng: long texts are cut between characters", cut_between_characters},
    {"capture: the ring loses nothing uncounted", ring_counts},
    {"capture: the writer writes each frame", writer_writes},
    {"capture: a full disk leaves a whole file", full_disk},
    {"capture: a disk that is full at the last block", full_at_last},
    {"capture: names of a series", names},
};

}  // namespace
}  // namespace carom::test
