#include "capture/writer.h"

#include <linux/capability.h>

#include <chrono>
#include <ctime>
#include <utility>

#include "core/privileges.h"

namespace carom {
namespace {

constexpr size_t PIECE_BYTES = 1 << 20;              // written at once
constexpr size_t BLOCK_BYTES_MAX = 1 << 19;          // a frame of 256 KiB, and all that is said of it
constexpr uint64_t FLUSH_NS = 200'000'000;           // nothing waits longer than that
constexpr uint32_t RECORDS_A_LOOK = 64;              // records between two looks at the clock
constexpr auto REST = std::chrono::milliseconds(2);  // while the ring is empty: nobody wakes this thread

uint64_t epoch_ns() noexcept {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace

CaptureWriter::CaptureWriter(const CaptureOutput& output, CaptureSource source)
    : output_(output),
      source_(std::move(source)),
      ring_(output.buffer_bytes),
      file_(output.files, given_up_),
      blocks_(PIECE_BYTES + BLOCK_BYTES_MAX),
      start_ns_(epoch_ns()) {
  // The next file of a series may be in a folder of somebody else's. As it takes no signals, a limit on a
  // file's size is an error (EFBIG), not SIGXFSZ.
  thread_ = start_confined("carom-writer", {CAP_DAC_OVERRIDE}, [this] { run(); });
}

CaptureWriter::~CaptureWriter() {
  finish([] { return true; });
  thread_.join();
}

std::string CaptureWriter::last_file() const { return file_.name(); }

void CaptureWriter::rest() noexcept { std::this_thread::sleep_for(REST); }

void CaptureWriter::run() noexcept {
  try {
    write_all();
  } catch (...) {
    failure_ = current_error("write " + file_.name());
    has_failed_.store(true, std::memory_order_relaxed);
    lost.add(std::exchange(pending_, 0));
    count_lost();
  }
  files.set(file_.count());
  ended_.store(true, std::memory_order_release);
}

// Until the end, whoever fills the ring is to find room in it.
void CaptureWriter::count_lost() noexcept {
  for (bool is_last = false; !is_last;) {
    is_last = finishing_.load(std::memory_order_acquire);
    for (; ring_.peek() != nullptr; ring_.release()) ++lost;
    if (!is_last) rest();
  }
}

void CaptureWriter::write_all() {
  begin_file();
  flush();
  for (uint32_t taken = 0;;) {
    bool is_last = finishing_.load(std::memory_order_acquire);  // before the look that finds nothing
    const CaptureRecord* record = ring_.peek();
    if (record != nullptr) {
      take(*record);
      ring_.release();
      if (++taken % RECORDS_A_LOOK != 0 && blocks_.bytes().size() < PIECE_BYTES && !is_full(0)) continue;
    } else if (is_last) {
      break;
    }
    uint64_t now_ns = epoch_ns();
    if (is_full(now_ns)) next_file();
    if (blocks_.bytes().size() >= PIECE_BYTES || now_ns - flushed_ns_ > FLUSH_NS) flush();
    if (record == nullptr) rest();
  }
  end_file();
}

void CaptureWriter::take(const CaptureRecord& record) {
  if (has_failed() || given_up_.load(std::memory_order_relaxed)) {
    ++lost;
    return;
  }
  comments_.clear();
  if (source_.comment) source_.comment(record, comments_);
  blocks_.packet({record.time_ns,
                  record.length,
                  {record.frame(), record.captured},
                  record.direction,
                  record.reception,
                  record.dropped,
                  comments_});
  pending_++;
  has_packets_ = true;
}

bool CaptureWriter::is_full(uint64_t now_ns) const noexcept {
  const CaptureFiles& limits = output_.files;
  // A file of headers alone, larger than that, would have another one behind it at once, and so on.
  if (limits.file_bytes != 0 && has_packets_ && file_.size() + blocks_.bytes().size() >= limits.file_bytes)
    return true;
  return limits.file_ns != 0 && now_ns > file_start_ns_ && now_ns - file_start_ns_ >= limits.file_ns;
}

void CaptureWriter::begin_file() {
  file_start_ns_ = epoch_ns();
  has_packets_ = false;
  files.set(file_.count());
  blocks_.section(output_.section);
  blocks_.interface(source_.interface);
}

// With the interface's statistics. A failure leaves some room for them: so when it is they for which there is
// none, they are put once more, with what that has cost.
void CaptureWriter::end_file() {
  if (!file_.is_open()) return;
  flush();
  for (int tries = 2; tries > 0 && file_.size() > 0; tries--) {
    PcapngStatistics statistics = source_.statistics(dropped());
    statistics.time_ns = statistics.end_ns = epoch_ns();
    statistics.start_ns = start_ns_;
    statistics.delivered = written.get();
    blocks_.statistics(statistics);
    if (flush()) break;
  }
  file_.close();
}

void CaptureWriter::next_file() {
  if (has_failed()) return;
  end_file();
  if (has_failed()) return;
  try {
    file_.next();
    begin_file();
  } catch (const Error& error) {
    failure_ = error;
    has_failed_.store(true, std::memory_order_relaxed);
  }
}

bool CaptureWriter::flush() {
  flushed_ns_ = epoch_ns();
  uint64_t packets = std::exchange(pending_, 0);
  if (blocks_.bytes().empty()) return true;
  uint64_t before = file_.size();
  bool is_written = file_.append(blocks_.bytes());
  blocks_.clear();
  // A failure may take some back that had been written.
  uint64_t gone = file_.lost() - lost_seen_;
  lost_seen_ = file_.lost();
  lost.add(gone);
  written.set(written.get() + packets - gone);
  bytes.set(bytes.get() + file_.size() - before);
  if (!is_written) fail(file_.failure());
  return is_written;
}

void CaptureWriter::fail(int error) {
  if (!failure_ && error != EPIPE && error != ECANCELED) {
    const char* hint = error == ENOSPC || error == EDQUOT ? "free space, or write to another disk"
                       : error == EFBIG ? "the files of this process are limited (ulimit -f): raise that"
                                        : "choose another path";
    failure_ = system_error("write " + file_.name(), error, hint);
  }
  has_failed_.store(true, std::memory_order_relaxed);
}

}  // namespace carom
