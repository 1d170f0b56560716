// Captures read for JavaScript: inspected, compared, or frame by frame.
#pragma once

#include <napi.h>

#include "capture/reader.h"

namespace carom {

// A frame as it is listed: the time of the file's first frame, what the file has, and the same with an
// Ethernet header where it can have one.
struct ListedFrame {
  uint64_t begin_ns = 0;
  CapturedFrame frame{};
  CapturedFrame ethernet{};
  bool is_ethernet = false;
};

Napi::Array write_remarks(Napi::Env env, const std::vector<CaptureRemark>& remarks);
Napi::Object write_listed(Napi::Env env, const ListedFrame& listed);
void export_preview(Napi::Env env, Napi::Object exports);
void export_inspect(Napi::Env env, Napi::Object exports);

}  // namespace carom
