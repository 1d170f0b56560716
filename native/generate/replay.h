// A replay as a source of what goes out next, with the public methods of Feed: a thread of its own reads the
// captures ahead into a ring of frames, so that the sending thread never waits for a disk. Memory is taken at
// once, and does not depend on the size of the captures.
#pragma once

#include <atomic>
#include <ctime>
#include <memory>
#include <span>
#include <thread>
#include <vector>

#include "capture/player.h"
#include "core/spsc_ring.h"
#include "core/trail.h"
#include "generate/feed.h"

namespace carom {

struct ReplayConfig {
  PlayerConfig player;
  int sending_cpu = -1;  // which the reading thread leaves alone where it can; -1: none
};

// What is found, for who reads it while it goes on; all but the counters after the end.
struct ReplayRecord {
  Counter frames;  // handed to the wire
  Counter bytes;
  Counter position_ns;    // planned time of the last one, from the first one
  Counter end_ns;         // of the last one of all, once that is known
  Counter starved;        // how often nothing was ready, although there was more to read
  Counter read_bytes;     // of all files, in this pass
  Counter size;           // of all files; 0: not known
  Counter passes;         // read to their end
  Counter pass_frames;    // of one pass, once the first one was read
  bool is_read = false;   // all passes, to their end
  bool is_taken = false;  // and no frame is left that was not sent, or had its time, and could not be
  std::vector<std::unique_ptr<PlayedFile>> const* files = nullptr;
  uint64_t cuts = 0;
  uint64_t crowded = 0;
  uint64_t restamped = 0;
  std::unique_ptr<Error> refusal;
  std::unique_ptr<Player> player;  // kept, as the files are its
  std::shared_ptr<Trail> trail =
      nullptr;  // where the receiving end finds what to expect; set before the start
};

class Replay {
 public:
  static constexpr uint64_t NONE_NS = UINT64_MAX;

  // Ticks are entered into the ledger, when there is one, as they are taken. Throws Error.
  Replay(const ReplayConfig& config, ReplayRecord& record, Ledger* ledger);
  ~Replay();
  Replay(const Replay&) = delete;
  Replay& operator=(const Replay&) = delete;

  // Waits until enough is read for a start. False: there is nothing to send, or it must not be; or `stopped`.
  template <class Stopped>
  bool prepare(Stopped stopped) noexcept {
    while (!is_primed()) {
      if (stopped()) return false;
      const timespec nap{0, NAP_NS};
      nanosleep(&nap, nullptr);
    }
    return is_good();
  }

  void start(uint64_t start_ns, int64_t epoch_offset_ns) noexcept;

  // The next one's planned time; NONE_NS when nothing is left to send. While waits(), it is a time that never
  // comes.
  uint64_t planned_ns() const noexcept { return next_ns_; }

  // Whether the next one is not read yet. To be asked before planned_ns(): it looks again.
  bool waits() noexcept {
    if (next_ns_ == WAIT_NS) [[unlikely]]
      look();
    return next_ns_ == WAIT_NS;
  }

  // Takes the next one. What it points to stays until it is released; they are released in their order.
  Transmission take() noexcept;

  uint32_t write(const Transmission& transmission, uint8_t* frame) const noexcept;
  uint32_t stream(const Transmission&) const noexcept { return 0; }
  std::span<const FedTick> ticks(const Transmission& transmission) const noexcept;
  uint8_t answers(const Transmission&) const noexcept { return 1; }

  // Frames are counted, or their ticks where answers to them are judged.
  uint32_t weight(const Transmission& transmission) const noexcept {
    return ledger_ == nullptr ? 1 : slots_[transmission.datagram].ticks;
  }

  void count(const Transmission& transmission) noexcept;
  void release(const Transmission& transmission) noexcept;
  void move(uint64_t by_ns) noexcept;
  // The same, but what the receiving end is told to expect is as without it.
  void slew(uint64_t by_ns) noexcept {
    move(by_ns);
    slewed_ns_ += by_ns;
  }
  void finish() noexcept;
  bool finishing() const noexcept { return next_ns_ == NONE_NS; }

 private:
  static constexpr uint64_t WAIT_NS = UINT64_MAX - 1;
  static constexpr long NAP_NS = 500'000;
  static constexpr uint32_t SLOTS = 1 << 16;              // frames, a power of two
  static constexpr uint64_t ROOM = 16 << 20;              // bytes of them, a power of two
  static constexpr uint64_t NICE_START_NS = 200'000'000;  // for a pipe that gives little

  struct Slot {
    uint64_t offset_ns;
    uint32_t at;     // in the ring of bytes
    uint32_t taken;  // of that ring, with what is left empty before the frame: free again when it is released
    uint32_t length;
    uint32_t payload;
    uint32_t ticks;
  };

  bool is_primed() noexcept;
  bool is_good() noexcept;
  void look() noexcept;
  void read_all();
  bool push(const PlayedFrame& frame) noexcept;
  bool nap() const noexcept;

  ReplayRecord& record_;
  Ledger* ledger_;
  uint64_t base_ns_ = 0;  // when the first one is planned
  uint64_t next_ns_ = WAIT_NS;
  uint64_t slewed_ns_ = 0;
  bool finished_ = false;
  bool starved_ = false;
  uint64_t taken_ = 0;
  uint64_t opened_ns_;
  std::vector<Slot> slots_;
  std::vector<uint8_t> bytes_;
  std::vector<FedTick> ticks_;  // of the frames that are taken, MAX_TICKS for each
  std::atomic<bool> stop_{false};
  std::atomic<bool> ended_{false};  // after the last one was written
  SpscIndices indices_{SLOTS};      // of slots; one that is taken is not released at once
  SpscIndices byte_indices_{ROOM};  // of bytes, in step with them
  std::thread thread_;
};

}  // namespace carom
