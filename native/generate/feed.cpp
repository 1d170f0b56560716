#include "generate/feed.h"

#include <algorithm>
#include <bit>

namespace carom {
namespace {

constexpr uint32_t NONE = UINT32_MAX;
constexpr uint32_t SMALLEST = 4096;  // datagrams on their way
constexpr uint32_t HELD_BACK = 256;  // of a line at a time, to be overtaken: four times the mean of the most
                                     // that can be asked for, half of them by 64
constexpr double MARGIN = 2;         // the peak of a feed is what 50 ms hardly ever exceed
constexpr double ALWAYS = 0x1p64;

// Each kind of impairment of each line has a stream of chance of its own: one more changes none of the
// others.
enum class Kind : uint64_t { loss = 1, duplicate, reorder, jitter, corrupt, noise };

uint64_t seed_of(uint64_t seed, uint64_t line, Kind kind) noexcept {
  return seed ^ (0x696d'7061'6972ull + (line << 56) + (static_cast<uint64_t>(kind) << 48));
}

class Chance {
 public:
  Chance(double ratio, uint64_t seed) noexcept
      : random_(seed),
        on_(ratio > 0),
        always_(ratio >= 1),
        below_(always_ ? 0 : static_cast<uint64_t>(ratio * ALWAYS)) {}

  bool draw() noexcept { return on_ && (random_.next() < below_ || always_); }

 private:
  Random random_;
  bool on_;
  bool always_;
  uint64_t below_;
};

enum Fate : uint8_t { LOST = 1, DUPLICATED = 2, CORRUPT = 4, REORDERED = 8, WITHHELD = 16 };

// Changes the chosen bytes so that the checksum, which stays, is wrong for them.
void corrupt_bytes(uint8_t* bytes, uint32_t length, Random random) noexcept {
  uint16_t before = checksum_fold(checksum_add(0, bytes, length));
  for (uint32_t i = 0; i < length; i++) bytes[i] ^= static_cast<uint8_t>(1 + random.below(255));
  uint16_t after = checksum_fold(checksum_add(0, bytes, length));
  // 0 and 0xffff are one number in this arithmetic. One more bit in the first byte makes a difference to
  // both.
  if (after % 0xffff == before % 0xffff) bytes[0] ^= 1;
}

}  // namespace

struct Feed::Queued {
  uint64_t planned_ns;
  uint32_t datagram;
  uint8_t fate;
};

// A line of one stream: what waits for its time, in the order of departure.
struct Feed::Line {
  Line(const LineConfig& config, uint32_t stream, uint64_t seed, uint64_t index, uint32_t capacity)
      : config(config),
        stream(stream),
        loss(config.impairment.loss, seed_of(seed, index, Kind::loss)),
        duplicate(config.impairment.duplicate, seed_of(seed, index, Kind::duplicate)),
        reorder(config.impairment.reorder, seed_of(seed, index, Kind::reorder)),
        corrupt(config.impairment.corrupt, seed_of(seed, index, Kind::corrupt)),
        jitter(seed_of(seed, index, Kind::jitter)),
        noise_seed(seed_of(seed, index, Kind::noise)),
        queue(capacity) {}

  bool empty() const noexcept { return head == tail; }
  const Queued& front() const noexcept { return queue[head & (queue.size() - 1)]; }
  void push(const Queued& queued) noexcept { queue[tail++ & (queue.size() - 1)] = queued; }

  uint8_t fate() noexcept {
    bool is_lost = loss.draw();
    bool is_duplicated = duplicate.draw();
    bool is_corrupt = corrupt.draw();
    bool is_reordered = reorder.draw();
    if (is_lost) return LOST;
    return static_cast<uint8_t>((is_duplicated ? DUPLICATED : 0) | (is_corrupt ? CORRUPT : 0) |
                                (is_reordered ? REORDERED : 0));
  }

