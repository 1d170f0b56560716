// A replay's configuration from JavaScript, and what it found back to it.
#include "addon/convert.h"
#include "addon/fields.h"
#include "addon/inspect.h"

namespace carom {
namespace {

constexpr size_t FILES_MAX = 64;
constexpr size_t MAPS_MAX = 64;
constexpr size_t PATH_LENGTH = 4096;

template <class Choice>
Choice choose(const Napi::Object& object, const char* name, std::initializer_list<const char*> names) {
  std::string given = text(object, name);
  uint8_t index = 0;
  for (const char* candidate : names) {
    if (given == candidate) return static_cast<Choice>(index);
    index++;
  }
  refuse(name, "one of those that there are");
}

TimelineConfig read_timeline(const Napi::Object& object) {
  TimelineConfig config;
  config.kind = choose<TimelineConfig::Kind>(object, "timing", {"captured", "gap", "rate", "fast"});
  config.speed_millionths = integer<uint64_t>(object, "speedMillionths", 1, 1e12);
  config.gap_ns = integer<uint64_t>(object, "gapNs", 0, 1e15);
  config.rate_millihertz = integer<uint64_t>(object, "rateMilliHz", 1, 1e12);
  config.keeps_bursts = boolean(object, "keepsBursts");
  config.burst_gap_ns = integer<uint64_t>(object, "burstGapNs", 1, 1e15);
  config.max_gap_ns = integer<uint64_t>(object, "maxGapNs", 1, 1e18);
  config.cuts_gaps = boolean(object, "cutsGaps");
  config.loop_gap_ns = integer<int64_t>(object, "loopGapNs", -1, 1e15);
  return config;
}

CaptureMoment read_moment(const Napi::Object& object, const char* name) {
  if (object.Get(name).IsNull()) return {};
  Napi::Object given = nested(object, name);
  bool lossless = false;
  Napi::Value ns = given.Get("ns");
  if (!ns.IsBigInt()) refuse(name, "a time");
  CaptureMoment moment;
  moment.kind = text(given, "kind") == "offset" ? CaptureMoment::Kind::offset : CaptureMoment::Kind::absolute;
  moment.ns = ns.As<Napi::BigInt>().Uint64Value(&lossless);
  if (!lossless || moment.ns >> 62 != 0) refuse(name, "in its range");
  return moment;
}

Napi::Array read_maps(const Napi::Object& object, const char* name) {
  Napi::Value value = object.Get(name);
  if (!value.IsArray() || value.As<Napi::Array>().Length() > MAPS_MAX) refuse(name, "a list");
  return value.As<Napi::Array>();
}

EditConfig read_edit(const Napi::Object& object) {
  EditConfig edit;
  if (std::string mac = text(object, "sourceMac"); !mac.empty()) {
    edit.sets_source_mac = true;
    read_mac(mac, edit.source_mac, "sourceMac");
  }
  if (std::string mac = text(object, "targetMac"); !mac.empty()) {
    edit.sets_target_mac = true;
    read_mac(mac, edit.target_mac, "targetMac");
  }
  Napi::Array addresses = read_maps(object, "addresses");
  for (uint32_t i = 0; i < addresses.Length(); i++) {
    Napi::Object given = static_cast<Napi::Value>(addresses[i]).ToObject();
    AddressMap& map = edit.addresses.emplace_back();
    map.ipv6 = read_address(text(given, "from"), map.from, "addresses");
    if (read_address(text(given, "to"), map.to, "addresses") != map.ipv6)
      refuse("addresses", "of one family");
    map.prefix = integer<uint8_t>(given, "prefix", 0, map.ipv6 ? 128 : 32);
  }
  Napi::Array ports = read_maps(object, "ports");
  for (uint32_t i = 0; i < ports.Length(); i++) {
    Napi::Object pair = static_cast<Napi::Value>(ports[i]).ToObject();
    edit.ports.push_back({integer<uint16_t>(pair, "0", 0, 65535), integer<uint16_t>(pair, "1", 0, 65535)});
  }
  edit.vlan = integer<int32_t>(object, "vlan", EditConfig::AS_IT_IS, 4094);
  edit.ttl = integer<int32_t>(object, "ttl", -1, 255);
  edit.mends = boolean(object, "mendsChecksums");
  return edit;
}

}  // namespace

ReplayConfig read_replay(const Napi::Object& object, const IoConfig& io) {
  ReplayConfig config;
  PlayerConfig& player = config.player;
  player.files = texts(object, "files", PATH_LENGTH);
  if (player.files.empty() || player.files.size() > FILES_MAX) refuse("files", "1 to 64 of them");
  player.aligns = boolean(object, "aligns");
  player.passes = integer<uint64_t>(object, "passes", 0, 1e15);
  player.timeline = read_timeline(object);
  player.from = read_moment(object, "from");
  player.to = read_moment(object, "to");
  player.filter = text(object, "filter");
  player.edit = read_edit(object);
  memcpy(player.macs.source, io.link.mac, 6);
  read_mac(text(object, "ownTargetMac"), player.macs.destination, "ownTargetMac");
  player.largest = io.link.mtu + ETHERNET_SIZE;
  player.oversize = choose<Oversize>(object, "oversize", {"refuse", "cut", "skip"});
  player.truncated = choose<Truncated>(object, "truncated", {"pad", "skip", "send"});
  player.tick_port = integer<uint16_t>(object, "tickPort", 0, 65535);
  player.judges = io.receives;
  memcpy(player.own_mac, io.link.mac, 6);
  memcpy(player.own_address4, io.link.address4, 4);
  memcpy(player.own_address6, io.link.address6, 16);
  config.sending_cpu = io.cpu;
  return config;
}

Napi::Value write_replay(Napi::Env env, const ReplayRecord* record) {
  if (record == nullptr || record->files == nullptr) return env.Null();
  Napi::Object object = Napi::Object::New(env);
  auto number = [env](uint64_t value) { return Napi::Number::New(env, static_cast<double>(value)); };
  Napi::Array files = Napi::Array::New(env);
  for (const auto& file : *record->files) {
    Napi::Object one = Napi::Object::New(env);
    one.Set("path", file->path);
    one.Set("format", file->format);
    one.Set("compression", file->compression);
    one.Set("link_type", file->link_type);
    one.Set("broken", file->broken);
    one.Set("remarks", write_remarks(env, file->remarks));
    for (auto& [name, counter] :
         std::initializer_list<std::pair<const char*, const Counter&>>{{"frames", file->frames},
                                                                       {"taken", file->taken},
                                                                       {"outside", file->outside},
                                                                       {"filtered", file->filtered},
                                                                       {"skipped", file->skipped},
                                                                       {"unusable", file->unusable},
                                                                       {"padded", file->padded},
                                                                       {"cut", file->cut},
                                                                       {"oversized", file->oversized},
                                                                       {"truncated", file->truncated},
                                                                       {"backwards", file->backwards}}) {
      one.Set(name, number(counter.get()));
    }
    files.Set(files.Length(), one);
  }
  object.Set("files", files);
  object.Set("frames", number(record->frames.get()));
  object.Set("bytes", number(record->bytes.get()));
  object.Set("passes", number(record->passes.get()));
  object.Set("starved", number(record->starved.get()));
  object.Set("cuts", number(record->cuts));
  object.Set("crowded", number(record->crowded));
  object.Set("restamped", number(record->restamped));
  object.Set("span_ns", number(record->end_ns.get()));
  uint64_t pass_frames = record->pass_frames.get();
  object.Set("sent_passes", number(pass_frames == 0 ? 0 : record->frames.get() / pass_frames));
  object.Set("sent_span_ns", number(record->position_ns.get()));
  object.Set("complete", record->is_taken);
  Napi::Value refusal = env.Null();
  if (record->refusal) {
    Napi::Object given = Napi::Object::New(env);
    given.Set("detail", record->refusal->detail);
    given.Set("hint", record->refusal->hint);
    refusal = given;
  }
  object.Set("refusal", refusal);
  return object;
}

}  // namespace carom
