// What goes out next, of all streams and lines: ticks are drawn in the order of their planned times, packed
// into datagrams, and each datagram is queued on every line of its stream, with what is done to it there on
// purpose. Everything is planned before it is due, from seeds, so that a run can be had again; memory is
// bounded by what may be held back at a time, and allocated at once.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "core/counters.h"
#include "generate/ledger.h"
#include "generate/stream.h"
#include "generate/timestamps.h"

namespace carom {

// Of one line, the warm-up included: what became of its datagrams when their time came.
struct LineCounters {
  Counter datagrams;  // sent or lost, copies not counted
  Counter ticks;      // in them
  Counter frames;     // handed to the wire, copies included
  Counter lost;       // datagrams, on purpose, as all that follows
  Counter lost_ticks;
  Counter duplicated;  // frames: the copies
  Counter reordered;
  Counter corrupted;  // frames, copies included
};

struct FedDatagram {
  uint64_t number;  // in its stream
  uint64_t planned_ns;
  uint32_t count;  // ticks
  uint32_t size;   // of the frame, at least
  uint32_t flow;
  uint32_t lines_left;  // on which it has not been dealt with
  uint8_t answers;      // that the device may give to each of its ticks
  bool left;            // unharmed, on a line that the device listens to
};

// One frame at its time on one line, or what was lost there.
struct Transmission {
  uint64_t planned_ns;
  uint32_t line;
  uint32_t datagram;
  bool lost;
  bool corrupt;
  bool duplicated;
  bool reordered;
  bool copy;      // the duplicate of the one before
  bool last;      // of its datagram on its line
  bool first;     // the first one that the device can be expected to answer
  bool withheld;  // no such one comes: its ticks are accounted for here

  // Whether the ticks in it are counted as sent with this transmission.
  bool counts() const noexcept { return first || withheld; }
};

struct FeedConfig {
  uint64_t hold_ns;     // how long a tick may be held back: by packing, skew, delay, jitter and reordering
  double peak_pps;      // of all streams
  bool arbitrates;      // the device takes the first copy of a tick and ignores the others
  uint32_t thread = 0;  // that plans it
  uint32_t threads = 1;
  uint32_t ahead = 0;  // datagrams that are taken before they are due
};

class Feed {
 public:
  static constexpr uint64_t NONE_NS = UINT64_MAX;

  // Frames come from `link`; ticks are entered into the ledger, when there is one, as they are drawn.
  Feed(const std::vector<StreamConfig>& streams, const FeedConfig& config, const Link& link, uint8_t ttl,
       std::span<LineCounters> counters, Ledger* ledger);
  ~Feed();

  // How many datagrams may be on their way at a time.
  static uint32_t capacity(const FeedConfig& config) noexcept;

  void start(uint64_t start_ns, int64_t epoch_offset_ns) noexcept;

  // The next one's planned time; NONE_NS when nothing is left to send.
  uint64_t planned_ns() const noexcept { return next_.planned_ns; }

  // Takes the next one. What it points to stays until it is released.
  Transmission take() noexcept;

  uint32_t write(const Transmission& transmission, uint8_t* frame) const noexcept;
  uint32_t stream(const Transmission& transmission) const noexcept;  // whose it is
  std::span<const FedTick> ticks(const Transmission& transmission) const noexcept {
    return {ticks_.data() + size_t{transmission.datagram} * most_, datagrams_[transmission.datagram].count};
  }
  uint8_t answers(const Transmission& transmission) const noexcept {
    return datagrams_[transmission.datagram].answers;
  }

  // It was sent, or its time came and it was lost on purpose.
  void count(const Transmission& transmission) noexcept;
  void release(const Transmission& transmission) noexcept;

  // Everything that is still to go is planned so much later; modulo 2^64. Ticks that were drawn already keep
  // their timestamps.
  void move(uint64_t by_ns) noexcept;

  // The same, but by the clock of which timestamps are nothing moves: they are as without it.
  void slew(uint64_t by_ns) noexcept {
    move(by_ns);
    epoch_offset_ns_ -= static_cast<int64_t>(by_ns);
  }

  // Ticks that are not drawn yet come at another pace (Schedule). Returns from when on.
  uint64_t change_pace(uint64_t now_ns, uint64_t to, uint64_t of) noexcept;

  // From here on only what was begun: copies and other lines of datagrams whose ticks have been counted.
  void finish() noexcept;
  bool finishing() const noexcept { return finishing_; }

 private:
  struct Line;
  struct Stream;
  struct Queued;

  void find_next() noexcept;
  void act(Stream& stream) noexcept;
  void draw(Stream& stream) noexcept;
  void close(Stream& stream, uint64_t planned_ns) noexcept;
  void look(Line& line) noexcept;
  Transmission take_from(Line& line) noexcept;

  std::vector<Stream> streams_;
  std::vector<Line> lines_;
  std::vector<FedDatagram> datagrams_;
  std::vector<FedTick> ticks_;  // of each datagram as many as any may have
  std::vector<uint32_t> free_;  // datagrams
  std::span<LineCounters> counters_;
  Ledger* ledger_;
  uint32_t most_ = 1;
  bool arbitrates_;
  bool finishing_ = false;
  uint64_t never_ns_ = 0;
  Timestamps timestamps_;
  int64_t epoch_offset_ns_ = 0;
  Transmission next_{};
};

}  // namespace carom
