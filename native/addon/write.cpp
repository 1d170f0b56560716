#include <algorithm>

#include "addon/convert.h"

namespace carom {
namespace {

Napi::Float64Array write_ns(Napi::Env env, const std::vector<Interval>& intervals,
                            uint64_t Interval::*member) {
  Napi::Float64Array result = Napi::Float64Array::New(env, intervals.size());
  for (size_t i = 0; i < intervals.size(); i++) result[i] = static_cast<double>(intervals[i].*member);
  return result;
}

void put(Napi::Object& object, const char* name, const Counter& counter) {
  object.Set(name, Napi::Number::New(object.Env(), static_cast<double>(counter.get())));
}

template <size_t N>
void put_refused(Napi::Object& object, const std::array<Counter, N>& refused) {
  for (size_t i = 1; i < N; i++) put(object, PARSE_RESULT_NAMES[i], refused[i]);
}

void put_io(Napi::Object& object, const Role& role) {
  put(object, "tx_full", role.io_counters.tx_full);
  put(object, "tx_refused", role.io_counters.tx_refused);
  put(object, "fill_ring_empty", role.io_counters.fill_ring_empty);
  put(object, "tx_invalid", role.io_counters.tx_invalid);
  put(object, "rx_ring_drops", role.io_counters.rx_ring_drops);
  put(object, "filtered", role.io_counters.filtered);
  put(object, "passed_on", role.io_counters.passed_on);
  put(object, "unserved_queue", role.io_counters.unserved_queue);
  for (uint32_t queue = 0; queue < IoCounters::QUEUES; queue++) {
    const Counter& unserved = role.io_counters.unserved_by_queue[queue];
    if (unserved.get() != 0) put(object, ("unserved_queue_" + std::to_string(queue)).c_str(), unserved);
  }
  put(object, "xdp_tx_errors", role.io_counters.xdp_tx_errors);
  put(object, "rx_other_host", role.io_counters.rx_other_host);
  put(object, "wakeups", role.io_counters.wakeups);
  put(object, "link_errors", role.io_counters.link_errors);
  put(object, "launch_missed", role.io_counters.launch_missed);
  put(object, "stalls", role.watch.slow(Cause::machine).count);
  put(object, "stalled_ns", role.watch.slow(Cause::machine).total_ns);
}

}  // namespace

Napi::Object write_histogram(Napi::Env env, const Histogram& histogram) {
  Napi::Float64Array counts = Napi::Float64Array::New(env, Histogram::SIZE);
  for (uint32_t i = 0; i < Histogram::SIZE; i++) counts[i] = static_cast<double>(histogram.count_at(i));
  Napi::Object object = Napi::Object::New(env);
  object.Set("counts", counts);
  object.Set("count", static_cast<double>(histogram.count()));
  object.Set("min", static_cast<double>(histogram.min()));
  object.Set("max", static_cast<double>(histogram.max()));
  object.Set("sum", static_cast<double>(histogram.sum()));
  object.Set("sumOfSquares", histogram.sum_of_squares());
  return object;
}

// Of a histogram that may still be written to: only the places between its least and its most are looked at.
Napi::Object write_recorded(Napi::Env env, const Histogram& histogram) {
  std::vector<uint32_t> places;
  std::vector<double> found;
  uint64_t count = histogram.count();
  uint64_t most = std::min(histogram.max(), Histogram::HIGHEST);
  uint32_t last = Histogram::index_of(most);
  for (uint32_t i = Histogram::index_of(std::min(histogram.min(), most)); count > 0 && i <= last; i++) {
    uint64_t here = histogram.count_at(i);
    if (here == 0) continue;
    places.push_back(i);
    found.push_back(static_cast<double>(here));
  }
  Napi::Uint32Array indices = Napi::Uint32Array::New(env, places.size());
  Napi::Float64Array counts = Napi::Float64Array::New(env, found.size());
  std::copy(places.begin(), places.end(), indices.Data());
  std::copy(found.begin(), found.end(), counts.Data());
  Napi::Object object = Napi::Object::New(env);
  object.Set("indices", indices);
  object.Set("counts", counts);
  object.Set("max", static_cast<double>(histogram.max()));
  return object;
}

Napi::Object write_intervals(Napi::Env env, const std::vector<Interval>& intervals) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("starts_ns", write_ns(env, intervals, &Interval::start_ns));
  object.Set("ends_ns", write_ns(env, intervals, &Interval::end_ns));
  return object;
}

