#include <bit>

#include "addon/capture.h"
#include "addon/convert.h"
#include "addon/read.h"
#include "loop/generate_live.h"

namespace carom {
namespace {

Match read_match(const std::string& from) {
  if (from == "clordid") return Match::clordid;
  if (from == "price") return Match::price;
  if (from == "fifo") return Match::fifo;
  refuse("match", "clordid, price or fifo");
}

LatePolicy read_late(const std::string& from) {
  if (from == "catch-up") return LatePolicy::catch_up;
  if (from == "skip") return LatePolicy::skip;
  if (from == "slip") return LatePolicy::slip;
  refuse("late", "catch-up, skip or slip");
}

// The name of one of KERNEL_CLOCKS, "tsc" for none of them, or the path of a device.
ScheduleClock read_schedule_clock(const std::string& from, bool in_kernel) {
  for (const KernelClock& clock : KERNEL_CLOCKS) {
    if (clock.name == from && (clock.in_kernel || !in_kernel)) return {clock.id};
  }
  if (!in_kernel && from == "tsc") return {ScheduleClock::NONE};
  if (!in_kernel && from.starts_with("/dev/")) {
    auto phc = std::make_shared<Phc>(from);
    return {phc->clock_id(), phc};
  }
  refuse("scheduleClock", "a clock that the backend can go by");
}

uint64_t read_seed(const Napi::Object& object) {
  bool lossless = false;
  Napi::Value seed = object.Get("seed");
  if (!seed.IsBigInt()) refuse("seed", "a BigInt");
  uint64_t result = seed.As<Napi::BigInt>().Uint64Value(&lossless);
  if (!lossless) refuse("seed", "in the range of 64 bits");
  return result;
}

uint64_t read_start_at(const Napi::Object& object) {
  bool lossless = false;
  Napi::Value start = object.Get("startAtNs");
  if (!start.IsBigInt()) refuse("startAtNs", "a BigInt");
  uint64_t result = start.As<Napi::BigInt>().Uint64Value(&lossless);
  if (!lossless) refuse("startAtNs", "in the range of 64 bits");
  return result;
}

ArrivalConfig::Kind read_kind(const std::string& from) {
  using Kind = ArrivalConfig::Kind;
  if (from == "constant") return Kind::constant;
  if (from == "poisson") return Kind::poisson;
  if (from == "bursts") return Kind::bursts;
  if (from == "microbursts") return Kind::microbursts;
  if (from == "hawkes") return Kind::hawkes;
  if (from == "curve") return Kind::curve;
  if (from == "sum") return Kind::sum;
  refuse("kind", "an arrival process");
}

std::vector<CurvePoint> read_points(const Napi::Object& object) {
  Napi::Value value = object.Get("points");
  if (!value.IsTypedArray() || value.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
    refuse("points", "a Float64Array");
  }
  Napi::Float64Array array = value.As<Napi::Float64Array>();
  std::vector<CurvePoint> points;
  bool flows = false;
  for (size_t i = 0; i + 1 < array.ElementLength(); i += 2) {
    double time_ns = array[i];
    double rate = array[i + 1];
    if (!(time_ns >= 0 && time_ns <= 1e18 && rate >= 0 && rate <= 1e12)) refuse("points", "in their range");
    points.push_back({static_cast<uint64_t>(time_ns), static_cast<uint64_t>(rate)});
    if (i == 0 ? time_ns != 0 : points[i / 2].time_ns <= points[i / 2 - 1].time_ns) {
      refuse("points", "sorted by time, from 0");
    }
    flows |= rate > 0 && i + 2 < array.ElementLength();
  }
  if (!flows) refuse("points", "a curve with a rate above 0");
  return points;
}

ArrivalConfig read_arrival(const Napi::Object& object, int depth = 0) {
  constexpr int DEPTH_MAX = 16;
  using Kind = ArrivalConfig::Kind;
  ArrivalConfig config;
  config.kind = read_kind(text(object, "kind"));
  auto time = [&](const char* name, double min_ns) { return integer<uint64_t>(object, name, min_ns, 1e15); };
  switch (config.kind) {
    case Kind::constant:
    case Kind::poisson:
      config.rate_millihertz = integer<uint64_t>(object, "rateMilliHz", 1, 1e12);
      break;
    case Kind::bursts:
      config.count = integer<uint64_t>(object, "count", 1, 1e9);
      config.every_ns = time("everyNs", 1);
      config.gap_ns = time("gapNs", 0);
      if ((config.count - 1) * static_cast<unsigned __int128>(config.gap_ns) > config.every_ns) {
        refuse("everyNs", "as long as a burst");
      }
      break;
    case Kind::microbursts:
      config.size = number(object, "size", 1, 1e9);
      config.every_ns = time("everyNs", 1);
      config.gap_ns = time("gapNs", 0);
      break;
    case Kind::hawkes:
      config.rate_millihertz = integer<uint64_t>(object, "rateMilliHz", 1, 1e12);
      config.branching = number(object, "branching", 0, 0.9999);
      config.decay_ns = time("decayNs", 1);
      break;
    case Kind::curve:
      config.poisson = boolean(object, "poisson");
      config.points = read_points(object);
      break;
    case Kind::sum: {
      Napi::Value value = object.Get("parts");
      if (!value.IsArray() || value.As<Napi::Array>().Length() == 0 || depth == DEPTH_MAX) {
        refuse("parts", "a list of processes");
      }
      Napi::Array parts = value.As<Napi::Array>();
      for (uint32_t i = 0; i < parts.Length(); i++) {
        Napi::Value part = parts[i];
        if (!part.IsObject()) refuse("parts", "a list of processes");
        config.parts.push_back(read_arrival(part.As<Napi::Object>(), depth + 1));
      }
    }
  }
  return config;
}

}  // namespace

ScheduleConfig read_schedule(const Napi::Object& object) {
  ScheduleConfig config;
  config.arrival = read_arrival(nested(object, "arrival"));
  config.seed = read_seed(object);
  config.scale_bursts = boolean(object, "scaleBursts");
  config.scale_thousandths = integer<uint32_t>(object, "scaleThousandths", 1, 1e6);
  if (config.scale_bursts && config.scale_thousandths < 1000) refuse("scaleThousandths", "1000 or more");
  config.ceiling_millihertz = integer<uint64_t>(object, "ceilingMilliHz", 0, 1e12);
  return config;
}

TickSourceConfig read_ticks(const Napi::Object& object) {
  TickSourceConfig config{};
  config.seed = read_seed(object);
  config.trigger_ratio = number(object, "triggerRatio", -1, 1);
  config.symbols = texts(object, "symbols");
  if (config.symbols.empty()) refuse("symbols", "a list of at least one");
  Napi::Value weights = object.Get("weights");
  if (weights.IsNumber()) {
    double exponent = number(object, "weights", 0, 10);
    if (exponent > 0) config.weights = zipf_weights(config.symbols.size(), exponent);
  } else {
    if (!weights.IsTypedArray() || weights.As<Napi::TypedArray>().TypedArrayType() != napi_float64_array) {
      refuse("weights", "an exponent or a Float64Array");
    }
    Napi::Float64Array given = weights.As<Napi::Float64Array>();
    if (given.ElementLength() != config.symbols.size()) refuse("weights", "one for each symbol");
    for (size_t i = 0; i < given.ElementLength(); i++) {
      if (!(given[i] >= 1e-9 && given[i] <= 1e9)) refuse("weights", "from 1e-9 to 1e9");
      config.weights.push_back(given[i]);
    }
  }
  config.price_span = integer<uint32_t>(object, "priceSpan", 1, UINT32_MAX);
  config.threshold = integer<uint32_t>(object, "threshold", 0, UINT32_MAX);
  config.unique_prices = boolean(object, "uniquePrices");
  Napi::Value walk = object.Get("walk");
  if (!walk.IsNull()) {
    Napi::Object given = nested(object, "walk");
    config.walk.low = integer<uint32_t>(given, "low", 0, UINT32_MAX);
    config.walk.high = integer<uint32_t>(given, "high", config.walk.low + 1.0, UINT32_MAX);
    config.walk.step = integer<uint32_t>(given, "step", 1, config.walk.high - config.walk.low);
    if (config.walk.step > INT32_MAX) refuse("step", "below 2^31");
    config.walk.start = integer<int64_t>(given, "start", -1, config.walk.high);
    if (config.walk.start >= 0 && config.walk.start < config.walk.low) refuse("start", "within the bounds");
  }
  config.lot = integer<uint32_t>(object, "lot", 1, UINT32_MAX);
  config.lots_min = integer<uint32_t>(object, "lotsMin", 0, 65'535);
  config.lots_max = integer<uint32_t>(object, "lotsMax", config.lots_min, 65'535);
  if (static_cast<uint64_t>(config.lot) * config.lots_max > UINT32_MAX) refuse("lotsMax", "in 32 bits");
  return config;
}

namespace {

constexpr uint32_t LINES_MAX = 4;
constexpr uint32_t STREAMS_MAX = 64;
constexpr size_t FEED_BYTES_MAX = size_t{1} << 30;

template <class T, class Read>
std::vector<T> read_list(const Napi::Object& object, const char* name, uint32_t most, Read read) {
  Napi::Value value = object.Get(name);
  if (!value.IsArray()) refuse(name, "a list");
  Napi::Array array = value.As<Napi::Array>();
  if (array.Length() == 0 || array.Length() > most) refuse(name, "a list of as many as are allowed");
  std::vector<T> result;
  for (uint32_t i = 0; i < array.Length(); i++) {
    Napi::Value item = array[i];
    if (!item.IsObject()) refuse(name, "a list of objects");
    result.push_back(read(item.As<Napi::Object>()));
  }
  return result;
}

Impairment read_impairment(const Napi::Object& object) {
  Impairment done;
  done.loss = number(object, "loss", 0, 1);
  done.duplicate = number(object, "duplicate", 0, 1);
  done.reorder = number(object, "reorder", 0, 1);
  done.reorder_by = integer<uint32_t>(object, "reorderBy", 1, 64);
  done.delay_ns = integer<uint64_t>(object, "delayNs", 0, 60e9);
  done.jitter_ns = integer<uint64_t>(object, "jitterNs", 0, 60e9);
  done.corrupt = number(object, "corrupt", 0, 1);
  done.corrupt_from = integer<uint32_t>(object, "corruptFrom", 0, MARKET_DATA_SIZE - 1);
  done.corrupt_to = integer<uint32_t>(object, "corruptTo", done.corrupt_from, MARKET_DATA_SIZE - 1);
  return done;
}

std::vector<uint32_t> read_sizes(const Napi::Object& object, uint32_t largest) {
  Napi::Value value = object.Get("sizes");
  if (!value.IsArray()) refuse("sizes", "a list");
  Napi::Array array = value.As<Napi::Array>();
  std::vector<uint32_t> sizes;
  for (uint32_t i = 0; i < array.Length(); i++) {
    Napi::Value item = array[i];
    double size = item.IsNumber() ? item.As<Napi::Number>().DoubleValue() : 0;
    if (!(size >= 1 && size <= largest)) refuse("sizes", "a list of sizes that the link carries");
    sizes.push_back(static_cast<uint32_t>(size));
  }
  return sizes;
}

std::vector<int32_t> read_vlans(const Napi::Object& object) {
  Napi::Value value = object.Get("vlans");
  if (!value.IsArray()) refuse("vlans", "a list");
  std::vector<int32_t> vlans;
  Napi::Array array = value.As<Napi::Array>();
  for (uint32_t i = 0; i < array.Length(); i++) {
    Napi::Value item = array[i];
    int32_t vlan = item.IsNumber() ? item.As<Napi::Number>().Int32Value() : INT32_MAX;
    if (vlan < -1 || vlan > 4094) refuse("vlans", "a list of identifiers, or -1");
    vlans.push_back(vlan);
  }
  return vlans;
}

LineConfig read_line(const Napi::Object& object, const Link& link, bool has_own_frames) {
  LineConfig line{};
  std::string address = text(object, "destinationAddress");
  line.ipv6 = read_address(address, line.destination.address, "destinationAddress");
  read_mac(text(object, "destinationMac"), line.destination.mac, "destinationMac");
  line.destination.port = integer<uint16_t>(object, "destinationPort", 1, 65535);
  line.vlan = integer<int32_t>(object, "vlan", -1, 4094);
  line.skew_ns = integer<uint64_t>(object, "skewNs", 0, 60e9);
  line.judged = boolean(object, "judged");
  if (!object.Get("impairment").IsNull()) line.impairment = read_impairment(nested(object, "impairment"));
  line.dscp = integer<uint8_t>(object, "dscp", 0, 63);
  // A replay's frames have addresses of their own.
  if (!has_own_frames && !(line.ipv6 ? link.has_address6 : link.has_address4)) {
    throw Error(ErrorCode::usage, "send to " + address, "the interface has no address of that family");
  }
  return line;
}

StreamConfig read_stream(const Napi::Object& object, const Link& link, bool has_own_frames) {
  StreamConfig stream{};
  stream.schedule = read_schedule(nested(object, "schedule"));
  stream.ticks = read_ticks(nested(object, "ticks"));
  stream.source_port = integer<uint16_t>(object, "sourcePort", 1, 65535);
  stream.flows = integer<uint32_t>(object, "flows", 1, 1024);
  if (stream.source_port + stream.flows > 65536) refuse("flows", "a number of ports up to 65535");
  Napi::Object packing = nested(object, "packing");
  stream.most = integer<uint32_t>(packing, "most", 1, 2048);
  stream.within_ns = integer<uint64_t>(packing, "withinNs", 0, 60e9);
  stream.sizes = read_sizes(object, link.mtu + ETHERNET_SIZE + VLAN_SIZE);
  stream.lines = read_list<LineConfig>(object, "lines", LINES_MAX, [&](const Napi::Object& line) {
    return read_line(line, link, has_own_frames);
  });
  bool judged = false;
  for (const LineConfig& line : stream.lines) {
    judged |= line.judged;
    uint32_t headers = (line.ipv6 ? IPV6_SIZE : IPV4_SIZE) + UDP_SIZE;
    if (headers + stream.most * MARKET_DATA_SIZE > link.mtu) refuse("most", "so few that they fit");
  }
  if (!judged) refuse("lines", "one that the device listens to, at least");
  return stream;
}

PartsConfig read_parts(const Napi::Object& object) {
  PartsConfig parts;
  parts.planned = boolean(object, "planned");
  parts.ns = integer<uint64_t>(object, "ns", 0, 1e18);
  parts.count = integer<uint64_t>(object, "count", 0, 1e15);
  if (parts.ns != 0 && parts.count != 0) refuse("parts", "of a time or of a number");
  return parts;
}

}  // namespace

GeneratorConfig read_generator(const Napi::Object& object) {
  GeneratorConfig config{};
  config.io = read_io(nested(object, "io"));
  const bool has_own_frames = object.Get("replay").IsObject() && !config.io.receives;
  config.streams = read_list<StreamConfig>(object, "streams", STREAMS_MAX, [&](const Napi::Object& stream) {
    return read_stream(stream, config.io.link, has_own_frames);
  });
  std::string mode = text(object, "mode");
  if (mode != "open" && mode != "closed" && mode != "max") refuse("mode", "open, closed or max");
  config.flat_out = mode == "max";
  config.closed = mode != "open";  // flat out is a closed loop whose window never fills
  config.window = config.flat_out ? UINT32_MAX : integer<uint32_t>(object, "window", 1, 1 << 16);
  config.count = integer<uint64_t>(object, "count", 0, 1e15);
  config.duration_ns = integer<uint64_t>(object, "durationNs", 0, 1e18);
  config.warmup_ns = integer<uint64_t>(object, "warmupNs", 0, 1e15);
  config.quiet_ns = config.flat_out ? 0 : integer<uint64_t>(object, "quietNs", 0, 1e12);
  config.late_threshold_ns = integer<uint64_t>(object, "lateThresholdNs", 0, 1e12);
  config.late = read_late(text(object, "late"));
  if (config.closed && config.late != LatePolicy::catch_up) refuse("late", "catch-up in a closed loop");
  bool planned_ahead = text(nested(object, "io"), "backend") == "xdp_live";
  config.schedule_clock = read_schedule_clock(text(object, "scheduleClock"), planned_ahead);
  config.breakdown_every = read_breakdown(object);
  config.passage_room = read_passage_room(object);
  config.start_at_ns = read_start_at(object);
  config.launch_lead_ns = integer<uint64_t>(object, "launchLeadNs", 0, 1e8);
  if ((config.launch_lead_ns != 0) != config.io.launches) refuse("launchLeadNs", "with io.launches");
  if (config.io.launches) {
    std::string backend = text(nested(object, "io"), "backend");
    if (backend != "udp" && backend != "af_packet") refuse("launches", "of udp or af_packet");
    if (config.closed || config.late != LatePolicy::catch_up) refuse("launches", "by a schedule that stays");
    if (!config.schedule_clock.phc) refuse("scheduleClock", "that of the NIC which launches");
  }
  config.threads = integer<uint32_t>(object, "threads", 1, Siblings::MAX);
  config.thread = integer<uint32_t>(object, "thread", 0, config.threads - 1);
  config.vlans = read_vlans(object);
  if (object.Get("capture").IsObject()) {
    config.capture = read_capture_output(nested(object, "capture"));
    if (config.threads > 1) refuse("capture", "of one thread");
  }
  config.feed.thread = config.thread;
  config.feed.threads = config.threads;
  config.ledger.strategy = read_strategy(nested(object, "strategy"));
  config.ledger.streams = static_cast<uint32_t>(config.streams.size());
  config.ledger.parts = read_parts(nested(object, "parts"));
  config.ledger.match = read_match(text(object, "match"));
  config.ledger.timeout_ns = integer<uint64_t>(object, "timeoutNs", 1, 60e9);
  config.ledger.stamped = config.io.tx_stamps && config.io.timestamps != Provenance::tsc;
  config.ledger.path_ns = integer<uint64_t>(object, "pathNs", 0, 1e9);
  config.feed.peak_pps = number(object, "peakRate", 0, 1e12);
  config.rate_millihertz = integer<uint64_t>(object, "rateMilliHz", 1, 1e15);
  config.feed.hold_ns = integer<uint64_t>(object, "holdNs", 0, 3600e9);
  config.feed.arbitrates = boolean(object, "arbitrates");
  if (object.Get("replay").IsObject()) config.replay = read_replay(nested(object, "replay"), config.io);
  config.ledger.in_steps = config.replay || !is_plain(config.streams);
  config.ledger.capacity = integer<uint32_t>(object, "ledgerTicks", 64, 1 << 26);
  if (!std::has_single_bit(config.ledger.capacity)) refuse("ledgerTicks", "a power of two");
  if (config.late == LatePolicy::skip && !config.replay && !is_plain(config.streams))
    refuse("late", "to skip single ticks");
  if (!config.ledger.in_steps) return config;
  if (planned_ahead) {
    if (config.replay && config.io.receives) refuse("replay", "without answers where frames are made ahead");
    if (config.replay && config.late == LatePolicy::skip) refuse("late", "catch-up or slip");
    config.feed.ahead = frames_ahead(config);
    config.ledger.stamped = false;  // all times are of one clock as it is
  }
  if (config.closed && !config.flat_out) refuse("mode", "open: only one plain stream goes by a window");
  if (config.closed && !config.replay) refuse("mode", "open: only one plain stream goes as fast as it can");
  if (config.ledger.match != Match::clordid) refuse("match", "clordid, with anything but one plain stream");
  uint32_t most = 1;
  for (const StreamConfig& stream : config.streams) most = std::max(most, stream.most);
  if (size_t{Feed::capacity(config.feed)} * most * sizeof(FedTick) > FEED_BYTES_MAX)
    refuse("holdNs", "so short that what is held back fits into memory");
  return config;
}

}  // namespace carom
