// The readers of pcap and pcapng: what the formats' specifications have, and what they forbid, one by one.
#include "capture/ethernet.h"
#include "capture/reader.h"
#include "core/error.h"
#include "test/capture_support.h"

namespace carom::test {
namespace {

constexpr uint64_t BEGIN_NS = 1'700'000'000'123'456'789;
constexpr uint32_t ENHANCED = 6;
constexpr uint32_t OBSOLETE = 2;
constexpr uint32_t SIMPLE = 3;

// A pcapng, block by block.
class Blocks {
 public:
  explicit Blocks(bool swapped) : swapped_(swapped) {}

  Blocks& section(uint64_t length = UINT64_MAX, uint32_t major = 1) {
    Bytes body(swapped_);
    body.u32(0x1a2b3c4d).u16(major).u16(0);
    auto low = static_cast<uint32_t>(length);
    auto high = static_cast<uint32_t>(length >> 32);
    return block(0x0a0d0d0a, body.u32(swapped_ ? high : low).u32(swapped_ ? low : high).text);
  }

  Blocks& interface(uint32_t link_type = 1, const std::string& options = "", uint32_t snap = 0) {
    return block(1, Bytes(swapped_).u16(link_type).u16(0).u32(snap).raw(options).text);
  }

  Blocks& packet(const std::string& data, uint64_t units = BEGIN_NS, const std::string& options = "",
                 uint32_t interface = 0, uint32_t type = ENHANCED, uint32_t length = 0) {
    Bytes body(swapped_);
    auto size = static_cast<uint32_t>(data.size());
    if (type == OBSOLETE) {
      body.u16(interface).u16(3);
    } else {
      body.u32(interface);
    }
    body.u32(static_cast<uint32_t>(units >> 32)).u32(static_cast<uint32_t>(units));
    body.u32(size).u32(length == 0 ? size : length).padded(data).raw(options);
    return block(type, body.text);
  }

  Blocks& simple(const std::string& data, uint32_t length) {
    return block(SIMPLE, Bytes(swapped_).u32(length).padded(data).text);
  }

  Blocks& block(uint32_t type, const std::string& body) {
    Bytes out(swapped_);
    carom::test::block(out, swapped_, type, body);
    return raw(out.text);
  }

  Blocks& raw(const std::string& bytes) {
    text += bytes;
    return *this;
  }

  std::string option(uint32_t code, const std::string& value) const {
    return Bytes(swapped_).u16(code).u16(static_cast<uint32_t>(value.size())).padded(value).text;
  }
  std::string number(uint32_t code, uint32_t value) const {
    return option(code, Bytes(swapped_).u32(value).text);
  }
  std::string resolution(uint8_t value) const { return option(9, std::string(1, static_cast<char>(value))); }
  std::string offset(int64_t seconds) const {
    auto low = static_cast<uint32_t>(seconds);
    auto high = static_cast<uint32_t>(static_cast<uint64_t>(seconds) >> 32);
    return option(14, Bytes(swapped_).u32(swapped_ ? high : low).u32(swapped_ ? low : high).text);
  }

  std::string text;