namespace {

void put_slow(Napi::Object& object, const TurnWatch::Slow& slow) {
  put(object, "count", slow.count);
  put(object, "total_ns", slow.total_ns);
  put(object, "max_ns", slow.max_ns);
}

}  // namespace

Napi::Object write_turns(Napi::Env env, const TurnWatch& watch) {
  Napi::Object object = write_intervals(env, watch.log());
  put_slow(object, watch.slow());
  Napi::Uint8Array causes = Napi::Uint8Array::New(env, watch.causes().size());
  for (size_t i = 0; i < watch.causes().size(); i++) causes[i] = static_cast<uint8_t>(watch.causes()[i]);
  object.Set("causes", causes);
  Napi::Object by_cause = Napi::Object::New(env);
  for (size_t i = 0; i < CAUSES; i++) {
    Napi::Object one = Napi::Object::New(env);
    put_slow(one, watch.slow(static_cast<Cause>(i)));
    by_cause.Set(CAUSE_NAMES[i], one);
  }
  object.Set("by_cause", by_cause);
  object.Set("first_ns", static_cast<double>(watch.first_ns()));
  object.Set("observed_ns", static_cast<double>(watch.observed_ns()));
  object.Set("threshold_ns", static_cast<double>(watch.threshold_ns()));
  const ThreadEvidence& evidence = watch.evidence();
  Napi::Object seen = Napi::Object::New(env);
  seen.Set("cpu_time", evidence.has_cpu_time());
  seen.Set("run_delay", evidence.has_run_delay());
  seen.Set("interrupts", evidence.has_interrupts());
  seen.Set("why_no_interrupts", evidence.why_no_interrupts());
  object.Set("evidence", seen);
  return object;
}

Napi::Float64Array write_ns(Napi::Env env, const std::vector<uint64_t>& times) {
  Napi::Float64Array result = Napi::Float64Array::New(env, times.size());
  for (size_t i = 0; i < times.size(); i++) result[i] = static_cast<double>(times[i]);
  return result;
}

// Rows of tick, begin, handed and returned, one after the other.
Napi::Value write_passages(Napi::Env env, const PassageLog& log) {
  std::span<const Passage> passages = log.passages();
  static_assert(sizeof(Passage) == 4 * sizeof(uint64_t));
  Napi::BigUint64Array result = Napi::BigUint64Array::New(env, passages.size() * 4);
  if (!passages.empty()) memcpy(result.Data(), passages.data(), passages.size() * sizeof(Passage));
  return result;
}

Napi::Array write_trace(Napi::Env env, const std::vector<TraceRecord>& records) {
  Napi::Array array = Napi::Array::New(env, records.size());
  for (uint32_t i = 0; i < records.size(); i++) {
    const TraceRecord& record = records[i];
    Napi::Object object = Napi::Object::New(env);
    object.Set("time_ns", Napi::BigInt::New(env, record.time_ns));
    object.Set("spent_ns", static_cast<double>(record.spent_ns));
    object.Set("outcome", record.outcome);
    object.Set("why", record.why);
    object.Set("length", record.length);
    object.Set("queue", record.queue);
    object.Set("ticks", record.ticks);
    object.Set("orders", record.orders);
    object.Set("frame", Napi::Buffer<uint8_t>::Copy(env, record.head, record.head_length));
    uint8_t tick[MARKET_DATA_SIZE];
    record.tick.write(tick);
    object.Set("tick", record.ticks == 0 ? env.Null() : Napi::Buffer<uint8_t>::Copy(env, tick, sizeof tick));
    object.Set("price", record.decision.price);
    object.Set("quantity", record.decision.quantity);
    object.Set("side", static_cast<uint32_t>(record.decision.side));
    array[i] = object;
  }
  return array;
}

