#include "addon/roles.h"

#include <memory>

#include "addon/arrivals.h"
#include "addon/capture.h"
#include "addon/convert.h"
#include "addon/entry.h"
#include "core/clock.h"
#include "loop/backends.h"

namespace carom {
namespace {

// What plays a role on the backend that the configuration names. Throws Error when that one can't.
template <class RoleType>
auto backend_body(const Napi::Object& object, void (*BackendEntry::*body)(RoleType&), const char* role) {
  std::string name = object.Get("io").As<Napi::Object>().Get("backend").ToString().Utf8Value();
  auto found = find_backend(name).*body;
  if (found == nullptr)
    throw Error(ErrorCode::usage, std::string("open the ") + role, name + " can't play that role");
  return found;
}

void write_nic_stamps(Napi::Env env, Napi::Object& object, const NicStampLogs& logs) {
  object.Set("nicSent", write_passages(env, logs.sent));
  object.Set("nicReceived", write_passages(env, logs.received));
}

struct GeneratorTraits {
  static constexpr const char* NAME = "Generator";
  using RoleType = GeneratorRole;
  static GeneratorConfig read(const Napi::Object& object) { return read_generator(object); }
  static auto body(const Napi::Object& object) { return backend_body(object, &BackendEntry::generate, NAME); }
  static void result(Napi::Env env, Napi::Object& object, GeneratorRole& role) {
    object.Set("latencyPlanned", write_histogram(env, role.ledger.latency_planned()));
    object.Set("latencyActual", write_histogram(env, role.ledger.latency_actual()));
    object.Set("lateness", write_histogram(env, role.lateness));
    object.Set("gapErrors", write_histogram(env, role.pacing.gap_errors()));
    object.Set("firstErrors", write_ns(env, role.pacing.first()));
    object.Set("lastErrors", write_ns(env, role.pacing.last()));
    object.Set("warmup", write_histogram(env, role.ledger.warmup()));
    object.Set("slowest", write_intervals(env, role.ledger.slowest().intervals()));
    object.Set("latest", write_intervals(env, role.latest.intervals()));
    object.Set("parts", write_parts(env, role.ledger.parts()));
    object.Set("changes", write_changes(env, role.changes, role.measured_from_ns));
    object.Set("schedule", write_schedule(env, role.schedule));
    object.Set("examples", write_examples(env, role.ledger.examples()));
    object.Set("refreshes", write_refreshes(env, role.ledger.refreshes()));
    object.Set("recent", write_examples(env, role.ledger.recent().take()));
    object.Set("lines", write_lines(env, role.lines));
    object.Set("streams", write_streams(env, role.ledger.streams()));
    object.Set("replay", write_replay(env, role.replay.get()));
    object.Set("sends", write_passages(env, role.sends));
    object.Set("answers", write_passages(env, role.answers));
    write_nic_stamps(env, object, role.nic);
    object.Set("unlogged",
               static_cast<double>(role.sends.dropped() + role.answers.dropped() + role.nic.dropped()));
    object.Set("capture", role.capture ? write_captured(env, role.capture->writer()) : env.Null());
  }
};

struct ResponderTraits {
  static constexpr const char* NAME = "Responder";
  using RoleType = ResponderRole;
  static ResponderConfig read(const Napi::Object& object) { return read_responder(object); }
  static auto body(const Napi::Object& object) { return backend_body(object, &BackendEntry::respond, NAME); }
  static void result(Napi::Env env, Napi::Object& object, const ResponderRole& role) {
    object.Set("processing", write_histogram(env, role.processing));
    object.Set("passages", write_passages(env, role.passages));
    write_nic_stamps(env, object, role.nic);
    object.Set("unlogged", static_cast<double>(role.passages.dropped() + role.nic.dropped()));
  }
};

struct CaptureTraits {
  static constexpr const char* NAME = "Capture";
  using RoleType = CaptureRole;
  static CaptureConfig read(const Napi::Object& object) { return read_capture(object); }
  static auto body(const Napi::Object&) { return &capture; }
  static void result(Napi::Env env, Napi::Object& object, const CaptureRole& role) {
    object.Set("captured", write_captured(env, *role.writer));
    object.Set("first_ns", Napi::BigInt::New(env, role.counters.first_ns.get()));
    object.Set("last_ns", Napi::BigInt::New(env, role.counters.last_ns.get()));
    object.Set("failure", role.failure ? to_javascript(env, *role.failure).Value() : env.Null());
  }
};

template <class Traits>
class RoleObject : public Wrapped<RoleObject<Traits>> {
 public:
  static void define(Napi::Env env, Napi::Object exports) {
    std::vector<Napi::ClassPropertyDescriptor<RoleObject>> methods = {
        RoleObject::template method<&RoleObject::start>("start"),
        RoleObject::template method<&RoleObject::stop>("stop"),
        RoleObject::template method<&RoleObject::counters>("counters"),
        RoleObject::template method<&RoleObject::result>("result"),
        RoleObject::template method<&RoleObject::close>("close"),
        RoleObject::template method<&RoleObject::notes>("notes"),
        RoleObject::template method<&RoleObject::thread_id>("threadId"),
    };
    if constexpr (std::is_same_v<Traits, ResponderTraits>) {
      methods.push_back(RoleObject::template method<&RoleObject::change>("change"));
      methods.push_back(RoleObject::template method<&RoleObject::processing>("processing"));
      methods.push_back(RoleObject::template method<&RoleObject::trace>("trace"));
      methods.push_back(RoleObject::template method<&RoleObject::is_tracing>("isTracing"));
      methods.push_back(RoleObject::template method<&RoleObject::take_trace>("takeTrace"));
      methods.push_back(RoleObject::template method<&RoleObject::arrivals>("arrivals"));
    } else if constexpr (std::is_same_v<Traits, GeneratorTraits>) {
      methods.push_back(RoleObject::template method<&RoleObject::stamped_by>("stampedBy"));
      methods.push_back(RoleObject::template method<&RoleObject::snapshot>("snapshot"));
      methods.push_back(RoleObject::template method<&RoleObject::take_recent>("takeRecent"));
      methods.push_back(RoleObject::template method<&RoleObject::refreshing>("refreshing"));
      methods.push_back(RoleObject::template method<&RoleObject::set_rate>("setRate"));
      methods.push_back(RoleObject::template method<&RoleObject::set_window>("setWindow"));
    }
    exports.Set(Traits::NAME, RoleObject::DefineClass(env, Traits::NAME, methods));
  }

