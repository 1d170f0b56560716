#include "addon/convert.h"

#include <arpa/inet.h>

#include <bit>
#include <cmath>

namespace carom {
namespace {

[[noreturn]] void refuse(const char* name, const char* wanted) {
  throw Error(ErrorCode::internal, std::string("read the configuration: ") + name,
              std::string("it is not ") + wanted);
}

double number(const Napi::Object& object, const char* name, double min, double max) {
  Napi::Value value = object.Get(name);
  if (!value.IsNumber()) refuse(name, "a number");
  double result = value.As<Napi::Number>().DoubleValue();
  if (!(result >= min && result <= max)) refuse(name, "in its range");
  return result;
}

template <class T>
T integer(const Napi::Object& object, const char* name, double min, double max) {
  double result = number(object, name, min, max);
  if (result != std::floor(result)) refuse(name, "a whole number");
  return static_cast<T>(result);
}

bool boolean(const Napi::Object& object, const char* name) {
  Napi::Value value = object.Get(name);
  if (!value.IsBoolean()) refuse(name, "true or false");
  return value.As<Napi::Boolean>().Value();
}

std::string text(const Napi::Object& object, const char* name) {
  Napi::Value value = object.Get(name);
  if (!value.IsString()) refuse(name, "a text");
  return value.As<Napi::String>().Utf8Value();
}

Napi::Object nested(const Napi::Object& object, const char* name) {
  Napi::Value value = object.Get(name);
  if (!value.IsObject()) refuse(name, "an object");
  return value.As<Napi::Object>();
}

std::vector<std::string> texts(const Napi::Object& object, const char* name) {
  Napi::Value value = object.Get(name);
  if (!value.IsArray()) refuse(name, "a list");
  Napi::Array array = value.As<Napi::Array>();
  std::vector<std::string> result;
  for (uint32_t i = 0; i < array.Length(); i++) {
    Napi::Value item = array[i];
    if (!item.IsString()) refuse(name, "a list of texts");
    result.push_back(item.As<Napi::String>().Utf8Value());
    if (result.back().empty() || result.back().size() > 8)
      refuse(name, "a list of symbols of 1 to 8 characters");
  }
  return result;
}

void read_mac(const std::string& from, uint8_t* mac, const char* name) {
  unsigned bytes[6];
  char rest;
  if (sscanf(from.c_str(), "%2x:%2x:%2x:%2x:%2x:%2x%c", &bytes[0], &bytes[1], &bytes[2], &bytes[3], &bytes[4],
             &bytes[5], &rest) != 6) {
    refuse(name, "a MAC address");
  }
  for (int i = 0; i < 6; i++) mac[i] = static_cast<uint8_t>(bytes[i]);
}

// Fills 4 or 16 bytes; returns whether it is IPv6.
bool read_address(const std::string& from, uint8_t* address, const char* name) {
  memset(address, 0, 16);
  if (inet_pton(AF_INET, from.c_str(), address) == 1) return false;
  if (inet_pton(AF_INET6, from.c_str(), address) == 1) return true;
  refuse(name, "an address");
}

StrategyId read_strategy_name(const std::string& from) {
  for (uint32_t id = 0; id < STRATEGY_COUNT; id++) {
    if (from == STRATEGY_NAMES[id]) return static_cast<StrategyId>(id);
  }
  refuse("strategy", "the name of one");
}

StrategyConfig read_strategy(const Napi::Object& object) {
  StrategyConfig config{};
  config.id = read_strategy_name(text(object, "name"));
  config.settings.threshold = integer<uint32_t>(object, "threshold", 0, UINT32_MAX);
  config.settings.quantity = integer<uint32_t>(object, "quantity", 0, UINT32_MAX);
  config.settings.price_offset = integer<int32_t>(object, "priceOffset", INT32_MIN, INT32_MAX);
  config.settings.side = integer<uint32_t>(object, "side", 0, 1);
  config.settings.fast_weight = integer<uint32_t>(object, "fastWeight", 1, 65536);
  config.settings.slow_ticks = integer<uint32_t>(object, "slowTicks", 1, 10'000);
  config.settings.slow_weight = integer<uint32_t>(object, "slowWeight", 1, 65536);
  config.settings.spread = integer<uint32_t>(object, "spread", 0, UINT32_MAX);
  config.symbols = texts(object, "symbols");
  config.symbol_limit = integer<uint32_t>(object, "symbolLimit", 1, 1 << 20);
  return config;
}

uint32_t read_breakdown(const Napi::Object& object) {
  uint32_t every = integer<uint32_t>(object, "breakdownEvery", 0, 1 << 20);
  if (every != 0 && !std::has_single_bit(every)) refuse("breakdownEvery", "a power of two");
  return every;
}

// As much as a tenth of a second's answers may come back to back.
answer_limit read_limit(const Napi::Object& object) {
  uint64_t per_second = integer<uint64_t>(object, "answerLimit", 0, 1e9);
  if (per_second == 0) return {0, 0};
  uint64_t interval_ns = (1'000'000'000 + per_second - 1) / per_second;  // never more than was asked for
  return {interval_ns, per_second < 20 ? 0 : (per_second / 10 - 1) * interval_ns};
}

Provenance read_provenance(const std::string& from) {
  if (from == "hardware") return Provenance::hardware;
  if (from == "kernel") return Provenance::kernel;
  if (from == "tsc") return Provenance::tsc;
  refuse("timestamps", "hardware, kernel or tsc");
}

Match read_match(const std::string& from) {
  if (from == "clordid") return Match::clordid;
  if (from == "price") return Match::price;
  if (from == "fifo") return Match::fifo;
  refuse("match", "clordid, price or fifo");
}

// How many ticks the ledger remembers: those of the time in which an answer may come, and as long again.
uint32_t ledger_capacity(const GeneratorConfig& config, double peak_pps) {
  constexpr uint64_t SMALLEST = 1 << 12;
  constexpr uint64_t LARGEST = 1 << 22;
  // A closed loop of one sends nothing while it waits; a wider one may send some 1 M ticks a second.
  if (config.closed && config.window == 1) return SMALLEST;
  double ticks_per_s = config.closed ? 1e6 : peak_pps;
  double wanted = 2 * ticks_per_s * (static_cast<double>(config.ledger.timeout_ns) / 1e9 + 0.1);
  uint64_t capped = wanted < static_cast<double>(LARGEST) ? static_cast<uint64_t>(wanted) : LARGEST;
  return static_cast<uint32_t>(std::bit_ceil(std::max(capped, SMALLEST)));
}

uint64_t read_seed(const Napi::Object& object) {
  bool lossless = false;
  Napi::Value seed = object.Get("seed");
  if (!seed.IsBigInt()) refuse("seed", "a BigInt");
  uint64_t result = seed.As<Napi::BigInt>().Uint64Value(&lossless);
  if (!lossless) refuse("seed", "in the range of 64 bits");
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

Napi::Float64Array write_ns(Napi::Env env, const std::vector<Interval>& intervals,
                            uint64_t Interval::*member) {
  Napi::Float64Array result = Napi::Float64Array::New(env, intervals.size());
  for (size_t i = 0; i < intervals.size(); i++) result[i] = static_cast<double>(intervals[i].*member);
  return result;
}

void put(Napi::Object& object, const char* name, const Counter& counter) {
  object.Set(name, Napi::Number::New(object.Env(), static_cast<double>(counter.get())));
}

template <size_t N>
void put_refused(Napi::Object& object, const std::array<Counter, N>& refused) {
  for (size_t i = 1; i < N; i++) put(object, PARSE_RESULT_NAMES[i], refused[i]);
}

void put_io(Napi::Object& object, const Role& role) {
  put(object, "tx_full", role.io_counters.tx_full);
  put(object, "tx_refused", role.io_counters.tx_refused);
  put(object, "fill_ring_empty", role.io_counters.fill_ring_empty);
  put(object, "tx_invalid", role.io_counters.tx_invalid);
  put(object, "rx_ring_drops", role.io_counters.rx_ring_drops);
  put(object, "passed_on", role.io_counters.passed_on);
  put(object, "unserved_queue", role.io_counters.unserved_queue);
  put(object, "xdp_tx_errors", role.io_counters.xdp_tx_errors);
  put(object, "rx_other_host", role.io_counters.rx_other_host);
  put(object, "wakeups", role.io_counters.wakeups);
  put(object, "link_errors", role.io_counters.link_errors);
  object.Set("stalls", Napi::Number::New(object.Env(), static_cast<double>(role.stalls.count())));
  object.Set("stalled_ns", Napi::Number::New(object.Env(), static_cast<double>(role.stalls.total_ns())));
}

}  // namespace

Link read_link(const Napi::Object& object) {
  Link link{};
  link.network_namespace = text(object, "namespace");
  link.interface_name = text(object, "interfaceName");
  if (link.interface_name.empty() || link.interface_name.size() > 15)
    refuse("interfaceName", "1 to 15 characters");
  read_mac(text(object, "mac"), link.mac, "mac");
  std::string address4 = text(object, "address4");
  std::string address6 = text(object, "address6");
  uint8_t address[16];
  link.has_address4 = !address4.empty();
  if (link.has_address4) {
    if (read_address(address4, address, "address4")) refuse("address4", "an IPv4 address");
    memcpy(link.address4, address, 4);
  }
  link.has_address6 = !address6.empty();
  if (link.has_address6 && !read_address(address6, link.address6, "address6"))
    refuse("address6", "an IPv6 address");
  link.mtu = integer<uint32_t>(object, "mtu", 68, 65535);
  return link;
}

IoConfig read_io(const Napi::Object& object) {
  IoConfig io{};
  io.link = read_link(nested(object, "link"));
  io.queue = integer<uint32_t>(object, "queue", 0, 63);
  io.cpu = integer<int>(object, "cpu", -1, 1023);
  io.ring_size = integer<uint32_t>(object, "ringSize", MAX_BATCH, 65536);
  if (!std::has_single_bit(io.ring_size)) refuse("ringSize", "a power of two");
  io.local_port = integer<uint16_t>(object, "localPort", 1, 65535);
  io.send_port = integer<uint16_t>(object, "sendPort", 1, 65535);
  std::string group = text(object, "group");
  io.has_group = !group.empty();
  if (io.has_group) io.group_ipv6 = read_address(group, io.group, "group");
  io.vlan = integer<int32_t>(object, "vlan", -1, 4094);
  io.ttl = integer<uint8_t>(object, "ttl", 1, 255);
  io.receives = boolean(object, "receives");
  io.busy_poll_us = integer<uint32_t>(object, "busyPollUs", 0, 1e6);
  io.copy_mode = text(object, "copyMode");
  io.xdp_mode = text(object, "xdpMode");
  io.timestamps = read_provenance(text(object, "timestamps"));
  io.rx_stamps = boolean(object, "rxStamps");
  io.tx_stamps = boolean(object, "txStamps");
  io.stall_threshold_ns = integer<uint64_t>(object, "stallThresholdNs", 100, 1e9);
  return io;
}

ResponderSettings read_settings(const Napi::Object& object) {
  return {boolean(object, "enabled"), read_strategy(nested(object, "strategy")), read_limit(object)};
}

std::unique_ptr<const TraceRequest> read_trace_request(const Napi::Object& object) {
  uint32_t per_second = integer<uint32_t>(object, "perSecond", 1, 1e6);
  return std::make_unique<const TraceRequest>(per_second, text(object, "filter"));
}

ResponderConfig read_responder(const Napi::Object& object) {
  ResponderConfig config{};
  config.io = read_io(nested(object, "io"));
  config.strategy = read_strategy(nested(object, "strategy"));
  config.limit = read_limit(object);
  config.breakdown_every = read_breakdown(object);
  std::string address = text(object, "responseAddress");
  config.has_response_address = !address.empty();
  if (config.has_response_address) {
    config.response_ipv6 = read_address(address, config.response.address, "responseAddress");
    read_mac(text(object, "responseMac"), config.response.mac, "responseMac");
    if (!(config.response_ipv6 ? config.io.link.has_address6 : config.io.link.has_address4)) {
      throw Error(ErrorCode::usage, "answer to " + address, "the interface has no address of that family");
    }
  }
  config.response.port = integer<uint16_t>(object, "responsePort", 1, 65535);
  return config;
}

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

GeneratorConfig read_generator(const Napi::Object& object) {
  GeneratorConfig config{};
  config.io = read_io(nested(object, "io"));
  std::string address = text(object, "destinationAddress");
  config.ipv6 = read_address(address, config.destination.address, "destinationAddress");
  read_mac(text(object, "destinationMac"), config.destination.mac, "destinationMac");
  config.destination.port = integer<uint16_t>(object, "destinationPort", 1, 65535);
  if (!(config.ipv6 ? config.io.link.has_address6 : config.io.link.has_address4)) {
    throw Error(ErrorCode::usage, "send to " + address, "the interface has no address of that family");
  }
  config.closed = text(object, "mode") == "closed";
  config.window = integer<uint32_t>(object, "window", 1, 1 << 16);
  config.count = integer<uint64_t>(object, "count", 0, 1e15);
  config.duration_ns = integer<uint64_t>(object, "durationNs", 0, 1e18);
  config.warmup_ns = integer<uint64_t>(object, "warmupNs", 0, 1e15);
  config.quiet_ns = integer<uint64_t>(object, "quietNs", 0, 1e12);
  config.flows = integer<uint32_t>(object, "flows", 1, 1024);
  if (config.io.send_port + config.flows > 65536) refuse("flows", "a number of ports up to 65535");
  config.late_threshold_ns = integer<uint64_t>(object, "lateThresholdNs", 0, 1e12);
  config.breakdown_every = read_breakdown(object);
  config.schedule = read_schedule(nested(object, "schedule"));
  config.ledger.strategy = read_strategy(nested(object, "strategy"));
  config.ticks = read_ticks(nested(object, "ticks"));
  config.ledger.match = read_match(text(object, "match"));
  config.ledger.timeout_ns = integer<uint64_t>(object, "timeoutNs", 1, 60e9);
  config.ledger.stamped = config.io.tx_stamps && config.io.timestamps != Provenance::tsc;
  config.ledger.capacity = ledger_capacity(config, number(object, "peakRate", 0, 1e12));
  return config;
}

Napi::Object write_histogram(Napi::Env env, const Histogram& histogram) {
  Napi::Float64Array counts = Napi::Float64Array::New(env, Histogram::SIZE);
  for (uint32_t i = 0; i < Histogram::SIZE; i++) counts[i] = static_cast<double>(histogram.count_at(i));
  Napi::Object object = Napi::Object::New(env);
  object.Set("counts", counts);
  object.Set("count", static_cast<double>(histogram.count()));
  object.Set("min", static_cast<double>(histogram.min()));
  object.Set("max", static_cast<double>(histogram.max()));
  object.Set("sum", static_cast<double>(histogram.sum()));
  object.Set("sumOfSquares", histogram.sum_of_squares());
  return object;
}

Napi::Object write_intervals(Napi::Env env, const std::vector<Interval>& intervals) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("starts_ns", write_ns(env, intervals, &Interval::start_ns));
  object.Set("ends_ns", write_ns(env, intervals, &Interval::end_ns));
  return object;
}

Napi::Object write_stalls(Napi::Env env, const StallDetector& stalls) {
  Napi::Object object = write_intervals(env, stalls.log());
  object.Set("count", static_cast<double>(stalls.count()));
  object.Set("total_ns", static_cast<double>(stalls.total_ns()));
  object.Set("max_ns", static_cast<double>(stalls.max_ns()));
  object.Set("observed_ns", static_cast<double>(stalls.observed_ns()));
  object.Set("threshold_ns", static_cast<double>(stalls.threshold_ns()));
  return object;
}

// Rows of tick, begin, handed and returned, one after the other.
Napi::Value write_passages(Napi::Env env, const PassageLog& log) {
  std::vector<Passage> passages = log.passages();
  static_assert(sizeof(Passage) == 4 * sizeof(uint64_t));
  Napi::BigUint64Array result = Napi::BigUint64Array::New(env, passages.size() * 4);
  if (!passages.empty()) memcpy(result.Data(), passages.data(), passages.size() * sizeof(Passage));
  return result;
}

Napi::Array write_trace(Napi::Env env, const std::vector<TraceRecord>& records) {
  Napi::Array array = Napi::Array::New(env, records.size());
  for (uint32_t i = 0; i < records.size(); i++) {
    const TraceRecord& record = records[i];
    Napi::Object object = Napi::Object::New(env);
    object.Set("time_ns", Napi::BigInt::New(env, record.time_ns));
    object.Set("spent_ns", static_cast<double>(record.spent_ns));
    object.Set("outcome", record.outcome);
    object.Set("why", record.why);
    object.Set("length", record.length);
    object.Set("queue", record.queue);
    object.Set("ticks", record.ticks);
    object.Set("orders", record.orders);
    object.Set("frame", Napi::Buffer<uint8_t>::Copy(env, record.head, record.head_length));
    uint8_t tick[MARKET_DATA_SIZE];
    record.tick.write(tick);
    object.Set("tick", record.ticks == 0 ? env.Null() : Napi::Buffer<uint8_t>::Copy(env, tick, sizeof tick));
    object.Set("price", record.decision.price);
    object.Set("quantity", record.decision.quantity);
    object.Set("side", static_cast<uint32_t>(record.decision.side));
    array[i] = object;
  }
  return array;
}

Napi::Array write_strings(Napi::Env env, const std::vector<std::string>& strings) {
  Napi::Array array = Napi::Array::New(env, strings.size());
  for (uint32_t i = 0; i < strings.size(); i++) array[i] = Napi::String::New(env, strings[i]);
  return array;
}

Napi::Array write_examples(Napi::Env env, const std::vector<Example>& examples) {
  static constexpr const char* VERDICTS[] = {"correct",   "wrong",      "missing",
                                             "duplicate", "unexpected", "late"};
  Napi::Array array = Napi::Array::New(env, examples.size());
  for (uint32_t i = 0; i < examples.size(); i++) {
    const Example& example = examples[i];
    auto bytes = [&](bool has, const uint8_t* data, size_t size) -> Napi::Value {
      if (!has) return env.Null();
      return Napi::Buffer<uint8_t>::Copy(env, data, size);
    };
    Napi::Object object = Napi::Object::New(env);
    object.Set("verdict", VERDICTS[static_cast<size_t>(example.verdict)]);
    object.Set("tick", bytes(example.has_tick, example.tick, sizeof example.tick));
    object.Set("expected", bytes(example.has_expected, example.expected, sizeof example.expected));
    object.Set("received", bytes(example.has_received, example.received, sizeof example.received));
    array[i] = object;
  }
  return array;
}

Napi::Object write_counters(Napi::Env env, const GeneratorRole& role) {
  Napi::Object object = Napi::Object::New(env);
  const LedgerCounters& ledger = role.ledger.counters();
  put(object, "sent", ledger.sent);
  put(object, "unsent", role.counters.unsent);
  put(object, "quiet", ledger.quiet);
  put(object, "correct", ledger.correct);
  put(object, "wrong", ledger.wrong);
  put(object, "late", ledger.late);
  put(object, "missing", ledger.missing);
  put(object, "received", ledger.received);
  put(object, "duplicate", ledger.duplicate);
  put(object, "unexpected", ledger.unexpected);
  put(object, "partial_orders", ledger.partial_orders);
  put(object, "reordered", ledger.reordered);
  put(object, "stamped", ledger.stamped);
  put(object, "unstamped", ledger.unstamped);
  put(object, "warmup_sent", ledger.warmup_sent);
  put(object, "warmup_answered", ledger.warmup_answered);
  put(object, "warmup_faults", ledger.warmup_faults);
  put(object, "measured_ns", role.counters.measured_ns);
  put(object, "late_sends", role.counters.late_sends);
  put(object, "late_in_stall", role.counters.late_in_stall);
  put(object, "bursts", role.counters.bursts);
  put(object, "frames_in", role.counters.frames_in);
  put(object, "foreign", role.counters.foreign);
  put_refused(object, role.counters.refused);
  put_io(object, role);
  return object;
}

Napi::Object write_counters(Napi::Env env, const ResponderRole& role) {
  Napi::Object object = Napi::Object::New(env);
  const ResponderCounters& counters = role.counters;
  put(object, "frames", counters.frames);
  put(object, "disabled", counters.disabled);
  put(object, "datagrams", counters.datagrams);
  put(object, "ticks", counters.ticks);
  put(object, "orders", counters.orders);
  put(object, "quiet_ticks", counters.quiet_ticks);
  put(object, "partial_ticks", counters.partial_ticks);
  put(object, "orders_unsent", counters.orders_unsent);
  put(object, "orders_limited", counters.orders_limited);
  put(object, "symbol_over_limit", counters.symbol_over_limit);
  put(object, "undecidable", counters.undecidable);
  put(object, "wrong_mac", counters.wrong_mac);
  put(object, "wrong_address", counters.wrong_address);
  put(object, "wrong_group", counters.wrong_group);
  put(object, "wrong_port", counters.wrong_port);
  put(object, "unanswerable", counters.unanswerable);
  put_refused(object, counters.refused);
  put_io(object, role);
  return object;
}

Napi::Error to_javascript(Napi::Env env, const Error& error) {
  static constexpr const char* CODES[] = {"usage", "environment", "internal"};
  Napi::Error result = Napi::Error::New(env, error.operation + ": " + error.detail);
  result.Set("code", Napi::String::New(env, CODES[static_cast<size_t>(error.code)]));
  result.Set("operation", Napi::String::New(env, error.operation));
  result.Set("detail", Napi::String::New(env, error.detail));
  result.Set("hint", Napi::String::New(env, error.hint));
  return result;
}

}  // namespace carom
