#include "generate/replay.h"

#include <algorithm>
#include <cstring>

#include "core/clock.h"
#include "core/privileges.h"
#include "core/thread.h"

namespace carom {
namespace {

constexpr uint32_t MAX_TICKS = 512;  // of a frame; the largest has fewer
constexpr uint32_t STEP = 8;         // bytes to which frames are aligned in the ring

}  // namespace

Replay::Replay(const ReplayConfig& config, ReplayRecord& record, Ledger* ledger)
    : record_(record),
      ledger_(ledger),
      opened_ns_(Clock::get().now_ns()),
      slots_(SLOTS),
      bytes_(ROOM),
      ticks_(ledger == nullptr ? 0 : size_t{MAX_BATCH} * MAX_TICKS) {
  record_.player = std::make_unique<Player>(config.player);
  record_.files = &record_.player->files();
  bool known = true;
  uint64_t size = 0;
  for (const auto& file : *record_.files) {
    known = known && file->size != 0;
    size += file->size;
  }
  record_.size.set(known ? size : 0);
  // What it reads may be anybody's; the files are open.
  thread_ = start_confined("carom-reader", {}, [this, cpu = config.sending_cpu] {
    leave_cpu(cpu);
    try {
      read_all();
    } catch (...) {
      record_.refusal = std::make_unique<Error>(current_error("read the captures"));
    }
    ended_.store(true, std::memory_order_release);
  });
}

Replay::~Replay() {
  stop_.store(true, std::memory_order_relaxed);
  record_.player->cancel();
  thread_.join();
}

bool Replay::is_primed() noexcept {
  if (ended_.load(std::memory_order_acquire)) return true;
  uint64_t read = indices_.available_now();
  bool waited = Clock::get().now_ns() - opened_ns_ > NICE_START_NS;
  return read >= SLOTS / 2 || (read != 0 && waited);
}

bool Replay::is_good() noexcept {
  bool refused = ended_.load(std::memory_order_acquire) && record_.refusal != nullptr;
  return !refused && indices_.available_now() != 0;
}

void Replay::start(uint64_t start_ns, int64_t) noexcept {
  base_ns_ = start_ns;
  look();
}

// Finds out when the next one is planned, if it is there.
void Replay::look() noexcept {
  if (finished_) {
    next_ns_ = NONE_NS;
    return;
  }
  bool ended = ended_.load(std::memory_order_acquire);
  uint64_t kept = taken_ - indices_.consumed();  // taken, and not released yet
  if (indices_.available() != kept || indices_.available_now() != kept) {
    next_ns_ = base_ns_ + slots_[indices_.place(taken_)].offset_ns;
    starved_ = false;
  } else if (ended) {
    next_ns_ = NONE_NS;
    record_.is_taken = record_.is_read;
  } else {
    next_ns_ = WAIT_NS;
    if (!starved_) ++record_.starved;
    starved_ = true;
  }
}

Transmission Replay::take() noexcept {
  Transmission taken{};
  taken.planned_ns = next_ns_;
  taken.datagram = static_cast<uint32_t>(indices_.place(taken_));
  taken.last = true;
  taken.first = true;
  if (ledger_ != nullptr) {
    const Slot& slot = slots_[taken.datagram];
    const uint8_t* at = bytes_.data() + slot.at + slot.payload;
    FedTick* ticks = ticks_.data() + size_t{taken.datagram % MAX_BATCH} * MAX_TICKS;
    for (uint32_t i = 0; i < slot.ticks; i++) {
      ticks[i].tick = Tick::read(at + i * MARKET_DATA_SIZE);
      ticks[i].entry = ledger_->plan(ticks[i].tick, 0);
    }
  }
  taken_++;
  look();
  return taken;
}

uint32_t Replay::write(const Transmission& transmission, uint8_t* frame) const noexcept {
  const Slot& slot = slots_[transmission.datagram];
  memcpy(frame, bytes_.data() + slot.at, slot.length);
  if (record_.trail) record_.trail->add(frame, slot.length, transmission.planned_ns - slewed_ns_);
  return slot.length;
}

std::span<const FedTick> Replay::ticks(const Transmission& transmission) const noexcept {
  if (ledger_ == nullptr) return {};
  return {ticks_.data() + size_t{transmission.datagram % MAX_BATCH} * MAX_TICKS,
          slots_[transmission.datagram].ticks};
}

void Replay::count(const Transmission& transmission) noexcept {
  const Slot& slot = slots_[transmission.datagram];
  ++record_.frames;
  record_.bytes.add(slot.length);
  record_.position_ns.set(slot.offset_ns);
}

void Replay::release(const Transmission&) noexcept {
  byte_indices_.release(slots_[indices_.place(indices_.consumed())].taken);
  indices_.release(1);
}

void Replay::move(uint64_t by_ns) noexcept {
  base_ns_ += by_ns;
  if (next_ns_ < WAIT_NS) next_ns_ += by_ns;
}

void Replay::finish() noexcept {
  finished_ = true;
  next_ns_ = NONE_NS;
  stop_.store(true, std::memory_order_relaxed);
}

// The reading thread.
void Replay::read_all() {
  Player& player = *record_.player;
  PlayedFrame frame;
  uint64_t number = 0;
  auto note_pass = [&] {
    if (record_.pass_frames.get() == 0 && player.passes() != 0) record_.pass_frames.set(number);
  };
  while (!stop_.load(std::memory_order_relaxed) && player.next(frame)) {
    note_pass();
    if (!push(frame)) break;
    if (number++ % 1024 != 0) continue;
    uint64_t read = 0;
    for (const auto& file : *record_.files) read += file->read_bytes.get();
    record_.read_bytes.set(read);
    record_.passes.set(player.passes());
  }
  note_pass();
  record_.is_read = !stop_.load(std::memory_order_relaxed) && player.refusal() == nullptr;
  player.finish();
  if (player.refusal() != nullptr) record_.refusal = std::make_unique<Error>(*player.refusal());
  record_.passes.set(player.passes());
  record_.cuts = player.timeline().cuts();
  record_.crowded = player.timeline().crowded();
  record_.restamped = player.restamped();
  record_.end_ns.set(player.timeline().last_offset_ns());
}

// Waits for room. False: it is to stop.
bool Replay::push(const PlayedFrame& frame) noexcept {
  uint64_t at = byte_indices_.place(byte_indices_.produced());
  uint64_t gap = at + frame.length > ROOM ? ROOM - at : 0;  // a frame is in one piece
  uint64_t taken = gap + (frame.length + STEP - 1) / STEP * STEP;
  while (!indices_.has_room(1) || !byte_indices_.has_room(taken)) {
    if (!nap()) return false;
  }
  if (gap != 0) at = 0;
  slots_[indices_.place(indices_.produced())] = {
      frame.offset_ns, static_cast<uint32_t>(at), static_cast<uint32_t>(taken), frame.length, frame.payload,
      frame.ticks};
  memcpy(bytes_.data() + at, frame.data, frame.length);
  byte_indices_.publish(taken);
  indices_.publish(1);
  return true;
}

// False: it is to stop.
bool Replay::nap() const noexcept {
  const timespec nap{0, NAP_NS};
  nanosleep(&nap, nullptr);
  return !stop_.load(std::memory_order_relaxed);
}

}  // namespace carom