  explicit RoleObject(const Napi::CallbackInfo& info) : Wrapped<RoleObject>(info) {
    Napi::Env env = info.Env();
    guarded(env, [&] {
      if (info.Length() < 1 || !info[0].IsObject()) {
        throw Error(ErrorCode::internal, "open a role", "no configuration was given");
      }
      Napi::Object object = info[0].As<Napi::Object>();
      role_ = std::make_unique<typename Traits::RoleType>(Traits::read(object));
      auto body = Traits::body(object);
      // The thread of another queue of the same interface: one XDP program serves both.
      if (info.Length() > 1 && info[1].IsObject()) {
        const auto& other = *RoleObject::Unwrap(info[1].As<Napi::Object>())->role_;
        role_->program = other.program;
        if constexpr (std::is_same_v<Traits, GeneratorTraits>) role_->siblings = other.siblings;
      }
      role_->open([body, role = role_.get()] { body(*role); });
    });
    // The environment's end, a worker's or the process's, closes what was not closed.
    napi_add_env_cleanup_hook(env, &RoleObject::close_hook, this);
    hooked_ = true;
  }

  void Finalize(Napi::Env env) override {
    if (hooked_) napi_remove_env_cleanup_hook(env, &RoleObject::close_hook, this);
    if (role_) role_->close();
  }

 private:
  static void close_hook(void* self) { static_cast<RoleObject*>(self)->role_->close(); }

  void start(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (info.Length() < 1 || !info[0].IsFunction()) throw Napi::TypeError::New(env, "start needs a function");
    auto on_end = Napi::ThreadSafeFunction::New(env, info[0].As<Napi::Function>(), Traits::NAME, 0, 1);
    try {
      role_->start([on_end](const std::optional<Error>& failure) mutable {
        on_end.NonBlockingCall([failure](Napi::Env callback_env, Napi::Function callback) {
          callback.Call({failure ? to_javascript(callback_env, *failure).Value() : callback_env.Null()});
        });
        on_end.Release();
      });
    } catch (...) {
      on_end.Release();
      throw;
    }
  }

  void stop(const Napi::CallbackInfo&) { role_->stop(); }

  Napi::Value notes(const Napi::CallbackInfo& info) { return write_strings(info.Env(), role_->notes()); }

  Napi::Value counters(const Napi::CallbackInfo& info) { return write_counters(info.Env(), *role_); }

  Napi::Value result(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    Napi::Object object = Napi::Object::New(env);
    role_->close();  // what is read now must not change any more
    object.Set("counters", write_counters(env, *role_));
    object.Set("turns", write_turns(env, role_->watch));
    object.Set("notes", write_strings(env, role_->notes()));
    Traits::result(env, object, *role_);
    return object;
  }

