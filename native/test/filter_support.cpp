#include "test/filter_support.h"

#include <algorithm>

#include "filter/lower.h"
#include "test/loop_support.h"
#include "wire.gen.h"

namespace carom::test {
namespace {

constexpr uint32_t LONGEST = 9000;
constexpr uint32_t SCRATCH = 16;

template <class T, size_t N>
T one_of(Chance& chance, const T (&all)[N]) {
  return all[chance.below(N)];
}

// Offsets near the headers, near the ends of frames, and nowhere.
uint32_t any_offset(Chance& chance) {
  switch (chance.below(8)) {
    case 0:
      return chance.below(8);
    case 1:
      return chance.below(LONGEST + 8);
    case 2:
      return chance.word() >> chance.below(32);
    default:
      return chance.below(70);
  }
}

// Constants that are met: what frames hold, small ones, powers of two and those beside them.
uint32_t any_constant(Chance& chance) {
  static constexpr uint32_t MET[] = {0x800, 0x86dd, 0x8100,     6,          17, 0x45,
                                     8080,  9999,   0xc6120001, 0xc6120002, 20, 5};
  switch (chance.below(5)) {
    case 0:
      return one_of(chance, MET);
    case 1:
      return chance.below(16);
    case 2:
      return (1u << chance.below(32)) - chance.below(2);
    case 3:
      return 0u - chance.below(4);
    default:
      return chance.word() >> chance.below(32);
  }
}

bpf_insn any_load(Chance& chance, uint32_t scratch_count) {
  static constexpr uint16_t SIZES[] = {BPF_W, BPF_H, BPF_B};
  uint16_t size = one_of(chance, SIZES);
  uint32_t offset = any_offset(chance);
  switch (chance.below(12)) {
    case 0:
      return BPF_STMT(BPF_LD | BPF_IMM, any_constant(chance));
    case 1:
      return BPF_STMT(BPF_LDX | BPF_IMM, chance.one_in(2) ? offset : any_constant(chance));
    case 2:
      return BPF_STMT(BPF_LD | BPF_W | BPF_LEN, 0);
    case 3:
      return BPF_STMT(BPF_LDX | BPF_W | BPF_LEN, 0);
    case 4:
      return BPF_STMT(BPF_LDX | BPF_MSH | BPF_B, chance.one_in(2) ? 14 : offset);
    case 5:
      if (scratch_count == 0) return BPF_STMT(BPF_MISC | BPF_TAX, 0);
      return BPF_STMT(static_cast<uint16_t>((chance.one_in(2) ? BPF_LD : BPF_LDX) | BPF_MEM),
                      chance.below(scratch_count));
    case 6:
    case 7:
    case 8:
      return BPF_STMT(static_cast<uint16_t>(BPF_LD | size | BPF_IND),
                      chance.one_in(2) ? chance.below(4) : offset);
    default:
      return BPF_STMT(static_cast<uint16_t>(BPF_LD | size | BPF_ABS), offset);
  }
}

bpf_insn any_calculation(Chance& chance) {
  static constexpr uint16_t OPERATIONS[] = {BPF_ADD, BPF_SUB, BPF_MUL, BPF_DIV, BPF_MOD, BPF_AND,
                                            BPF_OR,  BPF_XOR, BPF_LSH, BPF_RSH, BPF_NEG, BPF_AND};
  uint16_t operation = one_of(chance, OPERATIONS);
  uint16_t source = operation != BPF_NEG && chance.one_in(2) ? BPF_X : BPF_K;
  uint32_t k = any_constant(chance);
  if (operation == BPF_LSH || operation == BPF_RSH) k &= 31;
  if ((operation == BPF_DIV || operation == BPF_MOD) && k == 0) k = 3;
  return BPF_STMT(static_cast<uint16_t>(BPF_ALU | operation | source), k);
}

bpf_insn any_jump(Chance& chance, uint32_t left) {
  static constexpr uint16_t OPERATIONS[] = {BPF_JEQ, BPF_JGT, BPF_JGE, BPF_JSET};
  uint32_t furthest = std::min(left, chance.one_in(4) ? 256u : 6u);
  if (chance.one_in(10)) return BPF_STMT(BPF_JMP | BPF_JA, chance.below(furthest));
  uint16_t code =
      static_cast<uint16_t>(BPF_JMP | one_of(chance, OPERATIONS) | (chance.one_in(4) ? BPF_X : BPF_K));
  return BPF_JUMP(code, any_constant(chance), static_cast<u_char>(chance.below(furthest)),
                  static_cast<u_char>(chance.below(furthest)));
}

bpf_insn any_instruction(Chance& chance, uint32_t left, uint32_t scratch_count) {
  switch (chance.below(16)) {
    case 0:
      return BPF_STMT(BPF_MISC | BPF_TAX, 0);
    case 1:
      return BPF_STMT(BPF_MISC | BPF_TXA, 0);
    case 2:
      if (scratch_count == 0) return any_load(chance, 0);
      return BPF_STMT(static_cast<uint16_t>(chance.one_in(2) ? BPF_ST : BPF_STX),
                      chance.below(scratch_count));
    case 3:
      if (!chance.one_in(8)) return any_calculation(chance);
      return BPF_STMT(static_cast<uint16_t>(BPF_RET | (chance.one_in(2) ? BPF_A : BPF_K)), chance.below(2));
    case 4:
    case 5:
    case 6:
      return any_calculation(chance);
    case 7:
    case 8:
    case 9:
    case 10:
      return any_jump(chance, left);
    default:
      return any_load(chance, scratch_count);
  }
}

std::string any_address(Chance& chance) {
  std::string direction[] = {"src ", "dst ", ""};
  std::string last = std::to_string(chance.below(6));
  std::string which = direction[chance.below(3)];
  switch (chance.below(4)) {
    case 0:
      return which + "net 198.18." + std::to_string(chance.below(2)) + ".0/24";
    case 1:
      return which + "host 2001:2::" + last;
    case 2:
      return which + "net 2001:2::/" + std::to_string(16 + chance.below(100));
    default:
      return which + "host 198.18.0." + last;
  }
}

std::string any_term(Chance& chance) {
  static constexpr const char* PLAIN[] = {"udp",
                                          "tcp",
                                          "ip",
                                          "ip6",
                                          "arp",
                                          "vlan",
                                          "vlan 100",
                                          "icmp",
                                          "multicast",
                                          "broadcast",
                                          "ip6 multicast or ip multicast",
                                          "ether multicast",
                                          "ip proto 17",
                                          "ip6 proto 17",
                                          "ether proto 0x800",
                                          "ether src 02:ca:40:00:00:01",
                                          "tcp[tcpflags] & tcp-syn != 0",
                                          "ip[6:2] & 0x1fff != 0",
                                          "ip[0] & 0xf != 5",
                                          "udp[8:4] = 0x4141504c",
                                          "udp[4:2] > 100",
                                          "ether[0] & 1 = 1",
                                          "ip[8] < 10",
                                          "ether[100:4] > 0x80000000",
                                          "ip6[6] = 17",
                                          "udp[8:2] * 3 % 7 = 2",
                                          "len % 3 = ip[8] & 3",
                                          "udp[8] << 2 > 100",
                                          "mpls",
                                          "pppoes",
                                          "vlan 5 and udp",
                                          "(vlan or mpls 7)",
                                          "icmp[icmptype] = icmp-echo",
                                          "len / (ip[8] & 1) > 100"};
  static constexpr const char* PORTS[] = {"port ",     "src port ",     "dst port ",
                                          "udp port ", "udp dst port ", "tcp port "};
  switch (chance.below(6)) {
    case 0:
      return one_of(chance, PORTS) + std::to_string(8078 + chance.below(5));
    case 1:
      return "portrange 8000-" + std::to_string(8000 + chance.below(200));
    case 2:
      return (chance.one_in(2) ? "less " : "greater ") + std::to_string(chance.below(200));
    case 3:
      return any_address(chance);
    default:
      return one_of(chance, PLAIN);
  }
}

std::string joined(Chance& chance, uint32_t depth) {
  if (depth == 0 || chance.one_in(4)) return (chance.one_in(5) ? "not " : "") + any_term(chance);
  std::string sign = chance.one_in(2) ? " and " : " or ";
  return (chance.one_in(8) ? "not (" : "(") + joined(chance, depth - 1) + sign + joined(chance, depth - 1) +
         ")";
}

void append_big_endian(std::vector<uint8_t>& bytes, uint32_t value, uint32_t size) {
  while (size-- > 0) bytes.push_back(static_cast<uint8_t>(value >> 8 * size));
}

// Puts tags, labels or a tunnel between a frame's addresses and its EtherType.
uint32_t wrap(Chance& chance, uint8_t* frame, uint32_t length) {
  static constexpr uint16_t TAGS[] = {0x8100, 0x88a8, 0x9100, 0x9200};
  const uint32_t type = static_cast<uint32_t>(frame[12]) << 8 | frame[13];
  std::vector<uint8_t> inserted;
  uint32_t at = 12;
  uint32_t cut = 0;
  switch (chance.below(4)) {
    case 0:
      for (uint32_t i = chance.below(2) + 1; i > 0; i--) {
        append_big_endian(inserted, one_of(chance, TAGS), 2);
        append_big_endian(inserted, 5 + chance.below(2), 2);
      }
      break;
    case 1:
      append_big_endian(inserted, 0x8847, 2);
      for (uint32_t i = chance.below(2); i > 0; i--) append_big_endian(inserted, 7u << 12 | 64, 4);
      append_big_endian(inserted, 7u << 12 | 1u << 8 | 64, 4);
      cut = 2;
      break;
    case 2:
      append_big_endian(inserted, 0x8864, 2);
      append_big_endian(inserted, 0x11000001, 4);
      append_big_endian(inserted, length - 12, 2);
      append_big_endian(inserted, type == 0x800 ? 0x21 : 0x57, 2);
      cut = 2;
      break;
    default: {
      FrameFields fields = fields_between(true, chance.one_in(3), -1);
      const uint8_t header[8] = {0, 0, 0x65, 0x58, 0, 0, 7, 0};
      fields.destination_port = 6081;
      fields.payload = header;
      fields.payload_length = sizeof header;
      inserted.resize(MAX_FRAME);
      inserted.resize(build(fields, inserted.data()));
      at = 0;
    }
  }
  uint32_t added = static_cast<uint32_t>(inserted.size());
  memmove(frame + at + added, frame + at + cut, length - at - cut);
  memcpy(frame + at, inserted.data(), added);
  return length + added - cut;
}

// Frames whose addresses and ports meet what expressions ask for.
uint32_t any_frame(Chance& chance, uint8_t* frame) {
  static uint8_t payload[LONGEST];
  FrameFields fields = fields_between(chance.one_in(4), chance.one_in(2), chance.one_in(6) ? 100 : -1);
  fields.source[3] = static_cast<uint8_t>(chance.below(6));
  fields.destination_port = static_cast<uint16_t>(8078 + chance.below(5));
  fields.payload = payload;
  fields.payload_length = chance.below(chance.one_in(8) ? 8000 : 120);
  chance.fill(payload, std::min(fields.payload_length, 256u));
  if (chance.one_in(4)) memcpy(payload, "AAPL    ", 8);
  uint32_t length = build(fields, frame);
  if (chance.one_in(8) && length > 23) frame[23] = 6;  // TCP
  if (chance.one_in(8) && length > 14) frame[14] = static_cast<uint8_t>(0x40 | chance.below(16));
  if (chance.one_in(12) && length > 20) frame[20] = chance.byte();  // a fragment
  if (chance.one_in(4)) length = wrap(chance, frame, length);
  if (chance.one_in(12)) length = chance.below(length + 1);
  for (uint32_t i = chance.below(3); i > 0 && length > 0 && chance.one_in(2); i--) {
    frame[chance.below(std::min(length, 64u))] = chance.byte();
  }
  return length;
}

uint32_t any_noise(Chance& chance, uint8_t* frame) {
  uint32_t length = chance.one_in(3) ? chance.below(LONGEST + 1) : chance.below(100);
  chance.fill(frame, length);
  bool is_dull = chance.one_in(2);  // few different bytes, so that tests hold now and then
  for (uint32_t i = 0; is_dull && i < length; i++) frame[i] &= 3;
  return length;
}

// A term about market data, and what it means in libpcap's language where the UDP header and what is behind
// it are read by `udp`, such as "udp[4:2]" or "ether[((ether[14] & 15) << 2) + 18:2]".
class TermInBoth {
 public:
  explicit TermInBoth(Chance& chance) {
    std::string value = std::to_string(chance.below(3));
    switch (chance.below(4)) {
      case 0:
        carom_ = "symbol AAPL";
        fields_ = {{{8, 4, " = 0x4141504c"}, {12, 4, " = 0x20202020"}}};
        break;
      case 1:
        carom_ = "symbol in (AAPL, \"MSFT\", A)";
        // A set reads all eight bytes, whatever the first of them are.
        fields_ = {{{8, 4, " = 0x4141504c"}, {12, 4, " = 0x20202020"}}};
        is_set_ = true;
        break;
      case 2:
        carom_ = "price > 20000000.0" + value;
        more_ = " > 200000000" + value;
        number_ = 16;
        break;
      default:
        carom_ = "quantity < 200000000" + value;
        more_ = " < 200000000" + value;
        number_ = 20;
    }
  }

