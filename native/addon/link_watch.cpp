#include "addon/link_watch.h"

#include <memory>

#include "addon/convert.h"
#include "addon/entry.h"
#include "core/thread.h"
#include "io/link_watch.h"

namespace carom {
namespace {

// A watch, and what tells JavaScript.
struct Watched {
  Watched(Napi::Env env, const Napi::Function& on_gone)
      : tell(Napi::ThreadSafeFunction::New(env, on_gone, "link", 0, 1)) {
    tell.Unref(env);
  }
  // Where nobody has ended it the whole process ends, and JavaScript is not to be told of anything.
  ~Watched() { watch.reset(); }

  void end() {
    watch.reset();  // its thread first
    tell.Release();
  }

  Napi::ThreadSafeFunction tell;
  std::unique_ptr<LinkWatch> watch;
};

// Returns a function that tells what was found; called with true it ends the watch, too.
Napi::Value watch_link(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Link link = read_link(info[0].ToObject());
  auto watched = std::make_shared<Watched>(env, info[1].As<Napi::Function>());
  in_network_namespace(link.network_namespace, [&] {
    watched->watch =
        std::make_unique<LinkWatch>(link, [tell = watched->tell]() mutable { tell.NonBlockingCall(); });
  });
  return make_function(env, [watched](const Napi::CallbackInfo& call) -> Napi::Value {
    if (!watched->watch) return call.Env().Null();
    LinkFindings found = watched->watch->findings();
    if (call[0].ToBoolean()) watched->end();
    Napi::Object object = Napi::Object::New(call.Env());
    object.Set("outages", static_cast<double>(found.outages));
    object.Set("down_ns", static_cast<double>(found.down_ns));
    object.Set("first_ns", static_cast<double>(found.first_ns));
    object.Set("gone", found.gone);
    object.Set("gone_ns", static_cast<double>(found.gone_ns));
    object.Set("resets", static_cast<double>(found.resets));
    Napi::Object lost = Napi::Object::New(call.Env());
    for (size_t i = 0; i < found.lost.size(); i++)
      lost.Set(LinkWatch::COUNTERS[i], static_cast<double>(found.lost[i]));
    object.Set("lost", lost);
    return object;
  });
}

}  // namespace

void export_link_watch(Napi::Env env, Napi::Object exports) {
  export_function<watch_link>(env, exports, "watchLink");
}

}  // namespace carom
