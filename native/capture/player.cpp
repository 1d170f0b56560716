#include "capture/player.h"

#include <algorithm>
#include <cstring>

#include "capture/checksums.h"
#include "order/native_order.h"

namespace carom {
namespace {

constexpr uint32_t ROOM =
    CAPTURED_MAX + ETHERNET_SIZE + VLAN_SIZE;  // the largest record, and what is added to it

std::string seconds_text(uint64_t ns) {
  char text[32];
  snprintf(text, sizeof text, "%.9g s", static_cast<double>(ns) / 1e9);
  return text;
}

}  // namespace

// A file, and its next frame.
struct Player::File {
  File(const std::string& path, const GivenMacs& macs, PlayedFile& record)
      : record(record),
        reader(std::make_unique<CaptureReader>(path)),
        cancellation(reader->cancellation()),
        to_ethernet(*reader, macs) {
    record.path = path;
    record.format = CAPTURE_FORMAT_NAMES[static_cast<size_t>(reader->format())];
    record.compression = COMPRESSION_NAMES[static_cast<size_t>(reader->compression())];
    record.size = reader->file_size();
  }

  PlayedFile& record;
  std::unique_ptr<CaptureReader> reader;
  const std::shared_ptr<std::atomic<bool>> cancellation;  // of all its readers
  ToEthernet to_ethernet;
  CapturedFrame frame{};
  bool has_frame = false;
  uint64_t first_ns = 0;  // of this file, in this pass
  uint64_t last_ns = 0;
  uint64_t time_ns = 0;  // of the frame on the common timeline
};

Player::Player(const PlayerConfig& config)
    : config_(config),
      timeline_(config.timeline),
      filter_(config.filter),
      editor_(config.edit),
      frame_(ROOM) {
  for (const std::string& path : config.files) {
    records_.push_back(std::make_unique<PlayedFile>());
    files_.push_back(std::make_unique<File>(path, config.macs, *records_.back()));
  }
}

Player::~Player() = default;

void Player::finish() {
  for (const auto& file : files_) {
    file->record.link_type = file->reader->link_types_text();
    file->record.broken = file->reader->end().text();
    file->record.remarks = file->reader->remarks();
    file->to_ethernet.add_remarks(file->record.remarks);
  }
}

void Player::cancel() noexcept {
  for (const auto& file : files_) file->cancellation->store(true, std::memory_order_relaxed);
}

// The file's next frame, if it has one.
bool Player::advance(File& file) noexcept {
  file.has_frame = file.reader->next(file.frame);
  file.record.read_bytes.set(file.reader->file_read());
  if (!file.has_frame) return false;
  ++file.record.frames;
  uint64_t time_ns = file.frame.time_ns;
  if (file.reader->end().frames == 1) {
    file.first_ns = file.last_ns = time_ns;
  } else if (time_ns < file.last_ns) {
    ++file.record.backwards;
    time_ns = file.last_ns;
  }
  file.last_ns = time_ns;
  file.time_ns = config_.aligns && began_ ? time_ns - file.first_ns + begin_ns_ : time_ns;
  return true;
}

bool Player::begin_pass() noexcept {
  bool any = false;
  uint64_t begin_ns = UINT64_MAX;
  for (const auto& file : files_) {
    if (!advance(*file)) continue;
    any = true;
    begin_ns = std::min(begin_ns, file->frame.time_ns);
  }
  if (!began_) begin_ns_ = begin_ns;
  began_ = true;
  for (const auto& file : files_) {
    if (file->has_frame && config_.aligns) file->time_ns = begin_ns_;
  }
  return any;
}

bool Player::next_pass() noexcept {
  pass_++;
  if (has_useless_file()) return false;
  if (pass_ == config_.passes || taken_ == 0) return false;
  taken_ = 0;
  if (!timeline_.next_pass())
    return refuse("a single frame has no gap to the next time that it is sent", "add --loop-gap");
  try {
    for (const auto& file : files_)
      file->reader = std::make_unique<CaptureReader>(CaptureReader::Again{}, *file->reader);
  } catch (const Error& error) {
    refusal_ = std::make_unique<Error>(error);
    return false;
  }
  return begin_pass();
}

// Not one frame of it is of a link type that can be sent: it is refused as a pcap of that link type is.
bool Player::has_useless_file() noexcept {
  for (const auto& file : files_) {
    auto error = file->to_ethernet.useless(*file->reader);
    if (!error) continue;
    refusal_ = std::make_unique<Error>(*error);
    return true;
  }
  return false;
}

// The file whose frame comes next on the timeline.
Player::File* Player::earliest() noexcept {
  File* found = nullptr;
  for (const auto& file : files_) {
    if (file->has_frame && (found == nullptr || file->time_ns < found->time_ns)) found = file.get();
  }
  return found;
}

bool Player::next(PlayedFrame& out) noexcept {
  if (refusal_) return false;
  if (!began_ && !begin_pass()) return false;
  while (true) {
    if (current_ != nullptr) advance(*current_);
    current_ = earliest();
    while (current_ == nullptr) {
      if (!next_pass()) return false;
      current_ = earliest();
    }
    File& file = *current_;
    CapturedFrame frame;
    if (!file.to_ethernet.convert(file.frame, frame) || frame.captured < ETHERNET_SIZE) {
      ++file.record.unusable;
      continue;
    }
    if (!is_wanted(file, frame) || !fill(file, frame)) continue;
    length_ = editor_.edit(frame_.data(), length_);
    if (!fit(file)) {
      if (refusal_) return false;
      continue;
    }
    out = {0, file.frame.time_ns, frame_.data(), length_, 0, 0};
    find_ticks(out);
    if (!timeline_.place(file.time_ns, out.offset_ns)) {
      return refuse("frame " + std::to_string(file.frame.number) + " of " + file.record.path +
                        " comes more than " + seconds_text(config_.timeline.max_gap_ns) +
                        " after the one before",
                    files_.size() > 1 && !config_.aligns
                        ? "add --align: all files then begin at once; or --max-gap: longer gaps are cut to it"
                        : "add --max-gap: longer gaps are cut to it");
    }
    ++file.record.taken;
    taken_++;
    return true;
  }
}

uint64_t Player::moment_ns(const CaptureMoment& moment) const noexcept {
  return moment.kind == CaptureMoment::Kind::offset ? begin_ns_ + moment.ns : moment.ns;
}

bool Player::is_wanted(File& file, const CapturedFrame& frame) noexcept {
  bool early = config_.from.kind != CaptureMoment::Kind::none && file.time_ns < moment_ns(config_.from);
  bool late = config_.to.kind != CaptureMoment::Kind::none && file.time_ns >= moment_ns(config_.to);
  if (early || late) {
    ++file.record.outside;
    // Nothing in the file is earlier than what was before it: what is left need not be read.
    if (late) file.has_frame = false;
    if (late) current_ = nullptr;
    return false;
  }
  if (!filter_.matches(frame.data, frame.captured, frame.length)) {
    ++file.record.filtered;
    return false;
  }
  return true;
}

// Copies the frame, as whole as it is wanted.
bool Player::fill(File& file, const CapturedFrame& frame) noexcept {
  length_ = frame.captured;
  memcpy(frame_.data(), frame.data, frame.captured);
  if (frame.captured >= frame.length) return true;
  ++file.record.truncated;
  if (config_.truncated == Truncated::skip) {
    ++file.record.skipped;
    return false;
  }
  if (config_.truncated == Truncated::send) return true;
  ++file.record.padded;
  uint32_t length = std::min(frame.length, ROOM - VLAN_SIZE);
  memset(frame_.data() + frame.captured, 0, length - frame.captured);
  length_ = length;
  // What the checksum was of is not there any more.
  mend_checksums(frame_.data(), find_layers(frame_.data(), length_));
  return true;
}

bool Player::fit(File& file) noexcept {
  bool is_tagged = length_ >= ETHERNET_SIZE && is_tag(load_be16(frame_.data() + 12));
  uint32_t largest = config_.largest + (is_tagged ? VLAN_SIZE : 0);
  if (length_ <= largest) return true;
  if (config_.oversize == Oversize::refuse) {
    return refuse("frame " + std::to_string(file.frame.number) + " of " + file.record.path + " has " +
                      std::to_string(length_) + " bytes, and the link carries " + std::to_string(largest),
                  "raise the MTU, or add --oversize cut or --oversize skip");
  }
  ++file.record.oversized;
  if (config_.oversize == Oversize::skip) {
    ++file.record.skipped;
    return false;
  }
  ++file.record.cut;
  length_ = largest;
  return true;
}

// Ticks to the port, in a datagram that is all there.
void Player::find_ticks(PlayedFrame& out) noexcept {
  if (config_.tick_port == 0) return;
  Layers layers = find_layers(out.data, out.length);
  uint32_t length = layers.protocol == PROTOCOL_UDP ? summed_size(out.data, layers) : 0;
  if (length < UDP_SIZE + MARKET_DATA_SIZE) return;
  if (load_be16(out.data + layers.transport + 2) != config_.tick_port) return;
  out.payload = layers.transport + UDP_SIZE;
  out.ticks = (length - UDP_SIZE) / MARKET_DATA_SIZE;
  restamp(layers, out);
  if (!config_.judges) return;
  memcpy(out.data + 6, config_.own_mac, 6);
  set_source(out.data, layers, layers.ipv6 ? config_.own_address6 : config_.own_address4);
}

// Timestamps stay as they were captured, but where that would make two ticks one: in each pass they are later
// by the span of the first one; and where answers are judged, each is greater than the one before.
void Player::restamp(const Layers& layers, const PlayedFrame& out) noexcept {
  for (uint32_t i = 0; i < out.ticks; i++) {
    uint32_t at = out.payload + i * static_cast<uint32_t>(MARKET_DATA_SIZE) +
                  static_cast<uint32_t>(offsetof(market_data, timestamp));
    uint64_t captured;
    memcpy(&captured, out.data + at, 8);
    if (pass_ == 0) {
      tick_low_ = std::min(tick_low_, captured);
      tick_high_ = std::max(tick_high_, captured);
    }
    uint64_t stamp = captured + pass_ * (tick_high_ - tick_low_ + 1);
    if (config_.judges && stamp <= tick_last_) stamp = tick_last_ + 1;
    tick_last_ = stamp;
    if (stamp == captured) continue;
    restamped_++;
    overwrite(out.data, layers, at, &stamp, 8);
  }
}

bool Player::refuse(const std::string& detail, const std::string& hint) noexcept {
  refusal_ = std::make_unique<Error>(ErrorCode::usage, "replay", detail, hint);
  return false;
}

}  // namespace carom