Napi::Object write_refreshes(Napi::Env env, const Refreshes& refreshes) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("count", static_cast<double>(refreshes.count()));
  object.Set("total_ns", static_cast<double>(refreshes.total_ns()));
  object.Set("max_ns", static_cast<double>(refreshes.longest_ns()));
  object.Set("overlapping", write_histogram(env, refreshes.overlapping()));
  return object;
}

Napi::Object write_schedule(Napi::Env env, const ScheduleRecord& schedule) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("readings", static_cast<double>(schedule.readings));
  object.Set("correctedNs", static_cast<double>(schedule.corrected_ns));
  object.Set("errorNs", schedule.error_ns);
  object.Set("errorMaxNs", schedule.error_max_ns);
  return object;
}

// In ns after the beginning of the measured part; less than 0 in the warm-up.
Napi::Array write_changes(Napi::Env env, const RunChanges& changes, uint64_t measured_from_ns) {
  Napi::Array array = Napi::Array::New(env);
  for (const RunChanges::Made& made : changes.made()) {
    double unit = made.window ? 1 : 1000;
    Napi::Object object = Napi::Object::New(env);
    object.Set("what", made.window ? "window" : "rate");
    object.Set("after_ns", static_cast<double>(static_cast<int64_t>(made.at_ns - measured_from_ns)));
    object.Set("from", static_cast<double>(made.from) / unit);
    object.Set("to", static_cast<double>(made.to) / unit);
    array[array.Length()] = object;
  }
  return array;
}

// Of each part the places with anything in them, and how much.
Napi::Array write_parts(Napi::Env env, const HistogramParts& parts) {
  Napi::Array array = Napi::Array::New(env, parts.used());
  for (uint32_t part = 0; part < parts.used(); part++) {
    std::span<const uint32_t> counts = parts.counts(part);
    std::vector<uint32_t> places;
    for (uint32_t i = 0; i < counts.size(); i++) {
      if (counts[i] != 0) places.push_back(i);
    }
    Napi::Uint32Array indices = Napi::Uint32Array::New(env, places.size());
    Napi::Uint32Array values = Napi::Uint32Array::New(env, places.size());
    for (size_t i = 0; i < places.size(); i++) {
      indices[i] = places[i];
      values[i] = counts[places[i]];
    }
    Napi::Object object = Napi::Object::New(env);
    object.Set("indices", indices);
    object.Set("counts", values);
    array[part] = object;
  }
  return array;
}

Napi::Array write_strings(Napi::Env env, const std::vector<std::string>& strings) {
  Napi::Array array = Napi::Array::New(env, strings.size());
  for (uint32_t i = 0; i < strings.size(); i++) array[i] = Napi::String::New(env, strings[i]);
  return array;
}

Napi::Array write_examples(Napi::Env env, std::span<const Example> examples) {
  static constexpr const char* VERDICTS[] = {"correct",    "wrong", "missing", "duplicate",
                                             "unexpected", "late",  "unjudged"};
  Napi::Array array = Napi::Array::New(env, examples.size());
  for (uint32_t i = 0; i < examples.size(); i++) {
    const Example& example = examples[i];
    auto bytes = [&](bool has, const uint8_t* data, size_t size) -> Napi::Value {
      if (!has) return env.Null();
      return Napi::Buffer<uint8_t>::Copy(env, data, size);
    };
    Napi::Object object = Napi::Object::New(env);
    object.Set("verdict", VERDICTS[static_cast<size_t>(example.verdict)]);
    object.Set("tick", bytes(example.has_tick, example.tick, sizeof example.tick));
    object.Set("expected", bytes(example.has_expected, example.expected, sizeof example.expected));
    object.Set("received", bytes(example.has_received, example.received, sizeof example.received));
    array[i] = object;
  }
  return array;
}