  // Queues a datagram, and behind it those held back that it was the last to overtake.
  void enqueue(uint32_t datagram, uint64_t planned_ns, uint8_t fate) noexcept {
    const Impairment& done = config.impairment;
    planned_ns += config.skew_ns + done.delay_ns;
    if (done.jitter_ns != 0) {
      planned_ns +=
          static_cast<uint64_t>((static_cast<unsigned __int128>(jitter.next()) * (done.jitter_ns + 1)) >> 64);
    }
    last_ns = std::max(last_ns, planned_ns);
    if ((fate & REORDERED) != 0) {
      if (held_count < HELD_BACK) {
        held[held_count++] = {{0, datagram, fate}, done.reorder_by};
        return;
      }
      fate &= static_cast<uint8_t>(~REORDERED);
    }
    push({last_ns, datagram, fate});
    if ((fate & LOST) != 0) return;
    uint32_t kept = 0;
    for (uint32_t i = 0; i < held_count; i++) {
      if (--held[i].left == 0) {
        push({last_ns, held[i].queued.datagram, held[i].queued.fate});
      } else {
        held[kept++] = held[i];
      }
    }
    held_count = kept;
  }

  struct Held {
    Queued queued;
    uint32_t left;  // that have to overtake it
  };

  const LineConfig& config;
  uint32_t stream;
  Chance loss;
  Chance duplicate;
  Chance reorder;
  Chance corrupt;
  Random jitter;
  uint64_t noise_seed;
  std::vector<FrameTemplate> templates;  // of each flow
  std::vector<Queued> queue;             // a ring; a power of two
  uint32_t head = 0;
  uint32_t tail = 0;
  uint64_t last_ns = 0;
  std::array<Held, HELD_BACK> held;
  uint32_t held_count = 0;
  bool copy_due = false;  // the front was sent, and is to be sent once more
};

struct Feed::Stream {
  Stream(const StreamConfig& config, uint32_t index)
      : config(config), index(index), source(config.ticks), schedule(config.schedule) {}

  // When something is to be done for it: the next tick comes, or the time of a datagram is over.
  uint64_t time_ns() const noexcept {
    uint64_t planned_ns = schedule.planned_ns();
    return open != NONE && deadline_ns < planned_ns ? deadline_ns : planned_ns;
  }

