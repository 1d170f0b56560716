// The generator's role: what it is given, what it counts, and what it finds.
#pragma once

#include <array>
#include <ctime>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "core/passages.h"
#include "frame/parse.h"
#include "generate/feed.h"
#include "generate/ledger.h"
#include "generate/pacing.h"
#include "generate/replay.h"
#include "generate/stream.h"
#include "loop/changes.h"
#include "loop/discipline.h"
#include "loop/nic_stamp_logs.h"
#include "loop/role.h"
#include "loop/run_capture.h"
#include "loop/siblings.h"

namespace carom {

struct GeneratorConfig {
  IoConfig io;
  std::vector<StreamConfig> streams;
  FeedConfig feed;
  bool closed;               // closed loop: a window; otherwise the schedule
  bool flat_out;             // a closed loop that waits for nothing: as fast as it goes
  uint32_t window;           // ticks in flight
  uint64_t rate_millihertz;  // open loop: of all streams of the run together, on average
  uint64_t count;            // measured ticks, 0 for no limit
  uint64_t duration_ns;      // of the measured part, 0 for no limit
  uint64_t warmup_ns;
  uint64_t quiet_ns;  // closed loop: the pause after a tick that must not be answered
  LedgerConfig ledger;
  uint64_t late_threshold_ns;
  LatePolicy late = LatePolicy::catch_up;  // open loop: of what is later than the threshold
  ScheduleClock schedule_clock = {};       // open loop: by which the schedule goes
  uint32_t breakdown_every;                // one tick of so many is followed (core/passages.h); 0: none
  uint32_t passage_room;                   // of so many it is kept when they were sent, and when answered
  uint64_t launch_lead_ns = 0;             // frames are given to the NIC so long before their time; 0: at it
  uint64_t start_at_ns = 0;                // the schedule begins then, by CLOCK_REALTIME; 0: at once
  uint32_t thread = 0;                     // this one's number
  uint32_t threads = 1;                    // of the run
  std::vector<int32_t> vlans = {};         // of the other threads' streams: their orders may come here, too
  std::optional<CaptureOutput> capture = {};
  std::optional<ReplayConfig> replay = std::nullopt;  // captures are sent, and not what the streams say
};

struct GeneratorCounters {
  Counter sent;           // measured ticks handed to the wire
  Counter unsent;         // measured ticks whose time came and that were not sent
  Counter sent_at_first;  // ticks of the first measured hand-over
  Counter measured_ns;    // from the first measured send to the last, pauses left out
  Counter late_sends;     // frames, later than the threshold
  Counter skipped;        // measured ticks that were not sent because they were late
  Counter slips;          // how often the schedule moved because something measured was late
  Counter slipped_ns;     // by how much in all
  std::array<Counter, CAUSES> late_sends_by_cause;
  std::array<Counter, CAUSES> late_by_cause;  // late sends, skipped ticks and slips
  Counter pauses;                             // how often the schedule moved because the process did not run
  Counter paused_ns;                          // how long in all
  Counter clock_back;                         // how often it moved because the clock went backwards
  Counter clock_steps;          // how often the schedule's clock was set, and the schedule moved along
  Counter stepped_ns;           // by how much in all
  Counter launch_clock_off_ns;  // from the NIC's clock, which launches, to CLOCK_TAI, at the end
  Counter moved_ns;             // by both since the warm-up, modulo 2^64
  Counter doorbells;            // calls that handed measured frames to the backend
  Counter bursts;               // sends of several ticks at once, because the sender was behind
  Counter frames_in;            // everything that was received
  Counter foreign;              // datagrams that are not for the order port, or not for this host
  Counter handed;               // orders received that another thread has to judge
  Counter handed_lost;          // of those, the ones that found no room on the way
  Counter handed_in;            // orders that another thread received for this one
  std::array<Counter, static_cast<size_t>(ParseResult::COUNT)>
      refused;  // received frames, by the parser's reason
};

struct GeneratorRole : Role {
  explicit GeneratorRole(const GeneratorConfig& config)
      : Role(config.io),
        config(config),
        ledger(config.ledger),
        lines(line_count(config.streams)),
        sends(config.breakdown_every, config.passage_room),
        answers(config.breakdown_every, config.passage_room),
        nic(config.io, config.breakdown_every, config.passage_room) {
    if (nic.sent.on()) ledger.log_stamps(&nic.sent);
  }
  ~GeneratorRole() { close(); }  // before what the thread uses goes
  static constexpr size_t LATEST = 1000;

  // Around the loop, by the thread. Throws Error.
  void open_capture() {
    if (config.capture) capture = std::make_unique<RunCapture>(*config.capture, config.io, ledger);
  }
  void finish_capture() noexcept {
    if (capture) capture->writer().finish([this] { return command() == Command::abort; });
  }

  const GeneratorConfig config;
  Ledger ledger;
  GeneratorCounters counters;
  RunChanges changes;
  uint64_t measured_from_ns = 0;    // when the measured part began, on the loop's clock; once it has ended
  std::vector<LineCounters> lines;  // of each stream its lines
  std::unique_ptr<ReplayRecord> replay = config.replay ? std::make_unique<ReplayRecord>() : nullptr;
  Histogram lateness;
  PacingRecord pacing;
  // Called before the first tick is sent: the timestamp from which on ticks are measured ones; and again
  // when a pause moves it.
  std::function<void(uint64_t)> on_measured_from;
  ScheduleRecord schedule;  // once the loop has ended
  LargestIntervals latest{LATEST};
  PassageLog sends;
  PassageLog answers;
  NicStampLogs nic;
  std::unique_ptr<RunCapture> capture;  // behind the ledger, which it reads to the last
  // Of the threads of one run. Set before opening, but for the first one, which brings it.
  std::shared_ptr<Siblings> siblings = config.threads > 1 && config.thread == 0
                                           ? std::make_shared<Siblings>(config.threads)
                                           : nullptr;
};

}  // namespace carom
