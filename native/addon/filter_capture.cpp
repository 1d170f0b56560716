#include "addon/filter_capture.h"

#include <chrono>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "addon/convert.h"
#include "addon/entry.h"
#include "addon/fields.h"
#include "addon/inspect.h"
#include "filter/language.h"
#include "loop/filter_capture.h"

namespace carom {
namespace {

constexpr uint32_t ROUNDS_MAX = 1000;

FilterCaptureConfig read_config(const Napi::Object& object) {
  return {text(object, "expression"), text(object, "engine"), text(object, "path"), text(object, "write"),
          integer<uint32_t>(object, "rounds", 0, ROUNDS_MAX)};
}

Napi::Array write_figures(Napi::Env env, const FilterCapture& capture) {
  Napi::Array list = Napi::Array::New(env);
  for (const EngineFigure& figure : capture.figures()) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", figure.name);
    object.Set("reason", figure.reason);
    object.Set("accepted", static_cast<double>(figure.accepted));
    Napi::Array rounds = Napi::Array::New(env);
    for (double ns : figure.ns_a_packet) rounds[rounds.Length()] = Napi::Number::New(env, ns);
    object.Set("nsPerPacket", rounds);
    list[list.Length()] = object;
  }
  return list;
}

Napi::Object write_result(Napi::Env env, const FilterCapture& capture) {
  Napi::Object object = Napi::Object::New(env);
  const CaptureEnd& end = capture.reader().end();
  object.Set("engine", std::string(capture.filter().engine()));
  object.Set("never", capture.filter().never());
  object.Set("always", capture.filter().always());
  object.Set("frames", static_cast<double>(capture.frames()));
  object.Set("accepted", static_cast<double>(capture.accepted()));
  object.Set("acceptedBytes", static_cast<double>(capture.accepted_bytes()));
  object.Set("written", static_cast<double>(capture.written()));
  object.Set("readerGone", capture.is_reader_gone());
  object.Set("notEthernet", static_cast<double>(capture.not_ethernet()));
  object.Set("linkType", capture.reader().link_types_text());
  object.Set("remarks", write_remarks(env, capture.remarks()));
  object.Set("broken", end.broken.empty() ? std::string() : end.text());
  object.Set("cancelled", capture.is_cancelled());
  object.Set("measuredFrames", static_cast<double>(capture.measured_frames()));
  object.Set("figures", write_figures(env, capture));
  return object;
}

// Runs on a thread of libuv; the capture is shared with whoever may cancel it.
class FilterWorker : public Napi::AsyncWorker {
 public:
  FilterWorker(const Napi::Function& on_end, std::shared_ptr<FilterCapture> capture)
      : Napi::AsyncWorker(on_end), capture_(std::move(capture)) {}

  void Execute() override {
    try {
      capture_->run();
    } catch (...) {
      failure_ = current_error("filter a capture");
    }
  }

  std::vector<napi_value> GetResult(Napi::Env env) override {
    return outcome(env, failure_, [&] { return write_result(env, *capture_); });
  }

 private:
  std::shared_ptr<FilterCapture> capture_;
  std::optional<Error> failure_;
};

// Returns a function that ends it early.
Napi::Value filter_capture(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto capture = std::make_shared<FilterCapture>(read_config(info[0].ToObject()));
  (new FilterWorker(info[1].As<Napi::Function>(), capture))->Queue();
  return make_function(env, [capture](const Napi::CallbackInfo&) { capture->cancel(); });
}

// What a thread that compiles a filter makes known; it may outlive everything else of the process but this.
struct Compiling {
  std::mutex mutex;
  bool has_ended = false;
  std::optional<Error> failure;
};

// Compiles a filter beside this thread. Whatever then uses it in this process does not compile it again.
// Returns a function that tells whether it has ended, or throws what was wrong. The thread is waited for by
// nobody, not even at the end of the process: libpcap can't be told to stop.
Napi::Value compile_beside(const Napi::CallbackInfo& info) {
  auto compiling = std::make_shared<Compiling>();
  std::thread([compiling, expression = info[0].ToString().Utf8Value()] {
    pthread_setname_np(pthread_self(), "carom-filter");
    std::optional<Error> failure;
    try {
      compile_filter(expression);
    } catch (...) {
      failure = current_error("compile a filter");
    }
    std::lock_guard lock(compiling->mutex);
    compiling->failure = std::move(failure);
    compiling->has_ended = true;
  }).detach();
  return make_function(info.Env(), [compiling](const Napi::CallbackInfo& call) -> Napi::Value {
    std::lock_guard lock(compiling->mutex);
    if (compiling->failure) throw *compiling->failure;
    return Napi::Boolean::New(call.Env(), compiling->has_ended);
  });
}

Napi::Value explain_filter(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto begin = std::chrono::steady_clock::now();
  Program program = compile_filter(info[0].ToString());
  auto compiled = std::chrono::steady_clock::now();
  std::string engine = info[1].ToString();
  Filter filter(Program(program), {engine});
  auto made = std::chrono::steady_clock::now();
  Filter listed(std::move(program), {engine, FILTER_FRAME, true});
  Napi::Object object = Napi::Object::New(env);
  object.Set("engine", std::string(filter.engine()));
  object.Set("never", filter.never());
  object.Set("always", filter.always());
  object.Set("program", filter.program().listing());
  object.Set("simplified", filter.graph().listing());
  object.Set("head", filter.head_graph() != nullptr ? filter.head_graph()->listing() : std::string());
  object.Set("code", listed.listing());
  object.Set("codeBytes", static_cast<double>(filter.code_bytes()));
  object.Set("compileNs", std::chrono::duration<double, std::nano>(compiled - begin).count());
  object.Set("makeNs", std::chrono::duration<double, std::nano>(made - compiled).count());
  return object;
}

Napi::Value engines(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Napi::Array list = Napi::Array::New(env);
  for (const FilterEngine& engine : filter_engines()) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("name", std::string(engine.name));
    object.Set("says", std::string(engine.says));
    object.Set("reason", engine.probe());
    list[list.Length()] = object;
  }
  return list;
}

}  // namespace

void export_filter(Napi::Env env, Napi::Object exports) {
  export_function<filter_capture>(env, exports, "filterCapture");
  export_function<explain_filter>(env, exports, "explainFilter");
  export_function<compile_beside>(env, exports, "compileBeside");
  export_function<engines>(env, exports, "filterEngines");
}

}  // namespace carom
