// The watch of an interface (io/link_watch.h) for JavaScript.
#pragma once

#include <napi.h>

namespace carom {

void export_link_watch(Napi::Env env, Napi::Object exports);

}  // namespace carom