 private:
  bool swapped_;
};

// What was read: "data@time" or "data" each, the link type and lengths only where they are not as usual; then
// the remarks, and how it broke.
std::string read(const std::string& bytes, bool with_time = false) {
  MemoryFile file(bytes);
  CaptureReader reader(file.path());
  CapturedFrame frame{};
  std::string out;
  while (reader.next(frame)) {
    out += std::string(reinterpret_cast<const char*>(frame.data), frame.captured);
    if (with_time) out += "@" + std::to_string(frame.time_ns);
    if (frame.link_type != 1) out += "/" + std::to_string(frame.link_type);
    if (frame.length != frame.captured) out += "+" + std::to_string(frame.length - frame.captured);
    out += " ";
  }
  for (const CaptureRemark& remark : reader.remarks()) {
    expect(!remark.text.empty() && remark.is_fault == remark.is_left_out, "told");
    out += remark.kind + ":" + std::to_string(remark.frames) + "#" + std::to_string(remark.first) + " ";
  }
  if (!reader.end().whole()) out += reader.end().text();
  return out;
}

void expect_text(const std::string& found, const std::string& expected, const char* what) {
  if (found != expected)
    fail(std::string(what) + ": is " + found + ", must be " + expected, __FILE__, __LINE__);
}

void expect_read(const std::string& bytes, const std::string& expected, const char* what,
                 bool times = false) {
  expect_text(read(bytes, times), expected, what);
}

// Blocks that hold no packet lie between those that do, whatever is in them; one is longer than any window.
void other_blocks(Chance& chance) {
  for (bool swapped : {false, true}) {
    Blocks file(swapped);
    const std::string nanoseconds = file.resolution(9);
    file.section().block(4, std::string(24, 'n')).interface(1, nanoseconds);
    for (uint32_t type :
         {4u, 5u, 7u, 8u, 9u, 10u, 0xbadu, 0x40000badu, 0x201u, 0x80000001u, 0u, 0xffffffffu}) {
      std::string body(4 * chance.below(300), '\0');
      chance.fill(reinterpret_cast<uint8_t*>(body.data()), static_cast<uint32_t>(body.size()));
      file.block(type, body).packet("p");
    }
    file.block(10, std::string(3 * CaptureWindow::SIZE, 's')).packet("last");
    expect_read(file.text, "p p p p p p p p p p p p last ", "all packets");
  }
}

void packets(Chance&) {
  for (bool swapped : {false, true}) {
    Blocks file(swapped);
    const std::string ns = file.resolution(9);
    file.section().interface(1, ns, 5).interface(101, file.resolution(6) + file.number(0, 0));
    file.packet("one", 7, "", 0, ENHANCED, 10).packet("two", 8, "", 1, OBSOLETE);
    file.simple("three", 9).simple("4", 1).packet("", 9);
    expect_read(file.text, "one@7+7 two@8000/101 three@8000+4 4@8000 @9 no_time:2#3 ",
                "enhanced, obsolete, simple", true);
    // A comment on a packet, options without an end, and a block that has more options than the window holds.
    Blocks options(swapped);
    std::string comment = options.option(1, std::string(60'000, 'c'));
    std::string comments;
    for (int i = 0; i < 12; i++) comments += comment;
    options.section()
        .interface(1, ns)
        .packet("a", 1, comment)
        .packet("b", 2, options.number(2, 1) + comments);
    options.packet("c", 3);
    expect_read(options.text, "a b c bad_options:1#2 ", "options");
  }
}

// Each section has its byte order and its interfaces; an interface may be described after packets of others.
void sections(Chance&) {
  for (bool swapped : {false, true}) {
    Blocks first(swapped);
    first.section(1234).interface(1, first.resolution(9)).packet("a", 1);
    first.interface(113, first.resolution(6)).packet("b", 2, "", 1).packet("c", 3);
    Blocks second(!swapped);
    second.section().packet("lost", 4).interface(101, second.resolution(3)).packet("d", 5);
    Blocks third(!swapped);
    third.section(0);
    expect_read(first.text + second.text + third.text + first.text,
                "a@1 b@2000/113 c@3 d@5000000/101 a@1 b@2000/113 c@3 unknown_interface:1#4 ", "sections",
                true);
    MemoryFile file(first.text + second.text + third.text + first.text);
    CaptureReader reader(file.path());
    CapturedFrame frame{};
    while (reader.next(frame)) {
    }
    expect_equal(reader.interfaces(), 5u, "interfaces");
    expect(reader.link_types() == std::vector<uint32_t>{1, 113, 101}, "link types in use");
  }
  Blocks unused(false);
  unused.section().interface(189).interface(1).interface(147).packet("x", 0, "", 1);
  MemoryFile file(unused.text);
  CaptureReader reader(file.path());
  CapturedFrame frame{};
  expect(reader.next(frame), "read");
  expect(reader.link_types_text() == "EN10MB (Ethernet)", "those not in use are not told");
}

void times(Chance&) {
  struct Case {
    int resolution;  // -1: none is said, which is µs
    int64_t offset_s;
    uint64_t units;
    const char* read;
  };
  constexpr uint8_t TWO = 0x80;
  for (const Case& one : std::initializer_list<Case>{{-1, 0, 5, "x@5000 "},
                                                     {0, 0, 3, "x@3000000000 "},
                                                     {9, 0, UINT64_MAX >> 1, "x@9223372036854775807 "},
                                                     {9, 0, UINT64_MAX / 2 + 1, "bad_time:1#1 "},
                                                     {12, 0, 5'999, "x@5 "},
                                                     {28, 0, UINT64_MAX, "x@1 "},
                                                     {29, 0, UINT64_MAX, "x@0 "},
                                                     {127, 0, UINT64_MAX, "x@0 "},
                                                     {TWO | 20, 0, (1u << 20) + (1u << 19), "x@1500000000 "},
                                                     {TWO | 0, 0, 2, "x@2000000000 "},
                                                     {TWO | 63, 0, UINT64_MAX, "x@1999999999 "},
                                                     {TWO | 127, 0, UINT64_MAX, "x@0 "},
                                                     {9, 10, 7, "x@10000000007 "},
                                                     {9, -10, 10'000'000'007, "x@7 "},
                                                     {9, -11, 10'000'000'007, "bad_time:1#1 "},
                                                     {0, INT64_MIN, UINT64_MAX, "bad_time:1#1 "},
                                                     {0, INT64_MAX, 0, "bad_time:1#1 "},
                                                     {6, 0, UINT64_MAX, "bad_time:1#1 "}}) {
    for (bool swapped : {false, true}) {
      Blocks file(swapped);
      std::string options = one.resolution < 0 ? "" : file.resolution(static_cast<uint8_t>(one.resolution));
      if (one.offset_s != 0) options += file.offset(one.offset_s);
      file.section().interface(1, options + file.number(0, 0)).packet("x", one.units);
      expect_read(file.text, one.read, "time", true);
    }
  }
  // The rest is read.
  Blocks file(false);
  file.section().interface().packet("a", 1).packet("b", UINT64_MAX).packet("c", 3).packet("d", UINT64_MAX);
  expect_read(file.text, "a@1000 c@3000 bad_time:2#2 ", "left out", true);
}

void check_sequences(Chance&) {
  struct Case {
    uint32_t interface_fcs;  // if_fcslen; 0: none
    uint32_t flags;          // epb_flags; 0: none
    uint32_t wire;           // bytes on the wire of "data+fcs"
    const char* read;
  };
  for (const Case& one : std::initializer_list<Case>{{4, 0, 8, "data fcs_removed:1#1 "},
                                                     {32, 0, 8, "data fcs_removed:1#1 "},
                                                     {16, 0, 8, "data+f fcs_removed:1#1 "},
                                                     {0, 4 << 5, 8, "data fcs_removed:1#1 "},
                                                     {4, 2 << 5, 8, "data+f fcs_removed:1#1 "},
                                                     {4, 1, 8, "data fcs_removed:1#1 "},
                                                     {4, 0, 9, "data+ fcs_removed:1#1 "},
                                                     {4, 0, 20, "data+fcs+8 fcs_removed:1#1 "},
                                                     {0, 1, 8, "data+fcs "}}) {
    for (uint32_t type : {ENHANCED, OBSOLETE}) {
      Blocks file(type == OBSOLETE);
      std::string options =
          one.interface_fcs == 0 ? "" : file.option(13, std::string(1, static_cast<char>(one.interface_fcs)));
      file.section().interface(1, options);
      file.packet("data+fcs", 1, one.flags == 0 ? "" : file.number(2, one.flags), 0, type, one.wire);
      expect_read(file.text, one.read, "FCS");
    }
  }
  Blocks tiny(false);
  tiny.section().interface(1, tiny.option(13, "\x04")).packet("abc", 1).packet("", 2);
  expect_read(tiny.text, "  fcs_removed:2#1 ", "shorter than its FCS");
  const std::vector<Record> records{{BEGIN_NS, "frame-fcs!", 10}, {BEGIN_NS, "cut", 10}};
  for (bool swapped : {false, true}) {
    expect_read(pcap(records, true, swapped, 0x2400'0001), "frame- cut+3 fcs_removed:2#1 ", "pcap");
    expect_read(pcap(records, true, swapped, 0x2000'0001), "frame-fcs! cut+7 ", "its length is not known");
    expect_read(pcap(records, true, swapped, 0x0400'0001), "frame-fcs! cut+7 ", "there is none");
  }
}

// What is wrong within a block costs what is in it, and nothing behind it.
void left_out(Chance&) {
  for (bool swapped : {false, true}) {
    Blocks file(swapped);
    file.section().packet("early").interface(1, file.resolution(9));
    Bytes long_one(swapped);
    long_one.u32(0).u32(0).u32(1).u32(9).u32(9).padded("four");
    file.block(ENHANCED, long_one.text);  // 9 bytes captured, of which 4 are there
    file.block(ENHANCED, "shorts!!").block(SIMPLE, "").block(OBSOLETE, "");  // no whole header
    file.packet("other", 1, "", 7);                                          // of no interface
    file.packet(std::string(CAPTURED_MAX + 1, 'L'), 1);
    file.packet("more", 1, "", 0, ENHANCED, 3);
    file.packet("odd", 1, file.option(2, "ab"));
    file.packet("cut", 1, std::string("\x01\x01\xf0\xf0", 4));
    file.packet("last", 1);
    expect_read(file.text,
                "more odd cut last unknown_interface:2#1 bad_block:4#2 oversized:1#7 above_length:1#8 "
                "bad_options:2#9 ",
                "left out");
  }
  // An interface of which the unit of time can't be known.
  for (const std::string& options :
       {Blocks(false).option(9, "ab"), Blocks(false).option(14, "four"), Blocks(false).option(13, ""),
        std::string("\x09\x00\x40\x00\x09\x00\x00\x00", 8)}) {
    Blocks file(false);
    file.section().interface(1, options).interface().packet("x").packet("y", 1, "", 1);
    expect_read(file.text, "y unknown_interface:1#1 ", "interface");
  }
  Blocks many(false);
  many.section();
  for (int i = 0; i < 65'537; i++) many.interface();
  many.packet("last", 1, "", 65'535).packet("beyond", 1, "", 65'536);
  expect_read(many.text, "last unknown_interface:1#2 ", "interfaces");
}

void records_of_pcap(Chance&) {
  const std::vector<Record> longer{{BEGIN_NS, std::string(200, 'x'), 300}, {BEGIN_NS, "b", 1}};
  expect_read(pcap(longer, true, false, 1, 96), std::string(200, 'x') + "+100 b ", "beyond the snap length");
  const std::vector<Record> shorter{{BEGIN_NS, "abcd", 2}, {BEGIN_NS, "b", 1}};
  expect_read(pcap(shorter, true, true), "abcd b above_length:1#1 ", "captured above length");
  const std::vector<Record> huge{
      {BEGIN_NS, "a", 1}, {BEGIN_NS, std::string(CAPTURED_MAX + 1, 'x'), 1}, {BEGIN_NS, "c", 1}};
  expect_read(pcap(huge, true, false), "a c oversized:1#2 ", "oversized");
  std::string fraction = pcap({{5'000'000'001, "x", 1}}, true, false);
  fraction.replace(24 + 4, 4, Bytes(false).u32(2'000'000'000).text);
  expect_read(fraction, "x@7000000000 long_fraction:1#1 ", "fraction", true);
}

std::string broken(const std::string& bytes) {
  std::string found = read(bytes);
  return found.substr(0, found.find(": "));
}

// What is wrong with the blocks themselves ends it.
void broken_blocks(Chance&) {
  for (bool swapped : {false, true}) {
    Blocks good(swapped);
    good.section().interface().packet("a", 1);
    const std::string at = "a frame 2, at byte " + std::to_string(good.text.size());
    auto with = [&](const std::string& bytes) { return broken(good.text + bytes); };
    auto head = [&](uint32_t type, uint32_t length) { return Bytes(swapped).u32(type).u32(length).text; };
    expect_text(with(head(6, 11)), at, "shorter than a block");
    expect_text(with(head(6, 33) + std::string(60, '\0')), at, "no multiple of four");
    expect_text(with(head(0x0a0d0d0a, 24) + std::string(60, '\0')), at, "no byte order");
    expect_text(with(Blocks(swapped).section(0, 2).text), at, "version 2");
    std::string other = Blocks(swapped).packet("bcde", 1).text;
    other.back() = static_cast<char>(other.back() ^ 64);
    std::string found = read(good.text + other);
    expect(found.find("the length of a block is 36 in front and ") != std::string::npos, found.c_str());
    expect(read(good.text + head(99, 0x7ffffff0) + "few").find("truncated") != std::string::npos,
           "cut short");
  }
}

// Frames of each interface become Ethernet by its link type; those that can't are counted for it.
void mixed_links(Chance&) {
  const std::string ip = from_hex("4500001c000000004011000001020304 05060708 0001000200080000");
  Blocks file(false);
  file.section().interface(1).interface(101).interface(189).interface(113).interface(147);
  file.packet("ethernet frame", 1).packet(ip, 2, "", 1).packet("usb", 3, "", 2).packet("usb", 4, "", 2);
  file.packet(from_hex("0000 0338 0000 0000000000000000 0800") + ip, 5, "", 3);  // netlink
  MemoryFile memory(file.text);
  CaptureReader reader(memory.path());
  ToEthernet to(reader, {});
  CapturedFrame frame{};
  CapturedFrame out{};
  std::string converted;
  while (reader.next(frame)) converted += to.convert(frame, out) ? std::to_string(out.captured) + " " : "no ";
  expect_text(converted, "14 42 no no no ", "converted");
  std::vector<CaptureRemark> remarks;
  to.add_remarks(remarks);
  expect_equal(remarks.size(), 2u, "remarks");
  expect(remarks[0].kind == "link_type" && remarks[0].frames == 2 && remarks[0].first == 3, "USB");
  expect(remarks[1].kind == "no_ethertype" && remarks[1].first == 5 && !remarks[1].is_fault, "netlink");
  expect(!to.useless(reader), "some could be made");

  Blocks usb(false);
  usb.section().interface(189).packet("usb", 3);
  MemoryFile alone(usb.text);
  CaptureReader other(alone.path());
  ToEthernet none(other, {});
  while (other.next(frame)) none.convert(frame, out);
  auto error = none.useless(other);
  expect(error && error->detail.find("USB_LINUX") != std::string::npos, "none could be made");
}

const Tests TESTS{
    {"capture blocks: those without a packet are passed over", other_blocks},
    {"capture blocks: packets of each kind, and their options", packets},
    {"capture blocks: sections and interfaces", sections},
    {"capture blocks: resolutions and offsets of times", times},
    {"capture blocks: check sequences are no part of a frame", check_sequences},
    {"capture blocks: what can't be used is counted, the rest is read", left_out},
    {"capture blocks: records of pcap", records_of_pcap},
    {"capture blocks: lengths that can't be end it", broken_blocks},
    {"capture blocks: link types of one file", mixed_links},
};

}  // namespace
}  // namespace carom::test
