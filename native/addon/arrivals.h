// The stamps of arriving ticks, as a value that JavaScript holds and hands back.
#pragma once

#include <napi.h>

#include "io/arrivals.h"

namespace carom {

// Null once it was closed.
using ArrivalsHandle = Napi::External<std::shared_ptr<Arrivals>>;

Napi::Value write_arrivals(Napi::Env env, std::shared_ptr<Arrivals> arrivals);
std::shared_ptr<Arrivals> read_arrivals(const Napi::Value& value);
void export_arrivals(Napi::Env env, Napi::Object exports);

}  // namespace carom