  void change(const Napi::CallbackInfo& info) { role_->change(read_settings(info[0].ToObject())); }

  Napi::Value processing(const Napi::CallbackInfo& info) {
    return write_histogram(info.Env(), role_->processing);
  }

  // Null ends it.
  void trace(const Napi::CallbackInfo& info) {
    role_->trace.request(info[0].IsObject() ? read_trace_request(info[0].As<Napi::Object>()) : nullptr);
  }

  Napi::Value is_tracing(const Napi::CallbackInfo& info) {
    return Napi::Boolean::New(info.Env(), role_->trace.is_on());
  }

  Napi::Value take_trace(const Napi::CallbackInfo& info) {
    Napi::Object object = Napi::Object::New(info.Env());
    object.Set("records", write_trace(info.Env(), role_->trace.take()));
    object.Set("lost", static_cast<double>(role_->trace.lost.get()));
    return object;
  }

  Napi::Value thread_id(const Napi::CallbackInfo& info) {
    return Napi::Number::New(info.Env(), role_->thread_id());
  }

  // What its XDP program stamps.
  Napi::Value arrivals(const Napi::CallbackInfo& info) {
    Napi::Env env = info.Env();
    if (!role_->program || !role_->io.stamps_arrivals)
      throw Error(ErrorCode::internal, "read the stamps of arrivals", "no program stamps them");
    return write_arrivals(env, std::make_shared<Arrivals>(role_->program));
  }

  // Before start: who is to be told from when on ticks are measured.
  void stamped_by(const Napi::CallbackInfo& info) {
    if (role_->replay) {
      std::shared_ptr<Arrivals> trailing = read_arrivals(info[0]);
      role_->replay->trail = std::shared_ptr<Trail>(trailing, &trailing->trail());
    }
    role_->on_measured_from = [stamps = read_arrivals(info[0])](uint64_t timestamp) {
      stamps->measure_from(timestamp);
    };
  }

  // While it runs: the thread writes on, so that the last values may be missing.
  Napi::Value snapshot(const Napi::CallbackInfo& info) {
    const Ledger& ledger = role_->ledger;
    Napi::Object object = Napi::Object::New(info.Env());
    bool planned = ledger.parts().planned();
    object.Set("latency",
               write_recorded(info.Env(), planned ? ledger.latency_planned() : ledger.latency_actual()));
    object.Set("lateness", write_recorded(info.Env(), role_->lateness));
    return object;
  }

  // Whether the user interface is being drawn.
  void refreshing(const Napi::CallbackInfo& info) {
    Refreshes& refreshes = role_->ledger.refreshes();
    uint64_t now_ns = Clock::get().now_ns();
    if (info[0].ToBoolean()) return refreshes.begin(now_ns);
    refreshes.end(now_ns);
  }

  // While it runs; false when it was changed too often.
  Napi::Value set_rate(const Napi::CallbackInfo& info) {
    double wanted = info[0].ToNumber().DoubleValue();
    if (!(wanted >= 1 && wanted <= 1e15))
      throw Error(ErrorCode::usage, "change the rate", "from 0.001 to 1e12 a second");
    return Napi::Boolean::New(info.Env(), role_->changes.ask_rate(static_cast<uint64_t>(wanted)));
  }
  Napi::Value set_window(const Napi::CallbackInfo& info) {
    double wanted = info[0].ToNumber().DoubleValue();
    if (!(wanted >= 1 && wanted <= 65'536))
      throw Error(ErrorCode::usage, "change the window", "from 1 to 65536");
    return Napi::Boolean::New(info.Env(), role_->changes.ask_window(static_cast<uint32_t>(wanted)));
  }

  Napi::Value take_recent(const Napi::CallbackInfo& info) {
    return write_examples(info.Env(), role_->ledger.recent().take());
  }

  void close(const Napi::CallbackInfo&) {
    role_->close();
    if constexpr (std::is_same_v<Traits, GeneratorTraits>) {
      // Its program goes with the last who holds it, and that must not be whoever collects garbage.
      role_->on_measured_from = nullptr;
      if (role_->replay) role_->replay->trail.reset();
    }
  }

  std::unique_ptr<typename Traits::RoleType> role_;
  bool hooked_ = false;
};

}  // namespace

void export_roles(Napi::Env env, Napi::Object exports) {
  RoleObject<GeneratorTraits>::define(env, exports);
  RoleObject<ResponderTraits>::define(env, exports);
  RoleObject<CaptureTraits>::define(env, exports);
}

}  // namespace carom
