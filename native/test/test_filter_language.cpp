// The language of filters beyond libpcap's: terms about market data, and what is refused, with its place.
#include <algorithm>
#include <fstream>
#include <functional>

#include "core/error.h"
#include "filter/language.h"
#include "strategy/runner.h"
#include "test/filter_support.h"
#include "test/loop_support.h"

namespace carom::test {
namespace {

constexpr uint32_t FRAMES = 2000;

// A tick as it was built into a frame, next to which the filter is held.
struct Sample {
  bool is_tick;  // a whole one, in an unfragmented UDP datagram
  bool is_udp_8080;
  bool is_cut;  // what holds then depends on where: it is only to be seen that nothing behind the end is read
  std::string symbol;
  uint32_t price;
  uint32_t quantity;
};

class TickFrames {
 public:
  explicit TickFrames(Chance& chance) : memory_(FRAMES, MAX_FRAME, true) {
    for (uint32_t i = 0; i < FRAMES; i++) add(chance, i);
  }

  std::span<const FilterFrame> frames() const { return frames_; }
  const Sample& sample(uint32_t index) const { return samples_[index]; }

 private:
  void add(Chance& chance, uint32_t index) {
    static constexpr const char* SYMBOLS[] = {"AAPL", "MSFT", "A", "BRK.B", "LONGNAME", "S77"};
    Sample sample{true, false, false, SYMBOLS[chance.below(6)], chance.below(20'000), chance.below(1000)};
    if (chance.one_in(50)) sample.price = 0xfffffff0 + chance.below(16);
    uint8_t payload[2 * MARKET_DATA_SIZE] = {};
    memset(payload, ' ', 8);
    memcpy(payload, sample.symbol.data(), sample.symbol.size());
    memcpy(payload + 8, &sample.price, 4);
    memcpy(payload + 12, &sample.quantity, 4);
    bool ipv6 = chance.one_in(4);
    int32_t vlan = chance.one_in(4) ? 100 : -1;
    FrameFields fields = fields_between(chance.one_in(2), ipv6, vlan);
    fields.destination_port = static_cast<uint16_t>(chance.one_in(2) ? 8080 : 8081);
    fields.payload = payload;
    fields.payload_length = MARKET_DATA_SIZE * (1 + chance.below(2));
    if (chance.one_in(10)) fields.payload_length = chance.below(MARKET_DATA_SIZE);
    if (fields.payload_length < MARKET_DATA_SIZE) {
      sample.is_tick = false;
      fields.padding = 40;  // bytes that are no tick, although they are there
    }
    uint8_t frame[MAX_FRAME];
    uint32_t length = build(fields, frame);
    uint32_t ip = vlan >= 0 ? 18 : 14;
    bool is_udp = !chance.one_in(10);
    if (!is_udp) frame[ip + (ipv6 ? 6 : 9)] = 6;
    bool is_fragment = !ipv6 && chance.one_in(10);
    if (is_fragment) frame[ip + 7] = 1;
    bool has_options = !ipv6 && chance.one_in(5);
    if (has_options) {
      memmove(frame + ip + 24, frame + ip + 20, length - ip - 20);
      memset(frame + ip + 20, 1, 4);
      frame[ip] = 0x46;
      length += 4;
    }
    sample.is_cut = chance.one_in(20);
    uint32_t captured = sample.is_cut ? chance.below(ip + 40) : length;
    sample.is_tick = sample.is_tick && is_udp && !is_fragment && !sample.is_cut;
    sample.is_udp_8080 =
        is_udp && !is_fragment && !sample.is_cut && vlan < 0 && fields.destination_port == 8080;
    uint8_t* at = memory_.last(index, captured);
    memcpy(at, frame, captured);
    frames_.push_back({at, captured, length});
    samples_.push_back(sample);
  }

  GuardedMemory memory_;
  std::vector<FilterFrame> frames_;
  std::vector<Sample> samples_;
};

void hold(const TickFrames& ticks, const std::string& expression,
          const std::function<bool(const Sample&)>& wanted) {
  for (const FilterEngine& engine : filter_engines()) {
    if (!engine.probe().empty()) continue;
    Filter filter(compile_filter(expression), {engine.name});
    std::vector<uint64_t> verdicts((FRAMES + 63) / 64);
    filter.match(ticks.frames().data(), FRAMES, verdicts.data());
    uint32_t accepted = 0;
    for (uint32_t i = 0; i < FRAMES; i++) {
      bool is = (verdicts[i / 64] >> i % 64 & 1) != 0;
      accepted += is;
      if (ticks.sample(i).is_cut || is == wanted(ticks.sample(i))) continue;
      const FilterFrame& frame = ticks.frames()[i];
      fail(std::string(engine.name) + (is ? " accepts: " : " rejects: ") + expression + " on " +
               hex_dump(frame.data, frame.captured),
           __FILE__, __LINE__);
    }
    expect(accepted > 0 && accepted < FRAMES, expression.c_str());
  }
}

void terms(Chance& chance) {
  TickFrames ticks(chance);
  hold(ticks, "symbol AAPL", [](const Sample& s) { return s.is_tick && s.symbol == "AAPL"; });
  hold(ticks, "not symbol A", [](const Sample& s) { return !(s.is_tick && s.symbol == "A"); });
  hold(ticks, "symbol != LONGNAME", [](const Sample& s) { return s.is_tick && s.symbol != "LONGNAME"; });
  hold(ticks, "price < 100.00", [](const Sample& s) { return s.is_tick && s.price < 10'000; });
  hold(ticks, "price <= 99.9", [](const Sample& s) { return s.is_tick && s.price <= 9'990; });
  hold(ticks, "price > 42949672.80", [](const Sample& s) { return s.is_tick && s.price > 0xfffffff0; });
  hold(ticks, "quantity >= 500", [](const Sample& s) { return s.is_tick && s.quantity >= 500; });
  hold(ticks, "quantity = 7 or quantity!=9 and price>=50",
       [](const Sample& s) { return s.is_tick && s.quantity != 9 && s.price >= 5'000; });
  hold(ticks, "udp dst port 8080 and symbol in (AAPL, BRK.B) and not (price < 100 or quantity >= 500)",
       [](const Sample& s) {
         bool is_named = s.symbol == "AAPL" || s.symbol == "BRK.B";
         return s.is_udp_8080 && s.is_tick && is_named && s.price >= 10'000 && s.quantity < 500;
       });
  hold(ticks, "symbol MSFT or (udp dst port 8080 && ! price > 10)", [](const Sample& s) {
    return (s.is_tick && s.symbol == "MSFT") || (s.is_udp_8080 && !(s.is_tick && s.price > 1'000));
  });
}

// Sets of every size up to ten thousand: all that are in it are found, and nothing else.
void sets(Chance& chance) {
  TickFrames ticks(chance);
  for (uint32_t size : {2u, 3u, 100u, 10'000u}) {
    std::string expression = "symbol in (AAPL";
    for (uint32_t i = 1; i < size; i++) expression += ", S" + std::to_string(i);
    hold(ticks, expression + ")", [&](const Sample& s) {
      return s.is_tick && (s.symbol == "AAPL" || (s.symbol == "S77" && size > 77));
    });
  }
}

// Names that differ in few bits, and as many as a set takes.
void alike(Chance&) {
  for (const char* begin : {"", "S", "AB", "SYM"}) {
    std::vector<SymbolWords> words;
    for (uint32_t i = 0; i < SYMBOL_SET_MAX; i++) {
      char name[9]{};
      snprintf(name, sizeof name, "%s%05u", begin, i);
      uint64_t word = __builtin_bswap64(symbol_word(name));
      words.push_back({static_cast<uint32_t>(word >> 32), static_cast<uint32_t>(word)});
    }
    const SymbolSet set(words);
    expect(std::all_of(words.begin(), words.end(),
                       [&](const SymbolWords& one) { return set.contains(one.first, one.last); }),
           "all are in it");
    expect(!set.contains(words[1].first, words[1].last ^ 0x80), "another one is not");
  }
}

void refuse(const std::string& expression, const std::string& what, size_t at) {
  try {
    compile_filter(expression);
  } catch (const Error& error) {
    expect(error.code == ErrorCode::usage && error.detail.find(what) != std::string::npos,
           error.detail.c_str());
    std::string place = "\n  " + expression + "\n  " + std::string(at, ' ') + "^";
    expect(error.hint.ends_with(place), error.hint.c_str());
    return;
  }
  fail("taken: " + expression, __FILE__, __LINE__);
}

void bad(Chance&) {
  refuse("udp and", "syntax error", 7);
  refuse("udp && tcp tcp", "syntax error", 11);
  refuse("src host nosuch.invalid", "unknown host", 9);
  refuse("udp port 99999", "illegal port", 9);
  refuse("symbol in (A, B, A)", "twice", 17);
  refuse("symbol ABCDEFGHI", "1 to 8", 7);
  refuse("symbol in (A B)", "comma", 13);
  refuse("symbol A) or udp", "nothing is open", 8);
  refuse("(symbol A or udp", "not closed", 0);
  refuse("price 100", "comparison", 6);
  refuse("price < 1.001", "a price", 8);
  refuse("price < 42949672.96", "a price", 8);
  refuse("quantity >= 4294967296", "whole number", 12);
  refuse("quantity >= 1.5", "whole number", 12);
  refuse("symbol A and", "missing", 12);
  refuse("udp symbol A", "missing between", 4);
  refuse("vlan 5 and symbol A udp", "missing between", 20);
  refuse("vlan 5 and price < 1 and udp port 99999", "illegal port", 34);
  refuse("vlan 5 and (symbol A or udp", "not closed", 11);
  refuse("vlan 5 and symbol A and", "syntax error", 23);
  refuse("symbol \"\"", "1 to 8", 7);
  refuse("symbol \"A", "1 to 8", 7);
}

void constant(Chance&) {
  for (const char* never : {"udp and tcp", "price < 0", "symbol A and price < 0"}) {
    expect(Filter(compile_filter(never), {}).never(), never);
  }
  for (const char* always : {"", "len >= 0"}) expect(Filter(compile_filter(always), {}).always(), always);
  Filter long_enough(compile_filter("ip or not ip"), {});  // a frame of 13 bytes has no EtherType to look at
  expect(!long_enough.always() && long_enough.always_ethernet(), "ip or not ip");
  expect(!Filter(compile_filter("udp"), {}).always_ethernet(), "udp");
  expect(!Filter(compile_filter("udp"), {}).never() && !Filter(compile_filter("udp"), {}).always(), "udp");
}

void hostile(Chance&) {
  auto refused = [](std::vector<bpf_insn> program, const char* what) {
    try {
      Program::from_bpf(program.data(), static_cast<uint32_t>(program.size()));
    } catch (const Error& error) {
      expect(error.code == ErrorCode::usage, what);
      return;
    }
    fail(std::string("taken: ") + what, __FILE__, __LINE__);
  };
  const bpf_insn end = BPF_STMT(BPF_RET | BPF_K, 1);
  refused({}, "nothing");
  refused({BPF_STMT(BPF_LD | BPF_IMM, 1)}, "no return");
  refused({BPF_STMT(BPF_JMP | BPF_JA, 1), end}, "a jump behind the end");
  refused({end, BPF_STMT(BPF_JMP | BPF_JA, UINT32_MAX), end}, "a jump backwards");
  refused({BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 1, 0, 1), end}, "a branch behind the end");
  refused({BPF_STMT(BPF_ST, 16), end}, "scratch memory that is not there");
  refused({BPF_STMT(BPF_LDX | BPF_MEM, 0xffffffff), end}, "scratch memory far away");
  refused({BPF_STMT(BPF_ALU | BPF_DIV | BPF_K, 0), end}, "a division by zero");
  refused({BPF_STMT(0xffff, 0), end}, "an unknown instruction");
  refused({BPF_STMT(CODE_IN_SET, 0), end}, "a set that is not there");
  refused(std::vector<bpf_insn>(INSTRUCTIONS_MAX + 1, end), "too many instructions");
}

// As long as programs may be: every instruction is needed for the verdict, and every engine gives it.
void longest(Chance& chance) {
  std::vector<bpf_insn> program;
  while (program.size() + 3 < 8192) {
    program.push_back(BPF_STMT(BPF_LD | BPF_B | BPF_ABS, static_cast<uint32_t>(program.size() % 60)));
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, chance.below(256), 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, chance.below(2)));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, 1));
  FramePool pool(chance, 300);
  uint32_t accepted = AllEngines(program).check(pool.frames());
  expect(accepted > 0 && accepted < 300, "the long program decides");
}

void protection(Chance&) {
  Filter filter(compile_filter("udp dst port 8080"), {});
  std::ifstream maps("/proc/self/maps");
  bool is_executable = false;
  for (std::string line; std::getline(maps, line);) {
    bool is_anonymous = line.find('/') == std::string::npos && line.find('[') == std::string::npos;
    expect(line.find(" rwx") == std::string::npos, line.c_str());
    is_executable |= is_anonymous && line.find(" r-x") != std::string::npos;
  }
  expect(is_executable, "there is code that was made");
}

void engines(Chance&) {
  try {
    Filter filter(compile_filter("udp"), {"turbo"});
    fail("an unknown engine is taken", __FILE__, __LINE__);
  } catch (const Error& error) {
    expect(error.code == ErrorCode::usage, "an engine that does not exist");
  }
  for (const FilterEngine& engine : filter_engines()) {
    if (engine.probe().empty()) {
      expect(Filter(compile_filter("udp"), {engine.name}).engine() == engine.name, "the engine asked for");
      continue;
    }
    try {
      Filter filter(compile_filter("udp"), {engine.name});
      fail("an engine that can't be had is taken", __FILE__, __LINE__);
    } catch (const Error& error) {
      expect(error.code == ErrorCode::environment && error.detail == engine.probe(), "the reason is said");
    }
  }
}

const Tests TESTS{
    {"filter: terms about market data", terms},
    {"filter: sets of symbols", sets},
    {"filter: sets of symbols that are much alike", alike},
    {"filter: what is wrong is refused, with its place", bad},
    {"filter: an expression that never or always matches says so", constant},
    {"filter: hostile programs are refused", hostile},
    {"filter: a long program", longest},
    {"filter: no memory is writable and executable", protection},
    {"filter: an engine by name", engines},
};

}  // namespace
}  // namespace carom::test