Napi::Array write_lines(Napi::Env env, const std::vector<LineCounters>& lines) {
  Napi::Array array = Napi::Array::New(env, lines.size());
  for (uint32_t i = 0; i < lines.size(); i++) {
    Napi::Object object = Napi::Object::New(env);
    put(object, "datagrams", lines[i].datagrams);
    put(object, "ticks", lines[i].ticks);
    put(object, "frames", lines[i].frames);
    put(object, "lost", lines[i].lost);
    put(object, "lost_ticks", lines[i].lost_ticks);
    put(object, "duplicated", lines[i].duplicated);
    put(object, "reordered", lines[i].reordered);
    put(object, "corrupted", lines[i].corrupted);
    array[i] = object;
  }
  return array;
}

// Handed to the wire, the warm-up included. A plain stream counts its ticks alone: each is a frame.
void put_replay(Napi::Object& object, const ReplayRecord& record) {
  put(object, "replayed_bytes", record.bytes);
  put(object, "position_ns", record.position_ns);
  put(object, "end_ns", record.end_ns);
  put(object, "starved", record.starved);
  put(object, "read_bytes", record.read_bytes);
  put(object, "capture_bytes", record.size);
  put(object, "passes", record.passes);
}

uint64_t frames_out(const GeneratorRole& role) {
  const LedgerCounters& ledger = role.ledger.counters();
  if (role.replay) return role.replay->frames.get();
  if (is_plain(role.config.streams)) return ledger.sent.get() + ledger.warmup_sent.get();
  uint64_t frames = 0;
  for (const LineCounters& line : role.lines) frames += line.frames.get();
  return frames;
}

Napi::Array write_streams(Napi::Env env, const std::vector<StreamLedger>& streams) {
  Napi::Array array = Napi::Array::New(env, streams.size());
  for (uint32_t i = 0; i < streams.size(); i++) {
    const LedgerCounters& ledger = streams[i].counters;
    Napi::Object object = Napi::Object::New(env);
    put(object, "sent", ledger.sent);
    put(object, "withheld", ledger.withheld);
    put(object, "quiet", ledger.quiet);
    put(object, "correct", ledger.correct);
    put(object, "wrong", ledger.wrong);
    put(object, "late", ledger.late);
    put(object, "missing", ledger.missing);
    put(object, "duplicate", ledger.duplicate);
    put(object, "unexpected", ledger.unexpected);
    put(object, "reordered", ledger.reordered);
    object.Set("latencyPlanned", write_histogram(env, streams[i].latency_planned));
    object.Set("latencyActual", write_histogram(env, streams[i].latency_actual));
    array[i] = object;
  }
  return array;
}

