// What the addon exports; native/addon.ts is the only one that imports it.
#include <fcntl.h>
#include <napi.h>
#include <sched.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/timex.h>
#include <unistd.h>

#include <algorithm>
#include <optional>
#include <thread>

#include "addon/arrivals.h"
#include "addon/convert.h"
#include "addon/entry.h"
#include "addon/filter_capture.h"
#include "addon/frame_socket.h"
#include "addon/inspect.h"
#include "addon/link_watch.h"
#include "addon/phc.h"
#include "addon/roles.h"
#include "core/clock.h"
#include "core/privileges.h"
#include "core/thread.h"
#include "io/driver_counters.h"
#include "io/interruptions.h"
#include "io/netdev.h"
#include "io/nic_timestamping.h"
#include "io/timestamping.h"
#include "io/watcher.h"
#include "io/xdp_pass.h"
#include "loop/backends.h"

namespace carom {
namespace {

Napi::Value clock(const Napi::CallbackInfo& info) {
  Napi::Object object = Napi::Object::New(info.Env());
  const ClockInfo& found = Clock::get().info();
  object.Set("frequencyHz", found.frequency_hz);
  object.Set("resolutionNs", found.resolution_ns);
  object.Set("readCostNs", found.read_cost_ns);
  object.Set("errorPpm", found.error_ppm);
  return object;
}

// Of both ends of a run it says what the clocks did meanwhile.
Napi::Value read_clocks(const Napi::CallbackInfo& info) {
  constexpr int TRIES = 64;
  Napi::Env env = info.Env();
  ClockReading raw = Clock::get().read(CLOCK_MONOTONIC_RAW, TRIES);
  ClockReading monotonic = Clock::get().read(CLOCK_MONOTONIC, TRIES);
  auto offset = [&](const ClockReading& reading) {
    return Napi::BigInt::New(env, reading.clock_ns - static_cast<int64_t>(reading.timeline_ns));
  };
  Napi::Object object = Napi::Object::New(env);
  object.Set("timelineNs", static_cast<double>(raw.timeline_ns));
  object.Set("rawOffsetNs", offset(raw));
  object.Set("monotonicOffsetNs", offset(monotonic));
  object.Set("widthNs", static_cast<double>(std::max(raw.width_ns, monotonic.width_ns)));
  return object;
}

Napi::Value read_realtime(const Napi::CallbackInfo& info) {
  constexpr int TRIES = 16;
  Napi::Env env = info.Env();
  ClockReading reading = Clock::get().read(CLOCK_REALTIME, TRIES);
  Napi::Object object = Napi::Object::New(env);
  object.Set("timelineNs", static_cast<double>(reading.timeline_ns));
  object.Set("offsetNs",
             Napi::BigInt::New(env, reading.clock_ns - static_cast<int64_t>(reading.timeline_ns)));
  object.Set("widthNs", static_cast<double>(reading.width_ns));
  return object;
}

// What the kernel was told of the system's clock by whoever disciplines it (adjtimex(2)).
Napi::Value clock_discipline(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  timex state{};
  int found = adjtimex(&state);
  if (found < 0) throw system_error("read the state of the system's clock", errno);
  Napi::Object object = Napi::Object::New(env);
  object.Set("synchronised", found != TIME_ERROR && (state.status & STA_UNSYNC) == 0);
  object.Set("maxErrorNs", static_cast<double>(state.maxerror) * 1e3);
  object.Set("estimatedErrorNs", static_cast<double>(state.esterror) * 1e3);
  object.Set("taiOffsetS", static_cast<double>(state.tai));
  return object;
}

Napi::Value backend_names(const Napi::CallbackInfo& info) {
  std::vector<std::string> names;
  for (const BackendEntry& backend : backends()) names.emplace_back(backend.name);
  return write_strings(info.Env(), names);
}

Napi::Value strategy_names(const Napi::CallbackInfo& info) {
  return write_strings(info.Env(), {std::begin(STRATEGY_NAMES), std::end(STRATEGY_NAMES)});
}

Napi::Value probe_backends(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  IoConfig config{};
  config.link = read_link(info[0].ToObject());
  config.queue = info[1].ToNumber().Uint32Value();
  bool tries = info[2].ToBoolean();
  config.cpu = -1;
  config.ring_size = 256;
  config.vlan = -1;
  config.ttl = 1;
  config.local_port = config.send_port = 0;  // any free one
  config.copy_mode = config.xdp_mode = "auto";
  config.timestamps = Provenance::tsc;
  Napi::Array result = Napi::Array::New(env);
  for (const BackendEntry& backend : backends()) {
    std::string reason;
    std::string hint;
    try {
      in_network_namespace(config.link.network_namespace, [&] { reason = backend.probe(config, tries); });
    } catch (const Error& error) {
      reason = error.operation + ": " + error.detail;
      hint = error.hint;
    }
    Napi::Array roles = Napi::Array::New(env);
    if (backend.generate != nullptr) roles[roles.Length()] = Napi::String::New(env, "generator");
    if (backend.respond != nullptr) roles[roles.Length()] = Napi::String::New(env, "responder");
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", std::string(backend.name));
    object.Set("roles", roles);
    object.Set("tried", tries);
    object.Set("reason", reason);
    object.Set("hint", hint);
    result[result.Length()] = object;
  }
  return result;
}

Napi::Value spread_queues_of(const Napi::CallbackInfo& info) {
  Link link = read_link(info[0].ToObject());
  std::vector<uint32_t> queues;
  in_network_namespace(link.network_namespace, [&] { queues = spread_queues(link); });
  Napi::Array result = Napi::Array::New(info.Env());
  for (uint32_t queue : queues) result[result.Length()] = queue;
  return result;
}

Napi::Value timestamping(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Link link = read_link(info[0].ToObject());
  TimestampingInfo found{};
  in_network_namespace(link.network_namespace, [&] { found = timestamping_info(link); });
  Napi::Object object = Napi::Object::New(env);
  object.Set("hardwareTx", found.hardware_tx);
  object.Set("hardwareRx", found.hardware_rx);
  object.Set("softwareTx", found.software_tx);
  object.Set("softwareRx", found.software_rx);
  object.Set("phcIndex", found.phc_index);
  return object;
}

Napi::Value launch_time(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Link link = read_link(info[0].ToObject());
  bool found = false;
  in_network_namespace(link.network_namespace, [&] { found = has_launch_time(link); });
  return Napi::Boolean::New(env, found);
}

Napi::Value driver_drops(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Link link = read_link(info[0].ToObject());
  int64_t found = -1;
  in_network_namespace(link.network_namespace, [&] { found = veth_drops(link); });
  if (found < 0) return env.Null();
  return Napi::Number::New(env, static_cast<double>(found));
}

// Null where the kernel does not say.
Napi::Value xdp_features_of(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Link link = read_link(info[0].ToObject());
  std::optional<uint64_t> found;
  in_network_namespace(link.network_namespace, [&] { found = xdp_features(link); });
  return found ? Napi::Number::New(env, static_cast<double>(*found)) : env.Null();
}

Napi::Value restore_nics(const Napi::CallbackInfo& info) {
  return write_strings(info.Env(), restore_timestamping());
}

// Returns a function that gives the next ticks: the generator's own schedule and content, without a loop.
Napi::Value sample_feed(const Napi::CallbackInfo& info) {
  struct Feed {
    std::unique_ptr<Arrival> arrival;
    TickSource source;
  };
  Napi::Env env = info.Env();
  Napi::Object config = info[0].ToObject();
  auto feed = std::make_shared<Feed>(Feed{make_arrival(read_schedule(config.Get("schedule").ToObject())),
                                          TickSource(read_ticks(config.Get("ticks").ToObject()))});
  return make_function(env, [feed](const Napi::CallbackInfo& call) -> Napi::Value {
    constexpr uint32_t MOST = 1'000'000;
    uint32_t count = std::min(call[0].ToNumber().Uint32Value(), MOST);
    Napi::Object object = Napi::Object::New(call.Env());
    auto times = Napi::Float64Array::New(call.Env(), count);
    auto symbols = Napi::Uint32Array::New(call.Env(), count);
    auto prices = Napi::Uint32Array::New(call.Env(), count);
    auto quantities = Napi::Uint32Array::New(call.Env(), count);
    double* time = times.Data();
    uint32_t* values[] = {symbols.Data(), prices.Data(), quantities.Data()};
    for (uint32_t i = 0; i < count; i++) {
      time[i] = static_cast<double>(feed->arrival->next_ns());
      Tick tick = feed->source.next();
      values[0][i] = feed->source.symbol();
      values[1][i] = tick.price;
      values[2][i] = tick.quantity;
    }
    object.Set("planned_ns", times);
    object.Set("symbols", symbols);
    object.Set("prices", prices);
    object.Set("quantities", quantities);
    return object;
  });
}

// The names of the counters of frames that the parser refused.
Napi::Value refusal_reasons(const Napi::CallbackInfo& info) {
  std::vector<std::string> names(std::begin(PARSE_RESULT_NAMES) + 1,
                                 std::end(PARSE_RESULT_NAMES));  // but for ok
  return write_strings(info.Env(), names);
}

// Returns a function that detaches it again; the end of the process does, too.
Napi::Value attach_pass(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Link link = read_link(info[0].ToObject());
  auto attached = std::make_shared<Fd>();
  in_network_namespace(link.network_namespace, [&] { *attached = attach_xdp_pass(link); });
  return make_function(env, [attached](const Napi::CallbackInfo&) { *attached = Fd(); });
}

// Spins on a core: nothing but what the loops do between two packets.
class SpinWorker : public Napi::AsyncWorker {
 public:
  SpinWorker(const Napi::Function& on_end, int cpu, uint64_t duration_ns, uint64_t threshold_ns)
      : Napi::AsyncWorker(on_end), cpu_(cpu), duration_ns_(duration_ns), watch_(threshold_ns) {}