  const std::string& carom() const { return carom_; }

  template <class Udp>
  std::string pcap(Udp udp) const {
    std::string text = udp(4, 2) + " >= " + std::to_string(8 + MARKET_DATA_SIZE);
    if (is_set_) text += " and " + udp(8, 4) + " != 0x01020304 and " + udp(12, 4) + " != 0x01020304";
    for (const Compared& field : fields_) text += " and " + udp(field.at, field.size) + field.with;
    if (number_ == 0) return text;
    std::string number;
    for (uint32_t i = 4; i-- > 0;) {
      number += "(" + udp(number_ + i, 1) + " << " + std::to_string(8 * i) + ")" + (i > 0 ? " | " : "");
    }
    return text + " and (" + number + ")" + more_;
  }

 private:
  struct Compared {
    uint32_t at;
    uint32_t size;
    const char* with;
  };
  std::string carom_;
  std::vector<Compared> fields_;
  std::string more_;
  uint32_t number_ = 0;
  bool is_set_ = false;
};

std::string access(const std::string& what, const std::string& at, uint32_t size) {
  return what + "[" + at + ":" + std::to_string(size) + "]";
}

// Behind a word that changed where headers are: there, and with no further tag.
std::string where_it_looks(const TermInBoth& term) {
  std::string ip4 =
      term.pcap([](uint32_t at, uint32_t size) { return access("udp", std::to_string(at), size); });
  std::string ip6 =
      term.pcap([](uint32_t at, uint32_t size) { return access("ip6", std::to_string(40 + at), size); });
  return "((" + ip4 + ") or (ip6[6] = 17 and " + ip6 + "))";
}

// Without such a word: with or without one tag.
std::string at_begin(const TermInBoth& term) {
  std::string whole;
  for (uint32_t tag : {0u, 4u}) {
    auto ether = [&](uint32_t at, uint32_t size) { return access("ether", std::to_string(at + tag), size); };
    const std::string words = "((" + ether(14, 1) + " & 15) << 2)";
    std::string ip4 = term.pcap([&](uint32_t at, uint32_t size) {
      return access("ether", words + " + " + std::to_string(14 + tag + at), size);
    });
    std::string ip6 = term.pcap([&](uint32_t at, uint32_t size) { return ether(54 + at, size); });
    whole += tag == 0 ? "(" : " or (ether[12:2] = 0x8100 and (";
    whole += "(" + ether(12, 2) + " = 0x800 and " + ether(23, 1) + " = 17 and " + ether(20, 2) +
             " & 0x1fff = 0 and " + ip4 + ") or (" + ether(12, 2) + " = 0x86dd and " + ether(20, 1) +
             " = 17 and " + ip6 + ")";
  }
  return whole + ")))";
}

BothLanguages joined_in_both(Chance& chance, uint32_t depth, bool& is_changed) {
  if (depth == 0 || chance.one_in(5)) {
    const char* negation = chance.one_in(5) ? "not " : "";
    if (chance.one_in(3)) {
      TermInBoth term(chance);
      return {negation + term.carom(), negation + (is_changed ? where_it_looks(term) : at_begin(term))};
    }
    std::string plain = any_term(chance);
    if (chance.one_in(3)) {
      static constexpr const char* CHANGES[] = {"vlan", "vlan 5", "mpls", "mpls 7", "pppoes"};
      plain = one_of(chance, CHANGES);
    }
    for (const char* word : {"vlan", "mpls", "pppoes"}) {
      is_changed |= plain.find(word) != std::string::npos;
    }
    return {negation + plain, negation + plain};
  }
  std::string sign = chance.one_in(2) ? " and " : " or ";
  std::string open = chance.one_in(8) ? "not (" : chance.one_in(2) ? "(" : "";
  std::string close = open.empty() ? "" : ")";
  BothLanguages left = joined_in_both(chance, depth - 1, is_changed);
  BothLanguages right = joined_in_both(chance, depth - 1, is_changed);
  return {open + left.carom + sign + right.carom + close, open + left.pcap + sign + right.pcap + close};
}

}  // namespace

FramePool::FramePool(Chance& chance, uint32_t count) : memory_(count, LONGEST, true) {
  std::vector<uint8_t> bytes(LONGEST + 1024);
  for (uint32_t i = 0; i < count; i++) {
    uint32_t length = chance.one_in(3) ? any_noise(chance, bytes.data()) : any_frame(chance, bytes.data());
    length = std::min(length, LONGEST);
    uint8_t* at = memory_.last(i, length);
    memcpy(at, bytes.data(), length);
    frames_.push_back({at, length, length + (chance.one_in(4) ? chance.below(2000) : 0)});
  }
}

std::vector<bpf_insn> any_program(Chance& chance) {
  std::vector<bpf_insn> program;
  // libpcap leaves its scratch memory as it finds it: what is read must have been written.
  uint32_t scratch_count = chance.one_in(3) ? 0 : chance.below(SCRATCH + 1);
  for (uint32_t i = 0; i < scratch_count; i++) {
    if (chance.one_in(2)) program.push_back(any_load(chance, 0));
    program.push_back(BPF_STMT(static_cast<uint16_t>(chance.one_in(2) ? BPF_ST : BPF_STX), i));
  }
  uint32_t count = 1 + chance.below(chance.one_in(20) ? 400 : 40);
  for (uint32_t i = 0; i < count; i++) program.push_back(any_instruction(chance, count - i, scratch_count));
  program.push_back(chance.one_in(3) ? bpf_insn BPF_STMT(BPF_RET | BPF_A, 0)
                                     : bpf_insn BPF_STMT(BPF_RET | BPF_K, chance.below(2)));
  return program;
}

std::string any_expression(Chance& chance) { return joined(chance, chance.below(4)); }

BothLanguages any_mixed_expression(Chance& chance) {
  // libpcap keeps where headers are in memory that it sets only where there is geneve: what is behind `or` or
  // `not` would read what was there before.
  bool is_changed = chance.one_in(6);
  std::string begin = is_changed ? "geneve and (" : "";
  BothLanguages both = joined_in_both(chance, 1 + chance.below(4), is_changed);
  const char* end = begin.empty() ? "" : ")";
  return {begin + both.carom + end, begin + both.pcap + end};
}

std::vector<bpf_insn> compiled_by_pcap(const std::string& expression, bool optimized) {
  std::unique_ptr<pcap_t, decltype(&pcap_close)> handle(pcap_open_dead(DLT_EN10MB, 65535), pcap_close);
  bpf_program program{};
  if (pcap_compile(handle.get(), &program, expression.c_str(), optimized, PCAP_NETMASK_UNKNOWN) != 0)
    return {};
  std::vector<bpf_insn> result(program.bf_insns, program.bf_insns + program.bf_len);
  pcap_freecode(&program);
  return result;
}

AllEngines::AllEngines(std::vector<bpf_insn> program)
    : AllEngines(program, Program::from_bpf(program.data(), static_cast<uint32_t>(program.size()))) {
  // What it becomes in classic BPF again.
  filters_.push_back(std::make_unique<Filter>(lower(filters_[0]->program()), Filter::Options{"interpret"}));
}

AllEngines::AllEngines(std::vector<bpf_insn> program, const Program& made) : program_(std::move(program)) {
  for (const FilterEngine& engine : filter_engines()) {
    if (!engine.probe().empty()) continue;
    filters_.push_back(std::make_unique<Filter>(Program(made), Filter::Options{engine.name}));
  }
}

uint32_t AllEngines::check(std::span<const FilterFrame> frames) const {
  uint32_t count = static_cast<uint32_t>(frames.size());
  std::vector<uint64_t> wanted((count + 63) / 64);
  uint32_t accepted = 0;
  bpf_program program{static_cast<u_int>(program_.size()), const_cast<bpf_insn*>(program_.data())};
  for (uint32_t i = 0; i < count; i++) {
    const pcap_pkthdr header{{0, 0}, frames[i].captured, frames[i].length};
    if (pcap_offline_filter(&program, &header, frames[i].data) == 0) continue;
    wanted[i / 64] |= 1ull << i % 64;
    accepted++;
  }
  std::vector<uint64_t> found(wanted.size());
  for (const std::unique_ptr<Filter>& filter : filters_) {
    std::fill(found.begin(), found.end(), ~0ull);
    filter->match(frames.data(), count, found.data());
    if (found == wanted) continue;
    for (uint32_t i = 0; i < count; i++) {
      bool is = (found[i / 64] >> i % 64 & 1) != 0;
      if (is != ((wanted[i / 64] >> i % 64 & 1) != 0)) report(*filter, frames[i], is);
    }
    fail("bits beyond the last frame are set", __FILE__, __LINE__);
  }
  return accepted;
}

void AllEngines::report(const Filter& filter, const FilterFrame& frame, bool accepted) const {
  std::string text(filter.engine());
  text += accepted ? " accepts" : " rejects";
  text += " a frame of " + std::to_string(frame.captured) + " bytes (" + std::to_string(frame.length) +
          "): " + hex_dump(frame.data, std::min(frame.captured, 100u)) + "\n" + filter.program().listing() +
          filter.graph().listing();
  fail(text, __FILE__, __LINE__);
}

}  // namespace carom::test