Napi::Object write_counters(Napi::Env env, const GeneratorRole& role) {
  Napi::Object object = Napi::Object::New(env);
  const LedgerCounters& ledger = role.ledger.counters();
  put(object, "sent", ledger.sent);
  put(object, "unsent", role.counters.unsent);
  put(object, "quiet", ledger.quiet);
  put(object, "correct", ledger.correct);
  put(object, "wrong", ledger.wrong);
  put(object, "late", ledger.late);
  put(object, "missing", ledger.missing);
  put(object, "withheld", ledger.withheld);
  put(object, "forgotten", ledger.forgotten);
  put(object, "received", ledger.received);
  put(object, "duplicate", ledger.duplicate);
  put(object, "unexpected", ledger.unexpected);
  put(object, "unjudged", ledger.unjudged);
  put(object, "answered_copies", ledger.answered_copies);
  put(object, "partial_orders", ledger.partial_orders);
  put(object, "reordered", ledger.reordered);
  put(object, "stamped", ledger.stamped);
  put(object, "unstamped", ledger.unstamped);
  put(object, "warmup_sent", ledger.warmup_sent);
  put(object, "warmup_answered", ledger.warmup_answered);
  put(object, "warmup_faults", ledger.warmup_faults);
  put(object, "sent_at_first", role.counters.sent_at_first);
  put(object, "measured_ns", role.counters.measured_ns);
  put(object, "late_sends", role.counters.late_sends);
  for (size_t i = 0; i < CAUSES; i++)
    put(object, (std::string("late_sends_") + CAUSE_NAMES[i]).c_str(), role.counters.late_sends_by_cause[i]);
  put(object, "skipped", role.counters.skipped);
  put(object, "slips", role.counters.slips);
  put(object, "slipped_ns", role.counters.slipped_ns);
  for (size_t i = 0; i < CAUSES; i++)
    put(object, (std::string("late_") + CAUSE_NAMES[i]).c_str(), role.counters.late_by_cause[i]);
  put(object, "pauses", role.counters.pauses);
  put(object, "paused_ns", role.counters.paused_ns);
  object.Set("moved_ns", static_cast<double>(static_cast<int64_t>(role.counters.moved_ns.get())));
  put(object, "clock_back", role.counters.clock_back);
  put(object, "clock_steps", role.counters.clock_steps);
  put(object, "launch_clock_off_ns", role.counters.launch_clock_off_ns);
  put(object, "clock_stepped_ns", role.counters.stepped_ns);
  put(object, "doorbells", role.counters.doorbells);
  put(object, "bursts", role.counters.bursts);
  object.Set("frames_out", Napi::Number::New(env, static_cast<double>(frames_out(role))));
  if (role.replay) put_replay(object, *role.replay);
  put(object, "frames_in", role.counters.frames_in);
  put(object, "foreign", role.counters.foreign);
  put(object, "handed", role.counters.handed);
  put(object, "handed_lost", role.counters.handed_lost);
  put(object, "handed_in", role.counters.handed_in);
  put_refused(object, role.counters.refused);
  put_io(object, role);
  return object;
}

Napi::Object write_counters(Napi::Env env, const ResponderRole& role) {
  Napi::Object object = Napi::Object::New(env);
  const ResponderCounters& counters = role.counters;
  put(object, "frames", counters.frames);
  put(object, "disabled", counters.disabled);
  put(object, "datagrams", counters.datagrams);
  put(object, "ticks", counters.ticks);
  put(object, "orders", counters.orders);
  put(object, "quiet_ticks", counters.quiet_ticks);
  put(object, "partial_ticks", counters.partial_ticks);
  put(object, "orders_unsent", counters.orders_unsent);
  put(object, "orders_limited", counters.orders_limited);
  put(object, "symbol_over_limit", counters.symbol_over_limit);
  put(object, "undecidable", counters.undecidable);
  put(object, "wrong_mac", counters.wrong_mac);
  put(object, "wrong_address", counters.wrong_address);
  put(object, "wrong_group", counters.wrong_group);
  put(object, "wrong_port", counters.wrong_port);
  put(object, "unanswerable", counters.unanswerable);
  put_refused(object, counters.refused);
  put_io(object, role);
  return object;
}

Napi::Error to_javascript(Napi::Env env, const Error& error) {
  static constexpr const char* CODES[] = {"usage", "environment", "internal"};
  Napi::Error result = Napi::Error::New(env, error.operation + ": " + error.detail);
  result.Set("code", Napi::String::New(env, CODES[static_cast<size_t>(error.code)]));
  result.Set("operation", Napi::String::New(env, error.operation));
  result.Set("detail", Napi::String::New(env, error.detail));
  result.Set("hint", Napi::String::New(env, error.hint));
  return result;
}

}  // namespace carom