  const StreamConfig& config;
  uint32_t index;
  TickSource source;
  Schedule schedule;
  uint32_t first_line = 0;
  uint32_t line_count = 0;
  uint32_t open = NONE;  // the datagram that takes ticks
  uint64_t deadline_ns = 0;
  uint64_t number = 0;  // of the next datagram
};

uint32_t Feed::capacity(const FeedConfig& config) noexcept {
  double wanted = MARGIN * config.peak_pps * static_cast<double>(config.hold_ns) / 1e9;
  uint64_t capped = static_cast<uint64_t>(std::min(wanted, 0x1p26));
  return static_cast<uint32_t>(std::bit_ceil(std::max<uint64_t>(capped, SMALLEST) + config.ahead));
}

Feed::Feed(const std::vector<StreamConfig>& streams, const FeedConfig& config, const Link& link, uint8_t ttl,
           std::span<LineCounters> counters, Ledger* ledger)
    : datagrams_(capacity(config)),
      counters_(counters),
      ledger_(ledger),
      arbitrates_(config.arbitrates),
      timestamps_(config.thread, config.threads) {
  for (const StreamConfig& stream : streams) {
    most_ = std::max(most_, stream.most);
    uint32_t number = static_cast<uint32_t>(streams_.size());
    Stream& made = streams_.emplace_back(stream, number);
    made.first_line = static_cast<uint32_t>(lines_.size());
    made.line_count = static_cast<uint32_t>(stream.lines.size());
    for (const LineConfig& line : stream.lines) {
      Line& queue = lines_.emplace_back(line, number, stream.ticks.seed, lines_.size() - made.first_line,
                                        capacity(config));
      Endpoint from{};
      memcpy(from.mac, link.mac, 6);
      memcpy(from.address, line.ipv6 ? link.address6 : link.address4, line.ipv6 ? 16 : 4);
      for (uint32_t flow = 0; flow < stream.flows; flow++) {
        from.port = static_cast<uint16_t>(stream.source_port + flow);
        queue.templates.emplace_back(from, line.destination, line.ipv6, line.vlan, ttl, line.dscp, 0);
      }
    }
  }
  ticks_.resize(datagrams_.size() * most_);
  for (uint32_t i = static_cast<uint32_t>(datagrams_.size()); i > 0; i--) free_.push_back(i - 1);
}

Feed::~Feed() = default;

void Feed::start(uint64_t start_ns, int64_t epoch_offset_ns) noexcept {
  epoch_offset_ns_ = epoch_offset_ns;
  never_ns_ = start_ns + NEVER_NS;
  for (Stream& stream : streams_) stream.schedule.start(start_ns);
  find_next();
}

// Draws ticks until the earliest of what is queued can't be preceded by anything that is still to be drawn.
void Feed::find_next() noexcept {
  while (true) {
    Line* earliest = nullptr;
    for (Line& line : lines_) {
      if (line.empty()) continue;
      if (earliest == nullptr || line.front().planned_ns < earliest->front().planned_ns) earliest = &line;
    }
    Stream* drawing = nullptr;
    for (Stream& stream : streams_) {
      if (drawing == nullptr || stream.time_ns() < drawing->time_ns()) drawing = &stream;
    }
    bool draws = !finishing_ && !free_.empty() && drawing->time_ns() < never_ns_;
    if (draws && (earliest == nullptr || drawing->time_ns() <= earliest->front().planned_ns)) {
      act(*drawing);
      continue;
    }
    if (earliest == nullptr) {
      next_ = {};
      next_.planned_ns = NONE_NS;
      return;
    }
    look(*earliest);
    if (!finishing_ || !next_.counts()) return;
    release(take_from(*earliest));
  }
}

void Feed::act(Stream& stream) noexcept {
  if (stream.open != NONE && stream.deadline_ns < stream.schedule.planned_ns()) {
    close(stream, stream.deadline_ns);
  } else {
    draw(stream);
  }
}

void Feed::draw(Stream& stream) noexcept {
  uint64_t planned_ns = stream.schedule.planned_ns();
  stream.schedule.advance();
  Tick tick = stream.source.next();
  // The planned time since the epoch, made unique where two ticks are planned for the same ns.
  tick.timestamp = timestamps_.next(planned_ns + static_cast<uint64_t>(epoch_offset_ns_));
  if (stream.open == NONE) {
    stream.open = free_.back();
    free_.pop_back();
    stream.deadline_ns = planned_ns + stream.config.within_ns;
    FedDatagram& datagram = datagrams_[stream.open];
    datagram = {};
    datagram.number = stream.number++;
    datagram.flow = stream.config.flows == 1 ? 0 : stream.source.symbol() % stream.config.flows;
    const std::vector<uint32_t>& sizes = stream.config.sizes;
    if (!sizes.empty()) datagram.size = sizes[datagram.number % sizes.size()];
  }
  FedDatagram& datagram = datagrams_[stream.open];
  ticks_[size_t{stream.open} * most_ + datagram.count++] = {
      tick, ledger_ == nullptr ? 0 : ledger_->plan(tick, stream.index)};
  if (datagram.count == stream.config.most) close(stream, planned_ns);
}

// What becomes of the datagram on each line is decided here, for all of them at once: a tick that no line
// brings unharmed must not be waited for.
void Feed::close(Stream& stream, uint64_t planned_ns) noexcept {
  uint32_t index = stream.open;
  stream.open = NONE;
  FedDatagram& datagram = datagrams_[index];
  datagram.planned_ns = planned_ns;
  datagram.lines_left = stream.line_count;
  std::span<Line> lines(lines_.data() + stream.first_line, stream.line_count);
  std::array<uint8_t, 8> fates{};
  uint32_t unharmed = 0;
  uint32_t judged = 0;
  for (uint32_t i = 0; i < lines.size(); i++) {
    fates[i] = lines[i].fate();
    if (!lines[i].config.judged) continue;
    judged = i;
    if ((fates[i] & (LOST | CORRUPT)) == 0) unharmed += (fates[i] & DUPLICATED) != 0 ? 2 : 1;
  }
  if (unharmed == 0) fates[judged] |= WITHHELD;
  datagram.answers = static_cast<uint8_t>(arbitrates_ ? std::min(unharmed, 1u) : unharmed);
  for (uint32_t i = 0; i < lines.size(); i++) lines[i].enqueue(index, planned_ns, fates[i]);
}

void Feed::look(Line& line) noexcept {
  const Queued& queued = line.front();
  uint8_t fate = queued.fate;
  next_.planned_ns = queued.planned_ns;
  next_.line = static_cast<uint32_t>(&line - lines_.data());
  next_.datagram = queued.datagram;
  next_.lost = (fate & LOST) != 0;
  next_.corrupt = (fate & CORRUPT) != 0;
  next_.duplicated = (fate & DUPLICATED) != 0;
  next_.reordered = (fate & REORDERED) != 0;
  next_.copy = line.copy_due;
  next_.withheld = (fate & WITHHELD) != 0 && !line.copy_due;
  next_.first = line.config.judged && (fate & (LOST | CORRUPT)) == 0 && !datagrams_[queued.datagram].left;
}

Transmission Feed::take_from(Line& line) noexcept {
  Transmission taken = next_;
  if (taken.first) datagrams_[taken.datagram].left = true;
  bool is_dropped = finishing_ && taken.counts();
  taken.last = is_dropped || taken.copy || !taken.duplicated;
  line.copy_due = !taken.last;
  if (taken.last) line.head++;
  return taken;
}

Transmission Feed::take() noexcept {
  Transmission taken = take_from(lines_[next_.line]);
  find_next();
  return taken;
}

uint32_t Feed::stream(const Transmission& transmission) const noexcept {
  return lines_[transmission.line].stream;
}

uint32_t Feed::write(const Transmission& transmission, uint8_t* frame) const noexcept {
  const Line& line = lines_[transmission.line];
  const FedDatagram& datagram = datagrams_[transmission.datagram];
  const FrameTemplate& headers = line.templates[datagram.flow];
  uint8_t* payload = headers.begin(frame);
  uint8_t* at = payload;
  for (const FedTick& fed : ticks(transmission)) {
    fed.tick.write(at);
    at += MARKET_DATA_SIZE;
  }
  uint32_t length = headers.finish(frame, static_cast<uint32_t>(at - payload));
  if (transmission.corrupt) {
    const Impairment& done = line.config.impairment;
    corrupt_bytes(payload + done.corrupt_from, done.corrupt_to - done.corrupt_from + 1,
                  Random(line.noise_seed + datagram.number));
  }
  return pad_frame(frame, length, datagram.size);
}

void Feed::count(const Transmission& transmission) noexcept {
  LineCounters& counters = counters_[transmission.line];
  if (!transmission.lost) ++counters.frames;
  if (transmission.corrupt) ++counters.corrupted;
  if (transmission.copy) {
    ++counters.duplicated;
    return;
  }
  uint32_t ticks = datagrams_[transmission.datagram].count;
  ++counters.datagrams;
  counters.ticks.add(ticks);
  if (transmission.lost) {
    ++counters.lost;
    counters.lost_ticks.add(ticks);
  }
  if (transmission.reordered) ++counters.reordered;
}

void Feed::release(const Transmission& transmission) noexcept {
  if (transmission.last && --datagrams_[transmission.datagram].lines_left == 0)
    free_.push_back(transmission.datagram);
}

void Feed::move(uint64_t by_ns) noexcept {
  never_ns_ += by_ns;
  for (Stream& stream : streams_) {
    stream.schedule.move(by_ns);
    stream.deadline_ns += by_ns;
  }
  for (Line& line : lines_) {
    // Before its first datagram there is nothing to move: backwards it would become the end of time.
    if (line.last_ns != 0) line.last_ns += by_ns;
    for (uint32_t at = line.head; at != line.tail; at++)
      line.queue[at & (line.queue.size() - 1)].planned_ns += by_ns;
  }
  if (next_.planned_ns != NONE_NS) next_.planned_ns += by_ns;
}

uint64_t Feed::change_pace(uint64_t now_ns, uint64_t to, uint64_t of) noexcept {
  uint64_t from_ns = now_ns;
  for (Stream& stream : streams_) from_ns = std::min(from_ns, stream.schedule.change_pace(now_ns, to, of));
  return from_ns;
}

void Feed::finish() noexcept {
  if (finishing_) return;
  finishing_ = true;
  find_next();
}

}  // namespace carom
