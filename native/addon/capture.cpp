#include "addon/capture.h"

#include <bit>

#include "addon/convert.h"
#include "addon/fields.h"

namespace carom {
namespace {

constexpr double BUFFER_LEAST = 1 << 20;
constexpr double BUFFER_MOST = double{1ull << 34};

TapDirection read_direction(const std::string& from) {
  if (from == "both") return TapDirection::both;
  if (from == "in") return TapDirection::in;
  if (from == "out") return TapDirection::out;
  refuse("direction", "both, in or out");
}

Provenance read_stamps(const std::string& from) {
  if (from == "kernel") return Provenance::kernel;
  if (from == "hardware") return Provenance::hardware;
  refuse("timestamps", "kernel or hardware");
}

size_t read_buffer(const Napi::Object& object, const char* name) {
  auto bytes = integer<size_t>(object, name, BUFFER_LEAST, BUFFER_MOST);
  if (!std::has_single_bit(bytes)) refuse(name, "a power of two");
  return bytes;
}

}  // namespace

CaptureOutput read_capture_output(const Napi::Object& object) {
  CaptureOutput output{};
  output.files.path = text(object, "path");
  if (output.files.path.empty()) refuse("path", "a file's name");
  output.files.keep = integer<uint32_t>(object, "keep", 0, 1e6);
  output.files.file_bytes = integer<uint64_t>(object, "fileBytes", 0, 1e15);
  output.files.file_ns = integer<uint64_t>(object, "fileNs", 0, 1e18);
  output.buffer_bytes = read_buffer(object, "bufferBytes");
  output.section.hardware = text(object, "hardware");
  output.section.os = text(object, "os");
  output.section.application = text(object, "application");
  output.section.comment = text(object, "comment");
  output.interface_comment = text(object, "interfaceComment");
  return output;
}

CaptureConfig read_capture(const Napi::Object& object) {
  CaptureConfig config{};
  config.tap.link = read_link(nested(object, "link"));
  config.tap.filter = text(object, "filter");
  config.tap.snap_length = integer<uint32_t>(object, "snapLength", 1, 262'144);
  config.tap.direction = read_direction(text(object, "direction"));
  config.tap.promiscuous = boolean(object, "promiscuous");
  config.tap.ring_bytes = read_buffer(object, "ringBytes");
  config.tap.timestamps = read_stamps(text(object, "timestamps"));
  config.io.link = config.tap.link;
  config.io.timestamps = config.tap.timestamps;
  config.io.rx_stamps = true;
  config.io.cpu = integer<int>(object, "cpu", -1, 1023);
  config.output = read_capture_output(nested(object, "output"));
  config.count = integer<uint64_t>(object, "count", 0, 1e15);
  config.duration_ns = integer<uint64_t>(object, "durationNs", 0, 1e18);
  return config;
}

Napi::Value write_captured(Napi::Env env, const CaptureWriter& writer) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("frames", static_cast<double>(writer.written.get()));
  object.Set("bytes", static_cast<double>(writer.bytes.get()));
  object.Set("files", static_cast<double>(writer.files.get()));
  object.Set("lastFile", writer.last_file());
  object.Set("dropped", static_cast<double>(writer.dropped()));
  object.Set("failure", writer.failure() ? to_javascript(env, *writer.failure()).Value() : env.Null());
  return object;
}

Napi::Object write_counters(Napi::Env env, const CaptureRole& role) {
  Napi::Object object = Napi::Object::New(env);
  const CaptureCounters& counters = role.counters;
  auto put = [&](const char* name, uint64_t value) { object.Set(name, static_cast<double>(value)); };
  put("frames", counters.frames.get());
  put("bytes", counters.bytes.get());
  put("captured_bytes", counters.captured_bytes.get());
  put("in", counters.in.get());
  put("out", counters.out.get());
  put("ring_drops", counters.ring_drops.get());
  put("writer_drops", role.writer->dropped());
  put("interface_drops", counters.interface_drops.get());
  put("hardware_stamped", counters.hardware_stamped.get());
  put("written", role.writer->written.get());
  put("written_bytes", role.writer->bytes.get());
  put("files", role.writer->files.get());
  return object;
}

}  // namespace carom
