// The packet filter for JavaScript: a capture through it, and what it is made of.
#pragma once

#include <napi.h>

namespace carom {

void export_filter(Napi::Env env, Napi::Object exports);

}  // namespace carom
