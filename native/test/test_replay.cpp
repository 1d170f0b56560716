// Captures as they are sent: what the player makes of several files, and that the ring between reading and
// sending loses and changes nothing, however much larger than it the captures are.
#include <algorithm>
#include <future>

#include "capture/player.h"
#include "generate/replay.h"
#include "test/capture_support.h"
#include "test/device_io.h"

namespace carom::test {
namespace {

constexpr uint64_t BEGIN_NS = 1'700'000'000'000'000'000;

std::vector<Record> records_of(Chance& chance, uint32_t count, uint64_t mean_ns, uint32_t largest = 200) {
  std::vector<Record> records;
  uint64_t time_ns = BEGIN_NS + chance.below(1000);
  for (uint32_t i = 0; i < count; i++) {
    std::string data(14 + chance.below(largest), '\0');
    chance.fill(reinterpret_cast<uint8_t*>(data.data()), static_cast<uint32_t>(data.size()));
    records.push_back({time_ns, data, static_cast<uint32_t>(data.size())});
    time_ns += chance.below(static_cast<uint32_t>(2 * mean_ns));
  }
  return records;
}

PlayerConfig config_of(std::vector<std::string> paths) {
  PlayerConfig config;
  config.files = std::move(paths);
  config.macs = {{2, 0, 0, 0, 0, 1}, {2, 0, 0, 0, 0, 2}};
  config.largest = 9000;
  return config;
}

void expect_frame(const PlayedFrame& frame, const Record& record, uint64_t offset_ns) {
  expect_equal(frame.offset_ns, offset_ns, "planned");
  expect_equal(frame.length, record.data.size(), "length");
  expect(memcmp(frame.data, record.data.data(), frame.length) == 0, "bytes");
}

void merged(Chance& chance) {
  for (bool aligns : {false, true}) {
    std::vector<Record> parts[3];
    std::vector<std::unique_ptr<MemoryFile>> files;
    std::vector<Record> all;
    uint64_t begin_ns = UINT64_MAX;
    for (auto& part : parts) {
      part = records_of(chance, 1000, 500);
      files.push_back(std::make_unique<MemoryFile>(pcap(part, true, chance.one_in(2))));
      begin_ns = std::min(begin_ns, part[0].time_ns);
    }
    for (const auto& part : parts) {
      for (Record record : part) {
        if (aligns) record.time_ns = record.time_ns - part[0].time_ns + begin_ns;
        all.push_back(record);
      }
    }
    // Of several at one time the file that was given first has its first.
    std::stable_sort(all.begin(), all.end(),
                     [](const Record& a, const Record& b) { return a.time_ns < b.time_ns; });
    PlayerConfig config = config_of({files[0]->path(), files[1]->path(), files[2]->path()});
    config.aligns = aligns;
    config.passes = 2;
    config.timeline.loop_gap_ns = 77;
    Player player(config);
    PlayedFrame frame{};
    uint64_t span_ns = all.back().time_ns - begin_ns;
    for (uint64_t pass = 0; pass < 2; pass++) {
      for (const Record& record : all) {
        expect(player.next(frame), "another one");
        expect_frame(frame, record, record.time_ns - begin_ns + pass * (span_ns + 77));
      }
    }
    expect(!player.next(frame) && player.refusal() == nullptr, "the end");
    expect_equal(player.passes(), 2, "passes");
    for (const auto& file : player.files()) expect_equal(file->taken.get(), 2000, "of each file");
  }
}

// Some 40 MB through a ring of 16.
void through_the_ring(Chance& chance) {
  std::vector<Record> records = records_of(chance, 10'000, 500, 4000);
  MemoryFile file(pcap(records, true, false));
  ReplayConfig config{config_of({file.path()}), -1};
  config.player.passes = 2;
  config.player.timeline.loop_gap_ns = 1;
  ReplayRecord record;
  Replay replay(config, record, nullptr);
  expect(replay.prepare([] { return false; }), "there is something");
  replay.start(1'000'000, 0);
  uint64_t span_ns = records.back().time_ns - records.front().time_ns;
  uint8_t bytes[9100];
  uint64_t number = 0;
  while (true) {
    if (replay.waits()) continue;
    if (replay.planned_ns() == Replay::NONE_NS) break;
    const Record& wanted = records[number % records.size()];
    uint64_t offset_ns = wanted.time_ns - records[0].time_ns + (number >= records.size() ? span_ns + 1 : 0);
    Transmission taken = replay.take();
    expect_equal(taken.planned_ns, 1'000'000 + offset_ns, "planned");
    uint32_t length = replay.write(taken, bytes);
    expect(length == wanted.data.size() && memcmp(bytes, wanted.data.data(), length) == 0, "bytes");
    replay.count(taken);
    replay.release(taken);
    if (number == 5000) replay.move(500);
    if (number++ == 5000) replay.move(static_cast<uint64_t>(-500));
  }
  expect_equal(number, 2 * records.size(), "all of them");
  expect_equal(record.frames.get(), number, "counted");
}

// The generator's loop sends them, on a link that takes what it likes, and counts each.
void in_the_loop(Chance& chance) {
  std::vector<Record> records = records_of(chance, 3000, 5000, 80);
  MemoryFile file(pcap(records, true, false));
  for (bool flat_out : {false, true}) {
    GeneratorConfig config{};
    config.io = io_config(false, false);
    config.io.receives = false;
    StreamConfig& stream = config.streams.emplace_back();
    stream.schedule.arrival.rate_millihertz = 1000;
    stream.ticks = {7, 0.9, {"AAPL"}, 1000, 10000, false};
    stream.lines.resize(1);
    config.ledger = {
        4096, 500'000'000, Match::clordid, false, {STRATEGY_threshold, {10000, 100, 1, 0}, {}, 0}, true};
    config.late_threshold_ns = 3000;
    config.closed = config.flat_out = flat_out;
    config.replay.emplace(ReplayConfig{config_of({file.path()}), -1});
    config.replay->player.passes = 3;
    if (flat_out) config.replay->player.timeline.kind = TimelineConfig::Kind::fast;
    GeneratorRole role(config);
    DeviceOptions options;
    options.plain = false;
    options.fickle = chance.next() | 1;
    uint64_t sent = 0;
    role.open([&] {
      DeviceIo io(role, options);
      auto loop = std::make_unique<GenerateLoop<DeviceIo>>(role, io);
      if (!role.opened({})) return;
      loop->run();
      sent = io.sent;
    });
    std::promise<void> ended;
    role.start([&ended](const auto&) { ended.set_value(); });
    bool over = ended.get_future().wait_for(std::chrono::seconds(120)) == std::future_status::ready;
    role.close();
    expect(over, "it comes to its end");
    expect_equal(sent, 9000, "frames, as the device counts");
    expect_equal(role.counters.sent.get(), 9000, "as the loop does");
    expect_equal(role.ledger.counters().sent.get(), 9000, "as the ledger does");
    expect_equal(role.replay->frames.get(), 9000, "as the replay does");
    expect_equal(role.lateness.count(), flat_out ? 0 : 9000, "lateness is of what has a time");
  }
}

// The key of a frame is of its length and its first bytes.
void trail_keys(Chance& chance) {
  uint8_t frame[200];
  chance.fill(frame, sizeof frame);
  uint64_t key = trail_key(frame, frame + 120);
  for (uint32_t i = 0; i < 120; i++) {
    frame[i] ^= 1;
    expect(trail_key(frame, frame + 120) != key, "each byte counts");
    frame[i] ^= 1;
  }
  expect(trail_key(frame, frame + 119) != key, "the length, too");
  frame[130] ^= 1;
  expect(trail_key(frame, frame + 120) == key, "nothing behind the end");
}

const Tests TESTS{
    {"replay: files are merged, or begin together, again and again", merged},
    {"replay: nothing is lost on the way through the ring", through_the_ring},
    {"replay: the generator's loop sends and counts it", in_the_loop},
    {"replay: keys of the trail", trail_keys},
};

}  // namespace
}  // namespace carom::test
