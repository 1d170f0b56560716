// For libFuzzer: any bytes as a program and a frame. What Program takes is run by every engine, and by
// libpcap.
//   make -C native/test fuzz SECONDS=60
// Input: one byte of how many instructions, eight bytes for each of them, then the frame.
#include <sys/types.h>
// Needs the types above.
#include <pcap/pcap.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <vector>

#include "core/error.h"
#include "filter/filter.h"

namespace {

using namespace carom;

// libpcap leaves its scratch memory as it finds it: what is read must have been written.
bool reads_unwritten(const std::vector<bpf_insn>& program) {
  bool jumped = false;
  uint32_t written = 0;
  for (const bpf_insn& one : program) {
    if (BPF_CLASS(one.code) == BPF_JMP) jumped = true;
    bool stores = one.code == BPF_ST || one.code == BPF_STX;
    if (stores && !jumped && one.k < 16) written |= 1u << one.k;
    bool loads = one.code == (BPF_LD | BPF_MEM) || one.code == (BPF_LDX | BPF_MEM);
    if (loads && (one.k >= 16 || (written >> one.k & 1) == 0)) return true;
  }
  return false;
}

// A shift by a constant of more than 31 bits is 0 for carom, and anything for libpcap 1.10.
bool shifts_too_far(const bpf_insn& one) {
  bool shifts = one.code == (BPF_ALU | BPF_LSH | BPF_K) || one.code == (BPF_ALU | BPF_RSH | BPF_K);
  return shifts && one.k > 31;
}

void run(const std::vector<bpf_insn>& program, const uint8_t* data, size_t size) {
  // A copy of just its size, so that the sanitizer sees what lies behind it.
  std::unique_ptr<uint8_t[]> frame(new uint8_t[size]);
  memcpy(frame.get(), data, size);
  const FilterFrame one{frame.get(), static_cast<uint32_t>(size), static_cast<uint32_t>(size)};
  bpf_program reference{static_cast<u_int>(program.size()), const_cast<bpf_insn*>(program.data())};
  const pcap_pkthdr header{{0, 0}, one.captured, one.length};
  bool wanted = pcap_offline_filter(&reference, &header, one.data) != 0;
  for (const FilterEngine& engine : filter_engines()) {
    if (!engine.probe().empty()) continue;
    Filter filter(Program::from_bpf(program.data(), static_cast<uint32_t>(program.size())), {engine.name});
    uint64_t verdict = ~0ull;
    filter.match(&one, 1, &verdict);
    if (verdict != (wanted ? 1u : 0u)) {
      fprintf(stderr, "%s decides otherwise on\n%s", engine.name.data(), filter.program().listing().c_str());
      abort();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  size_t count = data[0];
  if (count == 0 || 1 + count * sizeof(bpf_insn) > size) return 0;
  std::vector<bpf_insn> program(count);
  memcpy(program.data(), data + 1, count * sizeof(bpf_insn));
  try {
    Program::from_bpf(program.data(), static_cast<uint32_t>(count));
  } catch (const Error&) {
    return 0;
  }
  for (const bpf_insn& one : program) {
    if (shifts_too_far(one)) return 0;
  }
  if (reads_unwritten(program)) return 0;
  run(program, data + 1 + count * sizeof(bpf_insn), size - 1 - count * sizeof(bpf_insn));
  return 0;
}

// Most changes of bytes make no program: this one keeps every instruction known and every jump inside.
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);
extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size, unsigned) {
  static constexpr uint16_t CODES[] = {
      0x00, 0x01, 0x20, 0x28, 0x30, 0x40, 0x48, 0x50, 0x60, 0x61, 0x80, 0x81, 0xb1, 0x02, 0x03, 0x04, 0x0c,
      0x14, 0x1c, 0x24, 0x2c, 0x34, 0x3c, 0x44, 0x4c, 0x54, 0x5c, 0x64, 0x6c, 0x74, 0x7c, 0x84, 0x94, 0x9c,
      0xa4, 0xac, 0x05, 0x15, 0x1d, 0x25, 0x2d, 0x35, 0x3d, 0x45, 0x4d, 0x06, 0x16, 0x07, 0x87};
  size = LLVMFuzzerMutate(data, size, max_size);
  if (size < 1 + sizeof(bpf_insn)) return size;
  size_t count = std::min<size_t>(std::max<size_t>(data[0], 1), (size - 1) / sizeof(bpf_insn));
  data[0] = static_cast<uint8_t>(count);
  for (size_t i = 0; i < count; i++) {
    bpf_insn one;
    uint8_t* at = data + 1 + i * sizeof one;
    memcpy(&one, at, sizeof one);
    size_t left = count - i - 1;
    one.code = left == 0 ? BPF_RET | BPF_A : CODES[one.code % std::size(CODES)];
    if (left > 0) one.jt = static_cast<u_char>(one.jt % left), one.jf = static_cast<u_char>(one.jf % left);
    if (one.code == (BPF_JMP | BPF_JA) && left > 0) one.k %= static_cast<uint32_t>(left);
    if (one.code == BPF_ST || one.code == BPF_STX || BPF_MODE(one.code) == BPF_MEM) one.k %= 16;
    memcpy(at, &one, sizeof one);
  }
  return size;
}
