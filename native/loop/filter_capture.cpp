#include "loop/filter_capture.h"

#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
// Needs the types above.
#include <pcap/pcap.h>

#include "core/clock.h"
#include "core/error.h"
#include "filter/language.h"

namespace carom {
namespace {

constexpr size_t BATCH_FRAMES = 1024;
constexpr size_t BATCH_BYTES = 1 << 20;
constexpr size_t MEASURED_FRAMES = 65536;
constexpr size_t MEASURED_BYTES = 64 << 20;
constexpr uint64_t ROUND_NS = 20'000'000;  // a round takes at least so long
constexpr GivenMacs NO_MACS{};

// libpcap's interpreter, with which the engines are compared.
uint64_t interpret_with_pcap(const Program& program, std::span<const FilterFrame> frames,
                             uint64_t* verdicts) {
  std::vector<bpf_insn> narrow;
  for (const Instruction& one : program.instructions()) {
    narrow.push_back({one.code, static_cast<u_char>(one.yes), static_cast<u_char>(one.no), one.k});
  }
  uint64_t begin_ns = Clock::get().now_ns();
  uint64_t passes = 0;
  for (; Clock::get().now_ns() - begin_ns < ROUND_NS; passes++) {
    for (size_t i = 0; i < frames.size(); i++) {
      uint64_t is = bpf_filter(narrow.data(), frames[i].data, frames[i].length, frames[i].captured) != 0;
      verdicts[i / 64] = (i % 64 == 0 ? 0 : verdicts[i / 64]) | is << i % 64;
    }
  }
  return (Clock::get().now_ns() - begin_ns) / passes;
}

uint64_t match_again(const Filter& filter, std::span<const FilterFrame> frames, uint64_t* verdicts) {
  uint64_t begin_ns = Clock::get().now_ns();
  uint64_t passes = 0;
  for (; Clock::get().now_ns() - begin_ns < ROUND_NS; passes++) {
    filter.match(frames.data(), static_cast<uint32_t>(frames.size()), verdicts);
  }
  return (Clock::get().now_ns() - begin_ns) / passes;
}

uint64_t count_bits(std::span<const uint64_t> words) {
  uint64_t count = 0;
  for (uint64_t word : words) count += static_cast<uint64_t>(__builtin_popcountll(word));
  return count;
}

// What libpcap can run as well: jumps of eight bits, and no instruction of ours.
bool is_plain(const Program& program) {
  for (const Instruction& one : program.instructions()) {
    if (one.code == CODE_IN_SET || one.yes > UINT8_MAX || one.no > UINT8_MAX) return false;
  }
  return true;
}

// Opened to be written, it would be empty before it is read.
void refuse_same_file(const FilterCaptureConfig& config) {
  struct stat from {};
  struct stat to {};
  int found = config.path == "-" ? fstat(STDIN_FILENO, &from) : stat(config.path.c_str(), &from);
  if (found != 0 || config.write == "-" || stat(config.write.c_str(), &to) != 0) return;
  if (!S_ISREG(to.st_mode) || from.st_dev != to.st_dev || from.st_ino != to.st_ino) return;
  throw Error(ErrorCode::usage, "write " + config.write, "it is the capture that is read",
              "name another file");
}

}  // namespace

FilterCapture::FilterCapture(const FilterCaptureConfig& config)
    : config_(config),
      filter_(compile_filter(config.expression), {config.engine}),
      reader_(config.path),
      to_ethernet_(reader_, NO_MACS),
      blocks_(config.write.empty() ? 0 : 2 * BATCH_BYTES) {
  if (config.write.empty()) return;
  refuse_same_file(config);
  file_ = std::make_unique<CaptureFile>(CaptureFiles{config.write, 0, 0, 0}, cancelled_);
  blocks_.section({"", "", "carom", "frames of " + config.path});
  blocks_.interface({"", "", config.expression, "", "", "", 0, {}});
}

void FilterCapture::cancel() noexcept {
  cancelled_.store(true, std::memory_order_relaxed);
  reader_.cancel();
}

void FilterCapture::run() {
  CapturedFrame frame;
  const bool measures = config_.rounds != 0;
  while (!is_cancelled() && !reader_gone_ && reader_.next(frame)) {
    CapturedFrame ethernet;
    if (!to_ethernet_.convert(frame, ethernet)) {
      not_ethernet_++;
      continue;
    }
    frames_++;
    keep(ethernet);
    bool is_full = measures ? kept_.size() == MEASURED_FRAMES || bytes_.size() >= MEASURED_BYTES
                            : kept_.size() == BATCH_FRAMES || bytes_.size() >= BATCH_BYTES;
    if (!is_full) continue;
    decide();
    if (measures) break;
    bytes_.clear();
    kept_.clear();
  }
  if (auto error = to_ethernet_.useless(reader_)) throw *error;
  if (!kept_.empty() && !(measures && !batch_.empty())) decide();
  if (file_ && !blocks_.bytes().empty()) write(nullptr);
  if (measures && !kept_.empty()) measure();
}

std::vector<CaptureRemark> FilterCapture::remarks() const {
  std::vector<CaptureRemark> all = reader_.remarks();
  to_ethernet_.add_remarks(all);
  return all;
}

void FilterCapture::keep(const CapturedFrame& frame) {
  kept_.push_back({frame.time_ns, bytes_.size(), frame.captured, frame.length});
  bytes_.insert(bytes_.end(), frame.data, frame.data + frame.captured);
}

void FilterCapture::decide() {
  batch_.clear();
  for (const Kept& one : kept_) batch_.push_back({bytes_.data() + one.at, one.captured, one.length});
  std::vector<uint64_t> verdicts((batch_.size() + 63) / 64);
  filter_.match(batch_.data(), static_cast<uint32_t>(batch_.size()), verdicts.data());
  accepted_ += count_bits(verdicts);
  for (size_t i = 0; i < batch_.size(); i++) {
    if ((verdicts[i / 64] >> i % 64 & 1) != 0) accepted_bytes_ += batch_[i].length;
  }
  if (file_) write(verdicts.data());
}

// Appends the accepted frames of the batch, and what else is waiting.
void FilterCapture::write(const uint64_t* verdicts) {
  for (size_t i = 0; verdicts != nullptr && i < batch_.size(); i++) {
    if ((verdicts[i / 64] >> i % 64 & 1) == 0) continue;
    blocks_.packet({kept_[i].time_ns, batch_[i].length, {batch_[i].data, batch_[i].captured}});
    appended_++;
  }
  if (!file_->append(blocks_.bytes()) && file_->failure() != ECANCELED) {
    if (file_->failure() != EPIPE)
      throw system_error("write " + file_->name(), file_->failure(), "free space, or choose another path");
    reader_gone_ = true;
  }
  blocks_.clear();
}

void FilterCapture::measure() {
  measured_frames_ = batch_.size();
  std::vector<uint64_t> verdicts((batch_.size() + 63) / 64);
  std::vector<std::unique_ptr<Filter>> filters;
  if (is_plain(filter_.program())) figures_.push_back({"libpcap", "", 0, {}});
  const size_t first = figures_.size();
  for (const FilterEngine& engine : filter_engines()) {
    std::string reason = engine.probe();
    figures_.push_back({std::string(engine.name), reason, 0, {}});
    filters.push_back(reason.empty()
                          ? std::make_unique<Filter>(Program(filter_.program()), Filter::Options{engine.name})
                          : nullptr);
  }
  // In turn, so that what disturbs one disturbs all.
  for (uint32_t round = 0; round < config_.rounds && !is_cancelled(); round++) {
    for (size_t i = 0; i < figures_.size(); i++) {
      const Filter* filter = i < first ? nullptr : filters[i - first].get();
      if (i >= first && filter == nullptr) continue;
      uint64_t ns = filter == nullptr ? interpret_with_pcap(filter_.program(), batch_, verdicts.data())
                                      : match_again(*filter, batch_, verdicts.data());
      figures_[i].accepted = count_bits(verdicts);
      figures_[i].ns_a_packet.push_back(static_cast<double>(ns) / static_cast<double>(batch_.size()));
    }
  }
}

}  // namespace carom
