#include "capture/file.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <ctime>
#include <utility>

#include "capture/pcapng.h"

namespace carom {
namespace {

constexpr uint64_t ROOM =
    8192;  // given back on a full disk: at least one of its own blocks, for the last one
constexpr int PIPE_POLL_MS = 50;
constexpr mode_t OWNER_ONLY = 0600;

bool is_packet(const uint8_t* block) noexcept { return pcapng_word(block) == PCAPNG_PACKET; }

uint64_t count_packets(std::span<const uint8_t> blocks) noexcept {
  uint64_t count = 0;
  for (size_t at = 0; at < blocks.size(); at += pcapng_word(blocks.data() + at + 4))
    count += is_packet(blocks.data() + at);
  return count;
}

// The beginning of a block at least `wanted` bytes before `end`, which is the end of one; further back there
// may be no packet, or nothing.
size_t step_back(std::span<const uint8_t> blocks, size_t end, uint64_t wanted) noexcept {
  size_t at = end;
  while (at > 0 && end - at < wanted) {
    size_t begin = at - pcapng_word(blocks.data() + at - 4);
    if (!is_packet(blocks.data() + begin)) break;
    at = begin;
  }
  return at;
}

Error open_error(const std::string& operation, int number) {
  if (number == EISDIR) return Error(ErrorCode::usage, operation, "it is a folder", "name a file in it");
  return system_error(operation, number,
                      number == ENXIO ? "start the pipe's reader first" : "choose another path");
}

}  // namespace

std::string series_name(const std::string& path, uint32_t number, time_t time) {
  size_t slash = path.find_last_of('/');
  size_t dot = path.find_last_of('.');
  bool has_suffix = dot != std::string::npos && dot != 0 && (slash == std::string::npos || dot > slash + 1);
  if (!has_suffix) dot = path.size();
  tm local{};
  localtime_r(&time, &local);
  char digits[64];
  size_t size = static_cast<size_t>(snprintf(digits, sizeof digits, "_%05u_", number));
  size += strftime(digits + size, sizeof digits - size, "%Y%m%d%H%M%S", &local);
  return path.substr(0, dot) + std::string(digits, size) + path.substr(dot);
}

CaptureFile::CaptureFile(const CaptureFiles& files, const std::atomic<bool>& given_up)
    : files_(files), given_up_(given_up) {
  open();
}

void CaptureFile::open() {
  std::string name = files_.is_series() ? series_name(files_.path, number_ + 1, time(nullptr)) : files_.path;
  const std::string operation = "write " + (name == "-" ? "to standard output" : name);
  // Without blocking: on a pipe that nobody empties the writer still has to hear that it is to end.
  Fd fd(name == "-" ? fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3)
                    : ::open(name.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NONBLOCK | O_NOCTTY,
                             OWNER_ONLY));
  if (!fd.open()) throw open_error(operation, errno);
  struct stat found {};
  if (fstat(fd.get(), &found) != 0) throw system_error(operation, errno);
  is_regular_ = S_ISREG(found.st_mode) && name != "-";
  // Others may have standard output as well, and want to block: Node does the same to it, and ends that at
  // its end.
  if (S_ISFIFO(found.st_mode) || S_ISSOCK(found.st_mode))
    fcntl(fd.get(), F_SETFL, fcntl(fd.get(), F_GETFL) | O_NONBLOCK);
  // What was there before may have been open to others; packets are nobody else's business.
  if (is_regular_ && fchmod(fd.get(), OWNER_ONLY) != 0 && errno != EPERM)
    throw system_error(operation + " (fchmod)", errno);
  fd_ = std::move(fd);
  name_ = std::move(name);
  number_++;
  size_ = 0;
  tail_ = newer_ = {};
}

void CaptureFile::next() {
  kept_.push_back(name_);
  if (files_.keep != 0 && kept_.size() >= files_.keep) {
    // Gone already is as good as removed; one that can't be removed is left to its owner.
    unlink(kept_.front().c_str());
    kept_.pop_front();
  }
  open();
}

bool CaptureFile::append(std::span<const uint8_t> blocks) noexcept {
  failure_ = 0;
  size_t done = 0;
  while (done < blocks.size()) {
    ssize_t taken = write(fd_.get(), blocks.data() + done, blocks.size() - done);
    if (taken > 0) {
      done += static_cast<size_t>(taken);
      continue;
    }
    int error = taken == 0 ? EIO : errno;
    if (error == EINTR) continue;
    if (error == EAGAIN && wait_for_room()) continue;
    fail(error == EAGAIN ? ECANCELED : error, blocks, done);
    return false;
  }
  remember_tail(blocks);
  size_ += blocks.size();
  return true;
}

// False when it was given up meanwhile.
bool CaptureFile::wait_for_room() noexcept {
  pollfd wanted{fd_.get(), POLLOUT, 0};
  while (!given_up_.load(std::memory_order_relaxed)) {
    if (poll(&wanted, 1, PIPE_POLL_MS) != 0) return true;  // room, or an error that write() tells
  }
  return false;
}

// `done` bytes of the blocks were written. Keeps whole blocks, and gives back some room.
void CaptureFile::fail(int error, std::span<const uint8_t> blocks, size_t done) noexcept {
  failure_ = error;
  size_t whole = 0;
  while (whole + PCAPNG_LEAST <= done) {
    size_t next = whole + pcapng_word(blocks.data() + whole + 4);
    if (next > done) break;
    whole = next;
  }
  size_t kept = is_regular_ ? step_back(blocks, whole, ROOM) : whole;
  lost_ += count_packets(blocks.subspan(kept));
  uint64_t end = size_ + kept;
  if (is_regular_ && kept == 0 && tail_.offset != 0 && whole < ROOM) {
    end = tail_.offset;
    lost_ += tail_.packets;
  }
  size_ = end;
  tail_ = newer_ = {};
  // When even that fails the file ends in the middle of a block, which its readers bear.
  if (is_regular_ && ftruncate(fd_.get(), static_cast<off_t>(end)) == 0)
    lseek(fd_.get(), static_cast<off_t>(end), SEEK_SET);
}

// Small pieces alone would not make room, so an older mark stays until a newer one is far enough back.
void CaptureFile::remember_tail(std::span<const uint8_t> blocks) noexcept {
  size_t at = step_back(blocks, blocks.size(), ROOM);
  Tail mark{size_ + at, count_packets(blocks.subspan(at))};
  if (blocks.size() - at >= ROOM) {
    tail_ = mark;
    newer_ = {};
    return;
  }
  uint64_t packets = count_packets(blocks);
  tail_.packets += packets;
  newer_.packets += packets;
  if (newer_.offset == 0) newer_ = mark;
  if (tail_.offset != 0 && size_ + blocks.size() - newer_.offset < ROOM) return;
  tail_ = std::exchange(newer_, Tail{});
}

}  // namespace carom
