// Captures as they are to be sent: merged on one timeline, chosen, edited, planned, pass after pass. It only
// reads; what sends, and when, is not its matter.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "capture/edit.h"
#include "capture/ethernet.h"
#include "capture/reader.h"
#include "capture/timeline.h"
#include "core/counters.h"
#include "core/error.h"
#include "filter/packet_filter.h"

namespace carom {

// A moment of a capture: after its first frame, or of the day.
struct CaptureMoment {
  enum class Kind : uint8_t { none, offset, absolute };
  Kind kind = Kind::none;
  uint64_t ns = 0;
};

enum class Oversize : uint8_t { refuse, cut, skip };
enum class Truncated : uint8_t { pad, skip, send };

struct PlayerConfig {
  std::vector<std::string> files;  // "-": standard input
  bool aligns = false;             // they begin together, and not when they were taken
  uint64_t passes = 1;             // 0: no end
  TimelineConfig timeline;
  CaptureMoment from;
  CaptureMoment to;
  std::string filter;  // "": every frame
  EditConfig edit;
  GivenMacs macs;           // of frames that have none
  uint32_t largest = 1514;  // bytes of a frame without a tag
  Oversize oversize = Oversize::refuse;
  Truncated truncated = Truncated::pad;
  uint16_t tick_port = 0;   // 0: no ticks are looked for
  bool judges = false;      // ticks are to be answered here: their frames come from the own addresses, and
  uint8_t own_mac[6] = {};  // no two of them have one timestamp
  uint8_t own_address4[4] = {};
  uint8_t own_address6[16] = {};
};

// Of one file, over all passes.
struct PlayedFile {
  std::string path;
  std::string format;
  std::string compression;
  std::string link_type;               // as the next two: after the end
  std::string broken;                  // where and how
  std::vector<CaptureRemark> remarks;  // about frames that are left out or given otherwise than in the file
  uint64_t size = 0;                   // bytes on the disk; 0: not known
  Counter read_bytes;                  // of them, in this pass
  Counter
      frames;  // read, without those that the reader leaves out; each is taken, or in one of those behind it
  Counter taken;
  Counter outside;   // the span of time
  Counter filtered;  // not what the filter wants
  Counter skipped;   // too large, or cut off when it was captured, as it was asked for
  Counter unusable;  // without a whole Ethernet header, or with nothing that could be one
  // About them.
  Counter padded;     // had been cut off
  Counter cut;        // were too large
  Counter oversized;  // cut or skipped
  Counter truncated;  // padded, skipped or sent as they are
  Counter backwards;  // older than one before: sent at the time of that one
};

struct PlayedFrame {
  uint64_t offset_ns;  // planned, from the first one
  uint64_t time_ns;    // captured
  uint8_t* data;       // until the next one
  uint32_t length;
  uint32_t ticks;    // of the native format
  uint32_t payload;  // where they begin
};

class Player {
 public:
  // Throws Error when a file can't be read, is no capture, or can't be sent.
  explicit Player(const PlayerConfig& config);
  ~Player();

  // False at the end of the last pass, or where it has to stop; refusal() says why.
  bool next(PlayedFrame& out) noexcept;

  const Error* refusal() const noexcept { return refusal_.get(); }
  const std::vector<std::unique_ptr<PlayedFile>>& files() const noexcept { return records_; }
  uint64_t passes() const noexcept { return pass_; }  // complete ones
  const Timeline& timeline() const noexcept { return timeline_; }
  uint64_t restamped() const noexcept { return restamped_; }  // ticks that got another timestamp

  // Nothing more is wanted: completes what is known of the files.
  void finish();

  // From another thread: a wait for a pipe ends.
  void cancel() noexcept;

 private:
  struct File;

  bool advance(File& file) noexcept;
  File* earliest() noexcept;
  bool next_pass() noexcept;
  bool begin_pass() noexcept;
  bool has_useless_file() noexcept;
  bool is_wanted(File& file, const CapturedFrame& frame) noexcept;
  bool fill(File& file, const CapturedFrame& frame) noexcept;
  bool fit(File& file) noexcept;
  void find_ticks(PlayedFrame& out) noexcept;
  void restamp(const Layers& layers, const PlayedFrame& out) noexcept;
  bool refuse(const std::string& detail, const std::string& hint) noexcept;
  uint64_t moment_ns(const CaptureMoment& moment) const noexcept;

  PlayerConfig config_;
  Timeline timeline_;
  PacketFilter filter_;
  FrameEditor editor_;
  std::vector<std::unique_ptr<PlayedFile>> records_;
  std::vector<std::unique_ptr<File>> files_;
  std::vector<uint8_t> frame_;
  uint32_t length_ = 0;
  File* current_ = nullptr;  // whose frame is out
  bool began_ = false;
  uint64_t begin_ns_ = 0;  // of the timeline, in the time of the captures
  uint64_t pass_ = 0;
  uint64_t taken_ = 0;              // in this pass
  uint64_t tick_low_ = UINT64_MAX;  // timestamps in the first pass
  uint64_t tick_high_ = 0;
  uint64_t tick_last_ = 0;
  uint64_t restamped_ = 0;
  std::unique_ptr<Error> refusal_;
};

}  // namespace carom
