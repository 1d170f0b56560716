// The packet filter's engines: every one decides as libpcap does, on programs and expressions by chance, on
// frames that end where memory ends. `make filter-proof` does the same for long.
#include <cstring>
#include <filesystem>
#include <utility>

#include "capture/ethernet.h"
#include "core/error.h"
#include "filter/language.h"
#include "test/filter_support.h"

namespace carom::test {
namespace {

constexpr uint32_t FRAMES = 500;
constexpr int PROGRAMS = 600;
constexpr int EXPRESSIONS = 300;
constexpr int MIXED = 120;  // larger ones
constexpr uint32_t MAX_SAMPLE = 9216;
// Each holds for some of the samples.
constexpr const char* SAMPLE_EXPRESSIONS[] = {"udp dst port 8080",
                                              "udp dst port 8080 and dst host 239.1.1.1",
                                              "src net 198.18.0.0/24 and not udp dst port 9999",
                                              "udp[8:4] = 0x4141504c",
                                              "ip[6:2] & 0x3fff != 0",
                                              "ip[0] & 15 > 5",
                                              "ip6 and udp",
                                              "vlan and udp port 8080",
                                              "greater 1000",
                                              "less 60",
                                              "not ip and not ip6",
                                              "ip multicast and len < 70"};

// Batches of every size, so that the last group of lanes is filled up in every way.
std::span<const FilterFrame> some_of(const FramePool& pool, Chance& chance) {
  uint32_t count = chance.one_in(4) ? chance.below(70) : FRAMES;
  return pool.frames().subspan(chance.below(FRAMES - count + 1), count);
}

void programs(Chance& chance) {
  FramePool pool(chance, FRAMES);
  uint64_t accepted = 0;
  for (int i = 0; i < PROGRAMS; i++) accepted += AllEngines(any_program(chance)).check(some_of(pool, chance));
  expect(accepted > 1000, "the programs accept some frames");
}

void expressions(Chance& chance) {
  FramePool pool(chance, FRAMES);
  uint64_t accepted = 0;
  int compiled = 0;
  for (int i = 0; i < EXPRESSIONS; i++) {
    std::vector<bpf_insn> program = compiled_by_pcap(any_expression(chance));
    if (program.empty()) continue;
    compiled++;
    accepted += AllEngines(std::move(program)).check(some_of(pool, chance));
  }
  expect(compiled > EXPRESSIONS / 2, "libpcap takes most of the expressions");
  expect(accepted > 1000, "the expressions accept some frames");
}

// The whole way from an expression, where libpcap compiles one that means the same.
void languages(Chance& chance) {
  FramePool pool(chance, FRAMES);
  uint64_t accepted = 0;
  int compiled = 0;
  for (int i = 0; i < MIXED; i++) {
    BothLanguages both = any_mixed_expression(chance);
    std::vector<bpf_insn> program = compiled_by_pcap(both.pcap, false);
    if (program.empty()) continue;
    compiled++;
    try {
      accepted += AllEngines(std::move(program), compile_filter(both.carom)).check(some_of(pool, chance));
    } catch (const Error& error) {
      fail(both.carom + ": " + error.detail, __FILE__, __LINE__);
    }
  }
  expect(compiled > MIXED / 2, "libpcap takes most of the expressions");
  expect(accepted > 1000, "the expressions accept some frames");
}

// What can be read of all samples, as Ethernet frames; some of them are there to be refused.
std::vector<std::pair<std::string, uint32_t>> sample_frames() {
  std::vector<std::pair<std::string, uint32_t>> all;
  // From native/build/test, wherever the tests are started.
  std::filesystem::path program = std::filesystem::read_symlink("/proc/self/exe");
  for (const auto& entry : std::filesystem::directory_iterator(program.parent_path() / "../../../pcaps")) {
    if (entry.path().filename().string().find(".pcap") == std::string::npos) continue;
    try {
      CaptureReader reader(entry.path());
      ToEthernet to_ethernet(reader, {});
      CapturedFrame read;
      CapturedFrame frame;
      while (reader.next(read)) {
        if (!to_ethernet.convert(read, frame)) continue;
        all.emplace_back(std::string(reinterpret_cast<const char*>(frame.data), frame.captured),
                         frame.length);
      }
    } catch (const Error& error) {
      expect(error.code == ErrorCode::usage, "it is refused as no capture");
    }
  }
  return all;
}

void samples(Chance& chance) {
  std::vector<std::pair<std::string, uint32_t>> all = sample_frames();
  uint32_t count = static_cast<uint32_t>(all.size());
  expect(count > 1000, "the samples are there");
  GuardedMemory memory(count, MAX_SAMPLE, true);
  std::vector<FilterFrame> frames;
  for (uint32_t i = 0; i < count; i++) {
    uint32_t captured = static_cast<uint32_t>(all[i].first.size());
    expect(captured <= MAX_SAMPLE, "it has room");
    uint8_t* at = memory.last(i, captured);
    memcpy(at, all[i].first.data(), captured);
    frames.push_back({at, captured, all[i].second});
  }
  for (const char* expression : SAMPLE_EXPRESSIONS) {
    uint32_t accepted = AllEngines(compiled_by_pcap(expression)).check(frames);
    expect(accepted > 0 && accepted < count, expression);
  }
  for (int i = 0; i < EXPRESSIONS; i++) {
    std::vector<bpf_insn> program = compiled_by_pcap(any_expression(chance));
    if (!program.empty()) AllEngines(std::move(program)).check(frames);
  }
}

const Tests TESTS{
    {"filter: every engine decides as libpcap, programs by chance", programs},
    {"filter: every engine decides as libpcap, expressions by chance", expressions},
    {"filter: expressions with terms and changing headers", languages},
    {"filter: every engine decides as libpcap, the samples", samples},
};

}  // namespace
}  // namespace carom::test
