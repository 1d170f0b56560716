#include "addon/arrivals.h"

#include "addon/convert.h"
#include "addon/entry.h"
#include "addon/fields.h"
#include "core/thread.h"

namespace carom {
namespace {

template <class T>
Napi::Float64Array write_numbers(Napi::Env env, const std::vector<T>& numbers) {
  Napi::Float64Array result = Napi::Float64Array::New(env, numbers.size());
  for (size_t i = 0; i < numbers.size(); i++) result[i] = static_cast<double>(numbers[i]);
  return result;
}

Napi::Value attach(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  Link link = read_link(info[0].ToObject());
  uint16_t port = static_cast<uint16_t>(info[1].ToNumber().Uint32Value());
  std::shared_ptr<Arrivals> arrivals;
  in_network_namespace(link.network_namespace, [&] { arrivals = Arrivals::attach(link, port, port == 0); });
  return write_arrivals(env, std::move(arrivals));
}

Napi::Value findings(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  ArrivalFindings found = read_arrivals(info[0])->findings();
  Napi::Object object = Napi::Object::New(env);
  object.Set("ticks", static_cast<double>(found.ticks));
  object.Set("gapCounts", write_numbers(env, found.gap_counts));
  object.Set("gapMin", static_cast<double>(found.gap_min_ns));
  object.Set("gapMax", static_cast<double>(found.gap_max_ns));
  object.Set("gapSum", static_cast<double>(found.gap_sum_ns));
  object.Set("firstErrors", write_numbers(env, found.first_ns));
  object.Set("lastErrors", write_numbers(env, found.last_ns));
  object.Set("clockDrift", found.clock_drift_ns);
  object.Set("elapsed", static_cast<double>(found.elapsed_ns));
  return object;
}

void measure_from(const Napi::CallbackInfo& info) {
  bool lossless = false;
  if (!info[1].IsBigInt()) refuse("timestamp", "a BigInt");
  read_arrivals(info[0])->measure_from(info[1].As<Napi::BigInt>().Uint64Value(&lossless));
}

void close(const Napi::CallbackInfo& info) { info[0].As<ArrivalsHandle>().Data()->reset(); }

}  // namespace

Napi::Value write_arrivals(Napi::Env env, std::shared_ptr<Arrivals> arrivals) {
  auto* held = new std::shared_ptr<Arrivals>(std::move(arrivals));
  return ArrivalsHandle::New(env, held, [](Napi::Env, std::shared_ptr<Arrivals>* given) { delete given; });
}

std::shared_ptr<Arrivals> read_arrivals(const Napi::Value& value) {
  std::shared_ptr<Arrivals> arrivals;
  if (value.IsExternal()) arrivals = *value.As<ArrivalsHandle>().Data();
  if (!arrivals) throw Error(ErrorCode::internal, "read the stamps of arrivals", "they are closed");
  return arrivals;
}

void export_arrivals(Napi::Env env, Napi::Object exports) {
  export_function<attach>(env, exports, "attachArrivals");
  export_function<findings>(env, exports, "arrivalFindings");
  export_function<measure_from>(env, exports, "measureArrivalsFrom");
  export_function<close>(env, exports, "closeArrivals");
}

}  // namespace carom
