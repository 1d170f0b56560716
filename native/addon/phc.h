// Readings of a PTP hardware clock, for JavaScript.
#pragma once

#include <napi.h>

namespace carom {

void export_phc(Napi::Env env, Napi::Object exports);

}  // namespace carom
