// The generator and the responder as JavaScript objects.
#pragma once

#include <napi.h>

namespace carom {

void export_roles(Napi::Env env, Napi::Object exports);

}  // namespace carom
