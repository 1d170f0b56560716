// JavaScript values to configurations and back. TypeScript has validated them; here they are asserted again.
#pragma once

#include <napi.h>

#include <optional>
#include <vector>

#include "loop/generate.h"
#include "loop/responder.h"

namespace carom {

Link read_link(const Napi::Object& object);
IoConfig read_io(const Napi::Object& object);
ResponderConfig read_responder(const Napi::Object& object);
ResponderSettings read_settings(const Napi::Object& object);
std::unique_ptr<const TraceRequest> read_trace_request(const Napi::Object& object);
ScheduleConfig read_schedule(const Napi::Object& object);
TickSourceConfig read_ticks(const Napi::Object& object);
GeneratorConfig read_generator(const Napi::Object& object);
ReplayConfig read_replay(const Napi::Object& object, const IoConfig& io);

Napi::Object write_histogram(Napi::Env env, const Histogram& histogram);
Napi::Object write_turns(Napi::Env env, const TurnWatch& watch);
Napi::Object write_intervals(Napi::Env env, const std::vector<Interval>& intervals);
Napi::Float64Array write_ns(Napi::Env env, const std::vector<uint64_t>& times);
Napi::Array write_examples(Napi::Env env, std::span<const Example> examples);
Napi::Object write_recorded(Napi::Env env, const Histogram& histogram);
Napi::Value write_replay(Napi::Env env, const ReplayRecord* record);
Napi::Array write_lines(Napi::Env env, const std::vector<LineCounters>& lines);
Napi::Value write_passages(Napi::Env env, const PassageLog& log);
Napi::Array write_trace(Napi::Env env, const std::vector<TraceRecord>& records);
Napi::Array write_streams(Napi::Env env, const std::vector<StreamLedger>& streams);
Napi::Object write_schedule(Napi::Env env, const ScheduleRecord& schedule);
Napi::Array write_changes(Napi::Env env, const RunChanges& changes, uint64_t measured_from_ns);
Napi::Object write_refreshes(Napi::Env env, const Refreshes& refreshes);
Napi::Array write_parts(Napi::Env env, const HistogramParts& parts);
Napi::Array write_strings(Napi::Env env, const std::vector<std::string>& strings);
Napi::Object write_counters(Napi::Env env, const GeneratorRole& role);
Napi::Object write_counters(Napi::Env env, const ResponderRole& role);

// An Error as a JavaScript exception with code, operation, detail and hint.
Napi::Error to_javascript(Napi::Env env, const Error& error);

// Calls an action and turns what it throws into a JavaScript exception. Whatever JavaScript calls goes
// through it (addon/entry.h): node-addon-api knows its own exceptions alone, and any other ends the process.
template <class Action>
auto guarded(Napi::Env env, Action action) {
  try {
    return action();
  } catch (const Napi::Error&) {
    throw;
  } catch (...) {
    throw to_javascript(env, current_error("call the native core"));
  }
}

// What a worker's callback is given: null and what `write` makes, or what went wrong and null.
template <class Write>
std::vector<napi_value> outcome(Napi::Env env, const std::optional<Error>& failure, Write write) {
  if (failure) return {to_javascript(env, *failure).Value(), env.Null()};
  try {
    return {env.Null(), write()};
  } catch (const Napi::Error& error) {
    return {error.Value(), env.Null()};
  } catch (...) {
    return {to_javascript(env, current_error("hand over what was found")).Value(), env.Null()};
  }
}

}  // namespace carom