  // On a thread of its own: libuv's would stay pinned.
  void Execute() override {
    auto guarded_spin = [this] {
      try {
        spin();
      } catch (...) {
        failure_ = current_error("watch a core");
      }
    };
    try {
      std::thread(guarded_spin).join();
    } catch (...) {
      failure_ = current_error("watch a core");
    }
  }

  std::vector<napi_value> GetResult(Napi::Env env) override {
    return outcome(env, failure_, [&] { return write_turns(env, watch_); });
  }

 private:
  void spin() {
    pin_to_cpu(cpu_);
    gather_evidence(watch_.evidence(), cpu_);
    const Clock& clock = Clock::get();
    uint64_t now_ns = clock.now_ns();
    uint64_t end_ns = now_ns + duration_ns_;
    watch_.begin(now_ns);
    while (now_ns < end_ns) {
      now_ns = clock.now_ns();
      watch_.turn(now_ns);
    }
  }

  int cpu_;
  uint64_t duration_ns_;
  TurnWatch watch_;
  std::optional<Error> failure_;
};

void spin_on_core(const Napi::CallbackInfo& info) {
  auto* worker = new SpinWorker(info[3].As<Napi::Function>(), info[0].ToNumber().Int32Value(),
                                static_cast<uint64_t>(info[1].ToNumber().Int64Value()),
                                static_cast<uint64_t>(info[2].ToNumber().Int64Value()));
  worker->Queue();  // deletes itself
}

// The main thread's own namespace, while it is in another one.
int home_namespace = -1;

void leave_namespace(const Napi::CallbackInfo&) {
  if (home_namespace < 0) return;
  setns(home_namespace, CLONE_NEWNET);
  close(home_namespace);
  home_namespace = -1;
}

void enter_namespace(const Napi::CallbackInfo& info) {
  if (home_namespace >= 0)
    throw Error(ErrorCode::internal, "enter a namespace", "the thread is in another already");
  home_namespace = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
  if (home_namespace < 0) throw system_error("open /proc/thread-self/ns/net", errno);
  try {
    enter_network_namespace(info[0].ToString().Utf8Value());
  } catch (...) {
    close(home_namespace);
    home_namespace = -1;
    throw;
  }
}

// Takes the lock of an open file (flock(2)), which goes when the file is closed; false: another process has
// it.
Napi::Value try_lock(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  bool is_taken = flock(info[0].ToNumber().Int32Value(), LOCK_EX | LOCK_NB) == 0;
  if (!is_taken && errno != EWOULDBLOCK && errno != EINTR) throw system_error("lock a file", errno);
  return Napi::Boolean::New(env, is_taken);
}

void confine(const Napi::CallbackInfo&) { confine_process({}); }

Napi::Value privileges(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Array result = Napi::Array::New(env);
  for (const ThreadPrivileges& found : read_privileges()) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("id", found.thread_id);
    object.Set("name", found.name);
    object.Set("capabilities", Napi::BigInt::New(env, found.capabilities));
    object.Set("noNewPrivileges", found.no_new_privileges);
    result[result.Length()] = object;
  }
  return result;
}

void set_watcher(const Napi::CallbackInfo& info) {
  Napi::Array words = info[0].As<Napi::Array>();
  std::vector<std::string> command;
  for (uint32_t i = 0; i < words.Length(); i++) command.push_back(words.Get(i).ToString().Utf8Value());
  Watcher::set_command(std::move(command));
}

// Returns a function that has everything put back now that nobody holds, and tells whether that has worked;
// called with true it lets go instead.
Napi::Value hold_watcher(const Napi::CallbackInfo& info) {
  auto held = std::make_shared<std::shared_ptr<Watcher>>(Watcher::hold(info[0].ToString().Utf8Value()));
  return make_function(info.Env(), [held](const Napi::CallbackInfo& call) -> Napi::Value {
    if (call[0].ToBoolean()) held->reset();
    return Napi::Boolean::New(call.Env(), *held && (*held)->put_back());
  });
}

// This process is killed when the one that started it ends, however that ends (prctl(2), PR_SET_PDEATHSIG).
void end_with_parent(const Napi::CallbackInfo& info) {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) throw system_error("end with the parent process", errno);
}

