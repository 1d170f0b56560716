// Every engine of the packet filter beside libpcap's interpreter, and DPDK's BPF JIT where it was compiled
// in, on frames in memory; in turn, round by round.
//   filter_engines [ROUNDS]
// Prints JSON: for each expression ns a packet of each contestant, a figure a round, over 512 frames again
// and again ("hot") and over all 65,536; and what it takes to compile the expression.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/error.h"
#include "dpdk_filter.h"
#include "filter/expression.h"
#include "filter/filter.h"
#include "market_frames.h"
// Needs types of the above.
#include <pcap/pcap.h>

namespace {

using namespace carom;

constexpr uint32_t HOT_FRAMES = 512;
constexpr uint32_t PACKETS_A_ROUND = 1 << 20;
constexpr int COMPILATIONS = 20;

struct Expression {
  const char* name;
  const char* text;
};
constexpr Expression EXPRESSIONS[] = {
    {"port", "udp dst port 8080"},
    {"group and port", "dst host 239.1.1.1 and udp dst port 8080"},
    {"nets, ports, source",
     "(dst net 239.1.1.0/24 or dst net 239.1.2.0/24) and (udp dst port 8080 or udp dst port 8081 or "
     "udp dst port 8082 or udp dst port 8083) and not src host 198.18.0.9"},
    {"payload and port", "udp dst port 8080 and udp[8:4] = 0x4141504c"},
};

// Decides `count` frames from the first one on, and writes the verdicts.
using Match = std::function<void(uint32_t count, uint64_t* verdicts)>;

struct Contestant {
  std::string name;
  Match match;
};

double ns_a_packet(const Match& match, uint32_t count) {
  std::vector<uint64_t> verdicts(count / 64);
  match(count, verdicts.data());
  auto begin = std::chrono::steady_clock::now();
  for (uint32_t done = 0; done < PACKETS_A_ROUND; done += count) match(count, verdicts.data());
  std::chrono::duration<double, std::nano> took = std::chrono::steady_clock::now() - begin;
  return took.count() / PACKETS_A_ROUND;
}

struct Pcap {
  explicit Pcap(const char* expression) : handle(pcap_open_dead(DLT_EN10MB, 65535), pcap_close) {
    if (pcap_compile(handle.get(), &program, expression, 1, PCAP_NETMASK_UNKNOWN) != 0) abort();
  }
  ~Pcap() { pcap_freecode(&program); }

