#include "addon/phc.h"

#include <memory>

#include "addon/convert.h"
#include "addon/entry.h"
#include "io/phc.h"
#include "io/wire_probe.h"

namespace carom {
namespace {

// Returns a function that reads the clock; called with true it closes it instead.
Napi::Value open_phc(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto opened = std::make_shared<std::unique_ptr<Phc>>(std::make_unique<Phc>(info[0].ToString().Utf8Value()));
  return make_function(env, [opened](const Napi::CallbackInfo& call) -> Napi::Value {
    if (call[0].ToBoolean()) opened->reset();
    if (!*opened) return call.Env().Null();
    PhcReading reading = (*opened)->read();
    Napi::Object object = Napi::Object::New(call.Env());
    object.Set("phcNs", Napi::BigInt::New(call.Env(), reading.phc_ns));
    object.Set("systemNs", Napi::BigInt::New(call.Env(), reading.system_ns));
    object.Set("isRaw", reading.is_raw);
    object.Set("realtimeNs", Napi::BigInt::New(call.Env(), reading.realtime_ns));
    object.Set("widthNs", static_cast<double>(reading.width_ns));
    object.Set("method", std::string((*opened)->method()));
    return object;
  });
}

constexpr uint32_t PROBES_MAX = 64;  // a call: JavaScript waits meanwhile

// Returns a function that sends so many frames, and tells of each when it left and when it arrived; called
// with 0 it closes both ports.
Napi::Value open_wire(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Link from = read_link(info[0].ToObject());
  Link to = read_link(info[1].ToObject());
  auto opened = std::make_shared<std::unique_ptr<WireProbe>>(std::make_unique<WireProbe>(from, to));
  return make_function(env, [opened](const Napi::CallbackInfo& call) -> Napi::Value {
    uint32_t count = std::min(call[0].ToNumber().Uint32Value(), PROBES_MAX);
    if (count == 0) opened->reset();
    if (!*opened) return call.Env().Null();
    Napi::BigUint64Array stamps = Napi::BigUint64Array::New(call.Env(), 2 * size_t{count});
    for (uint32_t i = 0; i < count; i++) {
      WireProbe::Stamps found = (*opened)->probe();
      stamps[2 * i] = found.sent_ns;
      stamps[2 * i + 1] = found.arrived_ns;
    }
    return stamps;
  });
}

}  // namespace

void export_phc(Napi::Env env, Napi::Object exports) {
  export_function<open_phc>(env, exports, "openPhc");
  export_function<open_wire>(env, exports, "openWire");
}

}  // namespace carom