Napi::Object initialise(Napi::Env env, Napi::Object exports) {
  exports.Set("layoutHash", CAROM_WIRE_LAYOUT_HASH);
  export_function<clock>(env, exports, "clock");
  export_function<read_clocks>(env, exports, "readClocks");
  export_function<read_realtime>(env, exports, "readRealtime");
  export_function<clock_discipline>(env, exports, "clockDiscipline");
  export_function<backend_names>(env, exports, "backendNames");
  export_function<strategy_names>(env, exports, "strategyNames");
  export_function<probe_backends>(env, exports, "probeBackends");
  export_function<spread_queues_of>(env, exports, "spreadQueues");
  export_function<timestamping>(env, exports, "timestampingInfo");
  export_function<launch_time>(env, exports, "launchTime");
  export_function<driver_drops>(env, exports, "driverDrops");
  export_function<xdp_features_of>(env, exports, "xdpFeatures");
  export_function<restore_nics>(env, exports, "restoreTimestamping");
  export_function<refusal_reasons>(env, exports, "refusalReasons");
  export_function<sample_feed>(env, exports, "sampleFeed");
  export_function<attach_pass>(env, exports, "attachXdpPass");
  export_function<spin_on_core>(env, exports, "spinOnCore");
  export_function<enter_namespace>(env, exports, "enterNamespace");
  export_function<confine>(env, exports, "confineProcess");
  export_function<privileges>(env, exports, "privileges");
  export_function<end_with_parent>(env, exports, "endWithParent");
  export_function<set_watcher>(env, exports, "setWatcher");
  export_function<hold_watcher>(env, exports, "holdWatcher");
  export_function<try_lock>(env, exports, "tryLock");
  export_function<leave_namespace>(env, exports, "leaveNamespace");
  export_arrivals(env, exports);
  export_roles(env, exports);
  export_frame_socket(env, exports);
  export_inspect(env, exports);
  export_link_watch(env, exports);
  export_phc(env, exports);
  export_preview(env, exports);
  export_filter(env, exports);
  return exports;
}

}  // namespace

NODE_API_MODULE(carom, initialise)

}  // namespace carom
