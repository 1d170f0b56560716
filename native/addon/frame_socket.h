// Frames in and out of an interface one by one, for the scripted test: a packet socket as a JavaScript
// object.
#pragma once

#include <napi.h>

namespace carom {

void export_frame_socket(Napi::Env env, Napi::Object exports);

}  // namespace carom
