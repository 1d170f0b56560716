// Configurations of captures, and what they found, from and to JavaScript.
#pragma once

#include <napi.h>

#include "loop/capture.h"

namespace carom {

CaptureConfig read_capture(const Napi::Object& object);
CaptureOutput read_capture_output(const Napi::Object& object);

// Once finished.
Napi::Value write_captured(Napi::Env env, const CaptureWriter& writer);
Napi::Object write_counters(Napi::Env env, const CaptureRole& role);

}  // namespace carom
