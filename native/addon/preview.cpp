// The beginning of a capture, for who chooses one from a list: read at once, and never more than a little of
// it.
#include <algorithm>

#include "addon/convert.h"
#include "addon/entry.h"
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
  std::string path = info[0].ToString();
  uint32_t wanted = std::min(info[1].ToNumber().Uint32Value(), LISTED);
  CaptureReader reader(path);
  ToEthernet to_ethernet(reader, LAB_MACS);
  Napi::Array listed = Napi::Array::New(env);
  ListedFrame one;
  const CapturedFrame& frame = one.frame;
  uint64_t frames = 0;
  uint64_t bytes = 0;
  uint64_t first_ns = UINT64_MAX;
  uint64_t last_ns = 0;
  bool all = true;
  while (reader.next(one.frame)) {
    if (++frames == 1) one.begin_ns = frame.time_ns;
    bytes += frame.length;
    first_ns = std::min(first_ns, frame.time_ns);
    last_ns = std::max(last_ns, frame.time_ns);
    one.is_ethernet = to_ethernet.convert(frame, one.ethernet);
    if (listed.Length() < wanted) listed[listed.Length()] = write_listed(env, one);
    all = frames < FRAMES && bytes < BYTES;
    if (!all) break;
  }
  Napi::Object object = Napi::Object::New(env);
  object.Set("format", CAPTURE_FORMAT_NAMES[static_cast<size_t>(reader.format())]);
  object.Set("compression", COMPRESSION_NAMES[static_cast<size_t>(reader.compression())]);
  object.Set("linkType", reader.link_types_text());
  object.Set("frames", static_cast<double>(frames));
  object.Set("bytes", static_cast<double>(bytes));
  object.Set("span_ns", static_cast<double>(frames == 0 ? 0 : last_ns - first_ns));
  object.Set("isWhole", all);
  object.Set("part", reader.file_size() == 0
                         ? 1.0
                         : static_cast<double>(reader.file_read()) / static_cast<double>(reader.file_size()));
  object.Set("first", listed);
  object.Set("broken", reader.end().text());
  std::vector<CaptureRemark> remarks = reader.remarks();
  to_ethernet.add_remarks(remarks);
  object.Set("remarks", write_remarks(env, remarks));
  return object;
}

}  // namespace

void export_preview(Napi::Env env, Napi::Object exports) {
  export_function<preview>(env, exports, "previewCapture");
}

}  // namespace carom
