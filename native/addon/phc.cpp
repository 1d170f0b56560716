#include "addon/phc.h"

#include <memory>

#include "addon/convert.h"
#include "addon/entry.h"
#include "io/phc.h"

namespace carom {
namespace {

// Returns a function that reads the clock; called with true it closes it instead.
Napi::Value open_phc(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    auto opened =
        std::make_shared<std::unique_ptr<Phc>>(std::make_unique<Phc>(info[0].ToString().Utf8Value()));
    return make_function(env, [opened](const Napi::CallbackInfo& call) -> Napi::Value {
      if (call[0].ToBoolean()) opened->reset();
      if (!*opened) return call.Env().Null();
      return guarded(call.Env(), [&]() -> Napi::Value {
        PhcReading reading = (*opened)->read();
        Napi::Object object = Napi::Object::New(call.Env());
        object.Set("phcNs", Napi::BigInt::New(call.Env(), reading.phc_ns));
        object.Set("systemNs", Napi::BigInt::New(call.Env(), reading.system_ns));
        object.Set("isRaw", reading.is_raw);
        object.Set("widthNs", static_cast<double>(reading.width_ns));
        object.Set("method", std::string((*opened)->method()));
        return object;
      });
    });
  });
}

}  // namespace

void export_phc(Napi::Env env, Napi::Object exports) { export_function<open_phc>(env, exports, "openPhc"); }

}  // namespace carom
