// Captures read for JavaScript: inspected, compared, or frame by frame.
#pragma once

#include <napi.h>

namespace carom {

void export_inspect(Napi::Env env, Napi::Object exports);

}  // namespace carom