  std::unique_ptr<pcap_t, decltype(&pcap_close)> handle;
  bpf_program program{};
};

void interpret_with_pcap(const bpf_program& program, const FilterFrame* frames, uint32_t count,
                         uint64_t* verdicts) {
  for (uint32_t i = 0; i < count; i++) {
    uint64_t is = bpf_filter(program.bf_insns, frames[i].data, frames[i].length, frames[i].captured) != 0;
    verdicts[i / 64] = (i % 64 == 0 ? 0 : verdicts[i / 64]) | is << i % 64;
  }
}

// What no engine can be faster than: a word of each frame is read, and nothing is decided.
void only_read(const FilterFrame* frames, uint32_t count, uint64_t* verdicts) {
  uint64_t mixed = 0;
  for (uint32_t i = 0; i < count; i++) {
    uint64_t word;
    memcpy(&word, frames[i].data + 16, sizeof word);
    mixed ^= word;
  }
  verdicts[0] = mixed;
}

double compile_us(const char* expression) {
  double best = 1e9;
  for (int i = 0; i < COMPILATIONS; i++) {
    auto begin = std::chrono::steady_clock::now();
    Filter filter(compile_expression(expression), {});
    std::chrono::duration<double, std::micro> took = std::chrono::steady_clock::now() - begin;
    best = std::min(best, took.count());
  }
  return best;
}

// How many verdicts differ from libpcap's.
uint32_t differences(const Match& match, const Match& reference) {
  std::vector<uint64_t> is(MARKET_FRAMES / 64);
  std::vector<uint64_t> wanted(MARKET_FRAMES / 64);
  match(MARKET_FRAMES, is.data());
  reference(MARKET_FRAMES, wanted.data());
  uint32_t count = 0;
  for (size_t i = 0; i < is.size(); i++)
    count += static_cast<uint32_t>(__builtin_popcountll(is[i] ^ wanted[i]));
  return count;
}

void print_figures(const char* name, const std::vector<std::vector<double>>& rounds, size_t contestant) {
  printf("\"%s\":[", name);
  for (size_t i = 0; i < rounds.size(); i++) printf("%s%.3f", i > 0 ? "," : "", rounds[i][contestant]);
  printf("]");
}

void measure(const Expression& expression, const std::vector<FilterFrame>& frames, DpdkFrames* dpdk,
             int rounds) {
  Pcap pcap(expression.text);
  std::vector<Contestant> all;
  all.push_back({"libpcap", [&](uint32_t count, uint64_t* verdicts) {
                   interpret_with_pcap(pcap.program, frames.data(), count, verdicts);
                 }});
  std::vector<std::unique_ptr<Filter>> filters;
  for (const FilterEngine& engine : filter_engines()) {
    if (!engine.probe().empty()) continue;
    filters.push_back(
        std::make_unique<Filter>(compile_expression(expression.text), Filter::Options{engine.name}));
    all.push_back(
        {std::string(engine.name), [&, filter = filters.back().get()](uint32_t count, uint64_t* verdicts) {
           filter->match(frames.data(), count, verdicts);
         }});
  }
  std::unique_ptr<DpdkFilter> jit = dpdk != nullptr ? make_dpdk_filter(*dpdk, pcap.program) : nullptr;
  if (jit) {
    all.push_back({"dpdk", [&](uint32_t count, uint64_t* verdicts) { jit->match(count, verdicts); }});
  }
  all.push_back({"only reading",
                 [&](uint32_t count, uint64_t* verdicts) { only_read(frames.data(), count, verdicts); }});
  std::vector<std::vector<double>> hot;
  std::vector<std::vector<double>> cold;
  for (int round = 0; round < rounds; round++) {
    hot.emplace_back();
    cold.emplace_back();
    for (const Contestant& one : all) hot.back().push_back(ns_a_packet(one.match, HOT_FRAMES));
    for (const Contestant& one : all) cold.back().push_back(ns_a_packet(one.match, MARKET_FRAMES));
  }
  printf("{\"name\":\"%s\",\"expression\":\"%s\",\"compile_us\":%.1f,\"contestants\":[", expression.name,
         expression.text, compile_us(expression.text));
  for (size_t i = 0; i < all.size(); i++) {
    printf("%s{\"name\":\"%s\",\"wrong\":%u,", i > 0 ? "," : "", all[i].name.c_str(),
           differences(all[i].match, all[0].match));
    print_figures("hot", hot, i);
    printf(",");
    print_figures("all", cold, i);
    printf("}");
  }
  printf("]}");
}

}  // namespace

int main(int count, char** arguments) {
  int rounds = count > 1 ? atoi(arguments[1]) : 7;
  MarketFrames memory(6, 10);
  std::vector<FilterFrame> frames;
  for (uint32_t i = 0; i < MARKET_FRAMES; i++)
    frames.push_back({memory.at(i), MARKET_FRAME_BYTES, MARKET_FRAME_BYTES});
  try {
    std::unique_ptr<DpdkFrames> dpdk = make_dpdk_frames(frames.data(), MARKET_FRAMES);
    printf("{\"dpdk\":%s,\"expressions\":[", dpdk ? "true" : "false");
    for (const Expression& expression : EXPRESSIONS) {
      if (&expression != EXPRESSIONS) printf(",");
      measure(expression, frames, dpdk.get(), rounds);
    }
    printf("]}\n");
  } catch (const Error& error) {
    fprintf(stderr, "%s: %s\n", error.operation.c_str(), error.detail.c_str());
    return 1;
  }
}
