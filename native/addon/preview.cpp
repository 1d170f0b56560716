// The beginning of a capture, for who chooses one from a list: read at once, and never more than a little of
// it.
#include <algorithm>

#include "addon/convert.h"
#include "addon/fields.h"
#include "addon/inspect.h"
#include "capture/inspect.h"

namespace carom {
namespace {

constexpr uint64_t FRAMES = 50'000;
constexpr uint64_t BYTES = 16 << 20;  // of frames
constexpr uint32_t LISTED = 256;      // at the most

Napi::Value preview(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  return guarded(env, [&]() -> Napi::Value {
    std::string path = info[0].ToString();
    uint32_t wanted = std::min(info[1].ToNumber().Uint32Value(), LISTED);
    CaptureReader reader(path);
    ToEthernet to_ethernet(reader.link_type(), path, LAB_MACS);
    Napi::Array listed = Napi::Array::New(env);
    CapturedFrame frame{};
    CapturedFrame ethernet{};
    uint64_t frames = 0;
    uint64_t bytes = 0;
    uint64_t begin_ns = 0;
    uint64_t first_ns = UINT64_MAX;
    uint64_t last_ns = 0;
    bool all = true;
    while (reader.next(frame)) {
      if (++frames == 1) begin_ns = frame.time_ns;
      bytes += frame.length;
      first_ns = std::min(first_ns, frame.time_ns);
      last_ns = std::max(last_ns, frame.time_ns);
      if (listed.Length() < wanted) {
        if (!to_ethernet.convert(frame, ethernet)) ethernet = frame;
        listed[listed.Length()] = write_listed(env, {frames, begin_ns, frame, ethernet});
      }
      all = frames < FRAMES && bytes < BYTES;
      if (!all) break;
    }
    Napi::Object object = Napi::Object::New(env);
    object.Set("format", CAPTURE_FORMAT_NAMES[static_cast<size_t>(reader.format())]);
    object.Set("compression", COMPRESSION_NAMES[static_cast<size_t>(reader.compression())]);
    object.Set("linkType", link_type_text(reader.link_type()));
    object.Set("frames", static_cast<double>(frames));
    object.Set("bytes", static_cast<double>(bytes));
    object.Set("span_ns", static_cast<double>(frames == 0 ? 0 : last_ns - first_ns));
    object.Set("isWhole", all);
    object.Set("part", reader.file_size() == 0 ? 1.0
                                               : static_cast<double>(reader.file_read()) /
                                                     static_cast<double>(reader.file_size()));
    object.Set("first", listed);
    object.Set("broken", reader.end().text());
    return object;
  });
}

}  // namespace

void export_preview(Napi::Env env, Napi::Object exports) {
  exports.Set("previewCapture", Napi::Function::New(env, preview));
}

}  // namespace carom
