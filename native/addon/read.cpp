#include "addon/read.h"

#include <bit>

#include "addon/convert.h"
#include "filter/packet_filter.h"

namespace carom {
namespace {

StrategyId read_strategy_name(const std::string& from) {
  for (uint32_t id = 0; id < STRATEGY_COUNT; id++) {
    if (from == STRATEGY_NAMES[id]) return static_cast<StrategyId>(id);
  }
  refuse("strategy", "the name of one");
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

std::vector<uint32_t> read_more_queues(const Napi::Object& object) {
  Napi::Value value = object.Get("moreQueues");
  if (!value.IsArray()) refuse("moreQueues", "a list");
  Napi::Array array = value.As<Napi::Array>();
  std::vector<uint32_t> queues;
  for (uint32_t i = 0; i < array.Length(); i++) {
    Napi::Value item = array[i];
    double queue = item.IsNumber() ? item.As<Napi::Number>().DoubleValue() : -1;
    if (!(queue >= 0 && queue <= 63)) refuse("moreQueues", "a list of queues");
    queues.push_back(static_cast<uint32_t>(queue));
  }
  return queues;
}

}  // namespace

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

uint32_t read_passage_room(const Napi::Object& object) {
  return integer<uint32_t>(object, "passageRoom", 0, 1 << 24);
}

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
  io.more_queues = read_more_queues(object);
  io.cpu = integer<int>(object, "cpu", -1, 1023);
  io.ring_size = integer<uint32_t>(object, "ringSize", MAX_BATCH, 65536);
  if (!std::has_single_bit(io.ring_size)) refuse("ringSize", "a power of two");
  io.local_port = integer<uint16_t>(object, "localPort", 1, 65535);
  io.send_port = integer<uint16_t>(object, "sendPort", 1, 65535);
  for (const std::string& address : texts(object, "groups", MAX_ADDRESS)) {
    Group& group = io.groups.emplace_back();
    group.ipv6 = read_address(address, group.address, "groups");
  }
  if (io.groups.size() > GROUPS_MAX) refuse("groups", "a list of at most 16");
  io.vlan = integer<int32_t>(object, "vlan", -1, 4094);
  io.ttl = integer<uint8_t>(object, "ttl", 1, 255);
  io.dscp = integer<uint8_t>(object, "dscp", 0, 63);
  io.receives = boolean(object, "receives");
  io.busy_poll_us = integer<uint32_t>(object, "busyPollUs", 0, 1e6);
  io.copy_mode = text(object, "copyMode");
  io.xdp_mode = text(object, "xdpMode");
  io.timestamps = read_provenance(text(object, "timestamps"));
  io.rx_stamps = boolean(object, "rxStamps");
  io.tx_stamps = boolean(object, "txStamps");
  io.stamps_arrivals = boolean(object, "stampsArrivals");
  io.stamps_any = boolean(object, "stampsAny");
  io.launches = boolean(object, "launches");
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
  if (std::string filter = text(object, "filter"); !filter.empty())
    config.io.filter = open_filter(filter, {"auto", IO_FRAMES});
  config.strategy = read_strategy(nested(object, "strategy"));
  config.limit = read_limit(object);
  config.breakdown_every = read_breakdown(object);
  config.passage_room = read_passage_room(object);
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

}  // namespace carom
