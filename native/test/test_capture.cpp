// The reader of captures: every record of every format, whole and broken; and what becomes Ethernet.
#include <fcntl.h>
#include <sys/types.h>
// Needs the types above.
#include <pcap/pcap.h>

#include <thread>

#include "capture/ethernet.h"
#include "capture/reader.h"
#include "core/error.h"
#include "test/capture_support.h"
#include "test/loop_support.h"

namespace carom::test {
namespace {

constexpr uint64_t BEGIN_NS = 1'700'000'000'123'456'789;
constexpr GivenMacs MACS{{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};

std::vector<Record> any_records(Chance& chance, uint32_t count, uint32_t interfaces = 1) {
  std::vector<Record> records;
  uint64_t time_ns = BEGIN_NS;
  for (uint32_t i = 0; i < count; i++) {
    std::string data(chance.one_in(20) ? 0 : chance.below(chance.one_in(50) ? 20'000 : 200), '\0');
    chance.fill(reinterpret_cast<uint8_t*>(data.data()), static_cast<uint32_t>(data.size()));
    uint32_t beyond = chance.one_in(3) ? chance.below(1000) : 0;
    records.push_back({time_ns, data, static_cast<uint32_t>(data.size()) + beyond, chance.below(interfaces)});
    time_ns += chance.one_in(10) ? chance.any_size() >> 20 : chance.below(2'000);
  }
  return records;
}

// Reads it all, and compares it with what was written.
CaptureEnd expect_records(const std::string& bytes, const std::vector<Record>& records,
                          const std::vector<uint64_t>& units_ns) {
  MemoryFile file(bytes);
  CaptureReader reader(file.path());
  CapturedFrame frame;
  size_t at = 0;
  while (reader.next(frame)) {
    expect(at < records.size(), "no more than was written");
    const Record& record = records[at++];
    expect_equal(frame.time_ns, record.time_ns / units_ns[record.interface] * units_ns[record.interface],
                 "time");
    expect_equal(frame.captured, record.data.size(), "captured");
    expect_equal(frame.length, record.length, "length");
    expect(memcmp(frame.data, record.data.data(), frame.captured) == 0, "bytes");
  }
  expect(!reader.next(frame), "the end stays the end");
  expect_equal(reader.end().frames, at, "frames");
  return reader.end();
}

// libpcap's opinion of the same bytes.
void expect_as_pcap(const std::string& bytes) {
  MemoryFile file(bytes);
  char trouble[PCAP_ERRBUF_SIZE];
  pcap_t* pcap =
      pcap_open_offline_with_tstamp_precision(file.path().c_str(), PCAP_TSTAMP_PRECISION_NANO, trouble);
  expect(pcap != nullptr, trouble);
  CaptureReader reader(file.path());
  CapturedFrame frame{};
  pcap_pkthdr* header;
  const uint8_t* data;
  while (pcap_next_ex(pcap, &header, &data) == 1) {
    expect(reader.next(frame), "no fewer than libpcap");
    uint64_t seconds = static_cast<uint32_t>(header->ts.tv_sec);
    expect_equal(frame.time_ns, seconds * 1'000'000'000 + static_cast<uint64_t>(header->ts.tv_usec), "time");
    expect_equal(frame.captured, header->caplen, "captured");
    expect_equal(frame.length, header->len, "length");
    expect(memcmp(frame.data, data, frame.captured) == 0, "bytes");
  }
  expect(!reader.next(frame), "no more than libpcap");
  pcap_close(pcap);
}

void expect_whole(const std::string& bytes, const std::vector<Record>& records,
                  const std::vector<uint64_t>& units_ns = {1}) {
  for (const std::string& packed : {bytes, gzip(bytes), zstd(bytes)}) {
    CaptureEnd end = expect_records(packed, records, units_ns);
    expect(end.whole() && end.text().empty(), "whole");
    expect_equal(end.frames, records.size(), "all of them");
    expect_equal(end.bytes, bytes.size(), "all bytes");
  }
}

void formats(Chance& chance) {
  std::vector<Record> records = any_records(chance, 3000, 3);
  std::vector<Record> of_one = records;
  for (Record& record : of_one) record.interface = 0;
  const std::vector<Interface> three{{9, 65535, 1}, {6, 96, 1}, {3, 0, 1}};
  for (bool swapped : {false, true}) {
    expect_whole(pcap(of_one, false, swapped), of_one, {1000});
    expect_whole(pcap(of_one, true, swapped), of_one);
    expect_whole(pcapng(of_one, {{9}}, swapped), of_one);
    expect_whole(pcapng(records, three, swapped), records, {1, 1000, 1'000'000});
    expect_as_pcap(pcap(of_one, false, swapped));
    expect_as_pcap(pcap(of_one, true, swapped));
    expect_as_pcap(pcapng(records, {{9}, {6}, {3}}, swapped));
    // Old versions, of which some have the lengths the other way round.
    for (uint32_t minor : {2, 3}) {
      std::string old = pcap({{BEGIN_NS, "abcdefg", 3}}, false, swapped).substr(0, 24 + 16 + 3);
      old.replace(6, 2, Bytes(swapped).u16(minor).text);
      expect_as_pcap(old);
      expect_equal(expect_records(old, {{BEGIN_NS, "abc", 7}}, {1000}).frames, 1u, "one");
    }
    Bytes kuznetzov(swapped);
    kuznetzov.u32(0xa1b2cd34).u16(2).u16(4).u32(0).u32(0).u32(96).u32(1);
    kuznetzov.u32(1).u32(2).u32(3).u32(4).u32(99).u32(0).raw("abc").u32(3).u32(4).u32(0).u32(0).u32(99).u32(
        0);
    expect_as_pcap(kuznetzov.text);
  }
}

void after_2038(Chance&) {
  const std::vector<Record> records{{uint64_t{0xfffffff0} * 1'000'000'000 + 7, "late", 4}};
  expect_whole(pcap(records, true, false), records);
}

void powers_of_two(Chance&) {
  MemoryFile file(pcapng({{1'500'000'000, "x", 1}}, {{0x80 | 20}}, false));
  CaptureReader reader(file.path());
  CapturedFrame frame;
  expect(reader.next(frame), "read");
  expect_equal(frame.time_ns, 1'500'000'000, "time");
}

// Several gzip members, and several zstd frames, one behind the other.
void joined(Chance& chance) {
  std::vector<Record> records = any_records(chance, 500);
  std::string bytes = pcap(records, true, false);
  for (auto* packed : {gzip, zstd}) {
    std::string both = packed(bytes.substr(0, 5000)) + packed(bytes.substr(5000));
    expect(expect_records(both, records, {1}).whole(), "whole");
  }
}

// zstd's skippable frames (RFC 8878, 3.1.2): in front, as pzstd writes them, and behind, as a table to seek
// by.
void skippable(Chance& chance) {
  std::vector<Record> records = any_records(chance, 500);
  std::string bytes = pcap(records, true, false);
  std::string skipped = Bytes(false).u32(0x184d2a50).u32(4).u32(99).text;
  std::string table = Bytes(false).u32(0x184d2a5e).u32(20).text + std::string(20, 'x');
  std::string half = zstd(bytes.substr(0, 7000));
  std::string both = skipped + half + skipped + zstd(bytes.substr(7000)) + table;
  expect(expect_records(both, records, {1}).whole(), "whole");
  std::string other = skipped + half + "no zstd";
  expect(expect_records(other, records, {1}).broken == "behind its first zstd frame is something else",
         "told");
}

// Wherever a file is cut off, what is whole is read, and where it broke is told.
void cut_off(Chance& chance) {
  std::vector<Record> records = any_records(chance, 40);
  for (std::string bytes : {pcap(records, true, false), pcapng(records, {{9}}, true)}) {
    uint64_t before = 0;
    for (size_t size = 80; size < bytes.size(); size += 1 + chance.below(9)) {
      CaptureEnd end = expect_records(bytes.substr(0, size), records, {1});
      expect(end.frames >= before && end.frames < records.size(), "more bytes, no fewer frames");
      expect(end.bytes <= size, "where");
      if (!end.whole()) {
        expect_equal(end.bytes, size, "it broke at the end");
        expect(end.text().find("truncated") != std::string::npos, end.text().c_str());
        expect(end.text().find("frame " + std::to_string(end.frames + 1)) == 0, end.text().c_str());
      }
      before = end.frames;
    }
    expect(before > records.size() / 2, "most of it");
  }
}

void cut_off_packed(Chance& chance) {
  std::vector<Record> records = any_records(chance, 3000);
  std::string bytes = pcap(records, true, false);
  for (auto* packed : {gzip, zstd}) {
    std::string whole = packed(bytes);
    CaptureEnd end = expect_records(whole.substr(0, whole.size() / 2), records, {1});
    expect(end.frames > 0 && end.frames < records.size(), "some");
    expect(end.broken.find("data is cut short") != std::string::npos, end.broken.c_str());
    whole[whole.size() / 2] = static_cast<char>(~whole[whole.size() / 2]);
    MemoryFile file(whole);
    CaptureReader reader(file.path());
    CapturedFrame frame;
    while (reader.next(frame)) {
    }
    expect(!reader.end().whole(), "damage is seen");
  }
}

void refuse(const std::string& path, const char* detail) {
  try {
    CaptureReader reader(path);
    fail("taken: " + path, __FILE__, __LINE__);
  } catch (const Error& error) {
    expect(error.code == ErrorCode::usage, "usage");
    expect(error.operation.find(path) != std::string::npos, error.operation.c_str());
    expect(error.detail.find(detail) != std::string::npos, error.detail.c_str());
    expect(!error.hint.empty(), "a hint");
  }
}

void refused(Chance& chance) {
  refuse("/nowhere/at/all", "ENOENT");
  refuse("/proc", "folder");
  refuse(MemoryFile("").path(), "empty");
  std::string noise(1000, '\0');
  chance.fill(reinterpret_cast<uint8_t*>(noise.data()), 1000);
  for (const auto& [bytes, detail] : std::initializer_list<std::pair<std::string, const char*>>{
           {"", "empty"},
           {"x", "not a capture"},
           {"\xa1\xb2", "not a capture"},
           {noise, "not a capture"},
           {pcap({}, true, false).substr(0, 20), "not a capture"},
           {gzip(noise), "not a capture"},
           {gzip(""), "not a capture"},
           {zstd(noise), "not a capture"},
           {gzip(pcap({}, true, false)).substr(0, 12), "cut short"},
           {std::string("\xfd"
                        "7zXZ\0rest",
                        10),
            "xz"},
           {"BZh91AY", "bzip2"}}) {
    MemoryFile file(bytes);
    refuse(file.path(), detail);
  }
}

void bad_records(Chance&) {
  std::string huge =
      pcap({{BEGIN_NS, "good", 4}}, true, false) + pcap({{BEGIN_NS, "bad", 3}}, true, false).substr(24);
  std::string length("\xff\xff\xff\x7f", 4);
  huge.replace(24 + 16 + 4 + 8, 4, length);
  MemoryFile file(huge);
  CaptureReader reader(file.path());
  CapturedFrame frame;
  expect(reader.next(frame) && !reader.next(frame), "the first, not the second");
  expect(reader.end().text().find("frame 2, at byte 60: ") == 0, reader.end().text().c_str());
}

// A pipe whose writer says nothing: the read ends when it is cancelled, and not before.
void cancelled(Chance&) {
  int ends[2];
  expect(pipe2(ends, O_CLOEXEC) == 0, "pipe");
  std::string bytes = pcap({{BEGIN_NS, "first", 5}}, true, false);
  expect(write(ends[1], bytes.data(), bytes.size()) == static_cast<ssize_t>(bytes.size()), "write");
  CaptureReader reader("/proc/self/fd/" + std::to_string(ends[0]));
  CapturedFrame frame;
  expect(reader.next(frame), "what has come is read at once");
  std::thread other([&] { reader.cancel(); });
  expect(!reader.next(frame), "ends");
  other.join();
  expect(reader.end().cancelled && !reader.end().whole(), "cancelled");
  close(ends[0]);
  close(ends[1]);
}

std::string ethernet(uint32_t link_type, const std::string& data, bool takes = true) {
  MemoryFile none(pcap({}, true, false));
  ToEthernet to(CaptureReader(none.path()), MACS);
  CapturedFrame out{};
  const auto* bytes = reinterpret_cast<const uint8_t*>(data.data());
  auto size = static_cast<uint32_t>(data.size());
  expect_equal(to.convert({5, bytes, size, size + 7, link_type}, out), takes, "taken");
  if (!takes) return "";
  expect_equal(out.time_ns, 5, "time");
  expect_equal(out.length, out.captured + 7, "length");
  return {reinterpret_cast<const char*>(out.data), out.captured};
}

void to_ethernet(Chance&) {
  uint8_t frame[MAX_FRAME];
  const uint8_t payload[] = {1, 2, 3};
  FrameFields fields = fields_between(true, false, -1);
  fields.payload = payload;
  fields.payload_length = sizeof payload;
  std::string four(reinterpret_cast<char*>(frame), build(fields, frame));
  four = four.substr(14);
  fields = fields_between(true, true, -1);
  std::string six(reinterpret_cast<char*>(frame), build(fields, frame));
  six = six.substr(14);
  std::string group = four;
  group.replace(16, 4, from_hex("ef818283"));
  std::string group6 = six;
  group6.replace(24, 16, from_hex("ff02000000000000000000000a0b0c0d"));
  const std::string macs = from_hex("020000000002 020000000001");

  expect(ethernet(DLT_EN10MB, "anything") == "anything", "Ethernet as it is");
  expect(ethernet(DLT_RAW, four) == macs + from_hex("0800") + four, "IPv4");
  expect(ethernet(DLT_IPV6, six) == macs + from_hex("86dd") + six, "IPv6");
  expect(ethernet(DLT_RAW, group) == from_hex("01005e018283 020000000001 0800") + group, "IPv4 group");
  expect(ethernet(DLT_RAW, group6) == from_hex("33330a0b0c0d 020000000001 86dd") + group6, "IPv6 group");
  expect(ethernet(DLT_LINUX_SLL, from_hex("0004 0001 0006 02ca40000009 0000 0800") + four) ==
             from_hex("020000000002 02ca40000009 0800") + four,
         "cooked");
  expect(ethernet(DLT_LINUX_SLL, from_hex("0001 0304 0000 0000000000000000 0806") + "arp") ==
             from_hex("ffffffffffff 020000000001 0806") + "arp",
         "cooked, a broadcast without a sender");
  expect(ethernet(DLT_LINUX_SLL2, from_hex("86dd 0000 00000003 0001 00 06 02ca400000070000") + six) ==
             from_hex("020000000002 02ca40000007 86dd") + six,
         "cooked, version 2");
  expect(ethernet(DLT_NULL, from_hex("02000000") + four) == macs + from_hex("0800") + four, "BSD loopback");
  expect(ethernet(DLT_NULL, from_hex("0000001e") + six) == macs + from_hex("86dd") + six,
         "the other byte order");
  ethernet(DLT_LINUX_SLL, from_hex("0000 0001 0006 02ca40000009 0000 0004"), false);
  ethernet(DLT_LINUX_SLL, "short", false);
  ethernet(DLT_LINUX_SLL2, std::string(19, '\0'), false);
  ethernet(DLT_RAW, "", false);
  ethernet(DLT_RAW, std::string(40, '\x20'), false);
  try {
    MemoryFile air(pcap({}, true, false, DLT_IEEE802_11_RADIO));
    ToEthernet to(CaptureReader(air.path()), MACS);
    fail("taken", __FILE__, __LINE__);
  } catch (const Error& error) {
    expect(error.detail.find("IEEE802_11_RADIO") != std::string::npos, error.detail.c_str());
    expect(error.operation.find("/proc/self/fd/") != std::string::npos, error.operation.c_str());
  }
}

const Tests TESTS{
    {"capture: every format, byte order and compression", formats},
    {"capture: seconds are unsigned in pcap", after_2038},
    {"capture: resolutions that are powers of two", powers_of_two},
    {"capture: compressed in several pieces", joined},
    {"capture: skippable frames of zstd", skippable},
    {"capture: cut off anywhere", cut_off},
    {"capture: compressed and cut off or damaged", cut_off_packed},
    {"capture: what is none is refused", refused},
    {"capture: bad records end it, and are told", bad_records},
    {"capture: a wait for a pipe can be ended", cancelled},
    {"capture: to Ethernet", to_ethernet},
};

}  // namespace
}  // namespace carom::test
