#include "addon/inspect.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include <functional>
#include <optional>

#include "addon/convert.h"
#include "addon/entry.h"
#include "addon/fields.h"
#include "capture/compare.h"
#include "capture/inspect.h"

namespace carom {
namespace {

constexpr size_t TOP = 100;  // entries of each table that JavaScript is given

template <class Count>
Napi::Value count_value(Napi::Env env, Count value) {
  return Napi::Number::New(env, static_cast<double>(value));
}

Napi::Value big(Napi::Env env, uint64_t value) { return Napi::BigInt::New(env, value); }

template <size_t N>
Napi::Object named(Napi::Env env, const std::array<uint64_t, N>& values, const char* const* names,
                   size_t from = 0) {
  Napi::Object object = Napi::Object::New(env);
  for (size_t i = from; i < N; i++) object.Set(names[i], count_value(env, values[i]));
  return object;
}

Napi::Object write_file(Napi::Env env, const FileFound& file) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("format", file.format);
  object.Set("compression", file.compression);
  object.Set("linkType", file.link_type);
  object.Set("interfaces", count_value(env, file.interfaces));
  object.Set("frames", count_value(env, file.end.frames));
  object.Set("bytes", count_value(env, file.end.bytes));
  object.Set("broken", file.end.text());
  object.Set("remarks", write_remarks(env, file.remarks));
  return object;
}

Napi::Object write_count(Napi::Env env, const FrameCount& count) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("frames", count_value(env, count.frames));
  object.Set("bytes", count_value(env, count.bytes));
  return object;
}

Napi::Value write_address(Napi::Env env, const std::array<uint8_t, 16>& address, bool ipv6) {
  return Napi::Buffer<uint8_t>::Copy(env, address.data(), ipv6 ? 16 : 4);
}

// The most frequent ones, and what is known of the rest.
template <class Table, class Write>
Napi::Object write_table(Napi::Env env, const Table& table, Write write) {
  Napi::Array top = Napi::Array::New(env);
  for (const auto& entry : table.top(TOP)) top[top.Length()] = write(entry.key, entry.value);
  Napi::Object object = Napi::Object::New(env);
  object.Set("count", count_value(env, table.count()));
  object.Set("dropped", count_value(env, table.dropped()));
  object.Set("droppedFrames", count_value(env, table.others().frames));
  object.Set("top", top);
  return object;
}

Napi::Object write_conversations(Napi::Env env, const TopTable<ConversationKey, ConversationCount>& table) {
  return write_table(env, table, [&](const ConversationKey& key, const ConversationCount& value) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("a", write_address(env, key.address[0], key.ipv6 != 0));
    object.Set("b", write_address(env, key.address[1], key.ipv6 != 0));
    object.Set("portA", key.has_ports != 0 ? count_value(env, key.port[0]) : env.Null());
    object.Set("portB", key.has_ports != 0 ? count_value(env, key.port[1]) : env.Null());
    object.Set("protocol", count_value(env, key.protocol));
    object.Set("frames", count_value(env, value.frames));
    object.Set("bytes", count_value(env, value.bytes));
    object.Set("framesFromA", count_value(env, value.forth));
    return object;
  });
}

Napi::Object write_groups(Napi::Env env, const TopTable<GroupKey, GroupCount>& table) {
  return write_table(env, table, [&](const GroupKey& key, const GroupCount& value) {
    Napi::Object object = write_count(env, value);
    object.Set("address", write_address(env, key.address, key.ipv6 != 0));
    object.Set("port", key.has_port != 0 ? count_value(env, key.port) : env.Null());
    return object;
  });
}

Napi::Object write_trading(Napi::Env env, const Trading& trading) {
  const TradingCounters& counters = trading.counters();
  Napi::Object object = Napi::Object::New(env);
  object.Set("tickDatagrams", count_value(env, counters.tick_datagrams));
  object.Set("ticks", count_value(env, counters.ticks));
  object.Set("tickCopies", count_value(env, counters.tick_copies));
  object.Set("partialTicks", count_value(env, counters.partial_ticks));
  object.Set("orderDatagrams", count_value(env, counters.order_datagrams));
  object.Set("orders", count_value(env, counters.orders));
  object.Set("partialOrders", count_value(env, counters.partial_orders));
  object.Set("buys", count_value(env, counters.sides[0]));
  object.Set("sells", count_value(env, counters.sides[1]));
  object.Set("otherSides", count_value(env, counters.sides[2]));
  object.Set("matched", count_value(env, counters.matched));
  object.Set("repeated", count_value(env, counters.repeated));
  object.Set("unmatched", count_value(env, counters.unmatched));
  object.Set("badIds", count_value(env, counters.bad_ids));
  object.Set("early", count_value(env, counters.early));
  object.Set("unfinished", count_value(env, counters.unfinished));
  object.Set("refused", named(env, counters.refused, PARSE_RESULT_NAMES, 1));
  object.Set("roundTrips", write_histogram(env, trading.round_trips()));
  object.Set(
      "symbols",
      write_table(env, trading.symbols(), [&](const std::array<char, 8>& key, const SymbolCount& value) {
        Napi::Object entry = Napi::Object::New(env);
        entry.Set("symbol", Napi::Buffer<char>::Copy(env, key.data(), key.size()));
        entry.Set("ticks", count_value(env, value.ticks));
        entry.Set("orders", count_value(env, value.orders));
        return entry;
      }));
  return object;
}

Napi::Object write_counters(Napi::Env env, const InspectCounters& counters) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("frames", count_value(env, counters.frames));
  object.Set("bytes", count_value(env, counters.bytes));
  object.Set("captured", count_value(env, counters.captured));
  object.Set("truncated", count_value(env, counters.truncated));
  object.Set("empty", count_value(env, counters.empty));
  object.Set("unconverted", count_value(env, counters.unconverted));
  object.Set("shortest", count_value(env, counters.frames == 0 ? 0 : counters.shortest));
  object.Set("longest", count_value(env, counters.longest));
  object.Set("first_ns", big(env, counters.first_ns));
  object.Set("earliest_ns", big(env, counters.frames == 0 ? 0 : counters.least_ns));
  object.Set("latest_ns", big(env, counters.most_ns));
  object.Set("backwards", count_value(env, counters.backwards));
  object.Set("backwardsMax_ns", count_value(env, counters.backwards_max_ns));
  object.Set("backwardsFrame", count_value(env, counters.backwards_frame));
  object.Set("filtered", count_value(env, counters.filtered));
  object.Set("outside", count_value(env, counters.outside));
  object.Set("kinds", named(env, counters.kinds, FRAME_KIND_NAMES));
  object.Set("badChecksums", named(env, counters.bad, BAD_CHECKSUM_NAMES));
  Napi::Array sizes = Napi::Array::New(env);
  for (const FrameCount& size : counters.sizes) sizes[sizes.Length()] = write_count(env, size);
  object.Set("sizes", sizes);
  return object;
}

Napi::Array write_bursts(Napi::Env env, const Bursts& bursts) {
  Napi::Array array = Napi::Array::New(env);
  for (size_t i = 0; i < Bursts::WIDTHS_NS.size(); i++) {
    const Burst& burst = bursts.busiest()[i];
    Napi::Object object = Napi::Object::New(env);
    object.Set("width_ns", count_value(env, Bursts::WIDTHS_NS[i]));
    object.Set("frames", count_value(env, burst.frames));
    object.Set("bytes", count_value(env, burst.bytes));
    object.Set("from_ns", big(env, burst.from_ns));
    object.Set("to_ns", big(env, burst.to_ns));
    array[array.Length()] = object;
  }
  return array;
}

Napi::Value write_inspection(Napi::Env env, const InspectResult& result) {
  const Inspection& found = result.inspection;
  Napi::Object rate = Napi::Object::New(env);
  auto frames = Napi::Float64Array::New(env, RateBins::COUNT);
  auto bytes = Napi::Float64Array::New(env, RateBins::COUNT);
  for (uint32_t i = 0; i < RateBins::COUNT; i++) {
    frames[i] = static_cast<double>(found.rate().bins()[i].frames);
    bytes[i] = static_cast<double>(found.rate().bins()[i].bytes);
  }
  rate.Set("width_ns", count_value(env, found.rate().width_ns()));
  rate.Set("frames", frames);
  rate.Set("bytes", bytes);
  Napi::Object object = Napi::Object::New(env);
  object.Set("file", write_file(env, result.file));
  object.Set("counters", write_counters(env, found.counters()));
  object.Set("gaps", write_histogram(env, found.gaps()));
  object.Set("rate", rate);
  object.Set("bursts", write_bursts(env, found.bursts()));
  object.Set("trading", write_trading(env, found.trading()));
  object.Set("conversations", write_conversations(env, found.conversations()));
  object.Set("groups", write_groups(env, found.groups()));
  return object;
}

Napi::Object write_side(Napi::Env env, const ComparedSide& side) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("file", write_file(env, side.file));
  object.Set("frames", count_value(env, side.frames));
  object.Set("filtered", count_value(env, side.filtered));
  object.Set("first_ns", big(env, side.first_ns));
  object.Set("last_ns", big(env, side.last_ns));
  return object;
}

Napi::Array write_lone(Napi::Env env, const std::vector<LoneFrame>& frames) {
  Napi::Array array = Napi::Array::New(env, frames.size());
  for (uint32_t i = 0; i < frames.size(); i++) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("number", count_value(env, frames[i].number));
    object.Set("time_ns", big(env, frames[i].time_ns));
    array[i] = object;
  }
  return array;
}

// Exact up to 2^53 ns, 104 days, which no two clocks should be apart by.
Napi::Float64Array write_offsets(Napi::Env env, const std::vector<int64_t>& offsets_ns) {
  Napi::Float64Array array = Napi::Float64Array::New(env, offsets_ns.size());
  for (size_t i = 0; i < offsets_ns.size(); i++) array[i] = static_cast<double>(offsets_ns[i]);
  return array;
}

Napi::Value write_comparison(Napi::Env env, const CompareResult& result) {
  Napi::Object object = Napi::Object::New(env);
  object.Set("a", write_side(env, result.a));
  object.Set("b", write_side(env, result.b));
  object.Set("matched", count_value(env, result.matched));
  object.Set("missing", count_value(env, result.missing));
  object.Set("added", count_value(env, result.added));
  object.Set("reordered", count_value(env, result.reordered));
  object.Set("inOrder", count_value(env, result.in_order));
  object.Set("gapError", write_histogram(env, result.gap_error));
  object.Set("longer", count_value(env, result.longer));
  object.Set("shorter", count_value(env, result.shorter));
  object.Set("firstOffsets", write_offsets(env, result.first_offsets_ns));
  object.Set("lastOffsets", write_offsets(env, result.last_offsets_ns));
  object.Set("firstMissing", write_lone(env, result.first_missing));
  object.Set("firstAdded", write_lone(env, result.first_added));
  object.Set("spanA_ns", count_value(env, result.span_a_ns));
  object.Set("spanB_ns", count_value(env, result.span_b_ns));
  return object;
}

// Does something with captures beside JavaScript's thread, then hands over what came of it.
template <class Result>
class CaptureWorker : public Napi::AsyncWorker {
 public:
  using Work = std::function<std::unique_ptr<Result>()>;
  using Write = Napi::Value (*)(Napi::Env, const Result&);

  CaptureWorker(const Napi::Function& on_end, Work work, Write write)
      : Napi::AsyncWorker(on_end), work_(std::move(work)), write_(write) {}

  void Execute() override {
    try {
      result_ = work_();
    } catch (const std::bad_alloc&) {
      error_.emplace(ErrorCode::environment, "read a capture", "there is not enough memory",
                     "compare parts of it: --filter");
    } catch (...) {
      error_ = current_error("read a capture");
    }
  }

  std::vector<napi_value> GetResult(Napi::Env env) override {
    return outcome(env, error_, [&] { return write_(env, *result_); });
  }

 private:
  Work work_;
  Write write_;
  std::unique_ptr<Result> result_;
  std::optional<Error> error_;
};

// What the caller asks meanwhile: [frames, bytes read, bytes in all].
Napi::Value progress_function(Napi::Env env, std::shared_ptr<InspectProgress> progress) {
  return make_function(env, [progress](const Napi::CallbackInfo& info) -> Napi::Value {
    Napi::Array array = Napi::Array::New(info.Env(), 3);
    array[0u] = count_value(info.Env(), progress->frames.load(std::memory_order_relaxed));
    array[1u] = count_value(info.Env(), progress->bytes_read.load(std::memory_order_relaxed));
    array[2u] = count_value(info.Env(), progress->bytes_total.load(std::memory_order_relaxed));
    return array;
  });
}

uint16_t port(const Napi::Object& object, const char* name) {
  return integer<uint16_t>(object, name, 1, 65535);
}

constexpr double LONGEST_NS = 9e18;

InspectConfig read_inspect(const Napi::Object& object) {
  return {text(object, "path"),
          text(object, "filter"),
          static_cast<uint64_t>(number(object, "fromNs", 0, LONGEST_NS)),
          static_cast<uint64_t>(number(object, "toNs", 0, LONGEST_NS)),
          port(object, "tickPort"),
          port(object, "orderPort")};
}

CompareConfig read_compare(const Napi::Object& object) {
  Napi::Object ignore = nested(object, "ignore");
  IgnoredFields ignored{boolean(ignore, "mac"),  boolean(ignore, "vlan"),      boolean(ignore, "ttl"),
                        boolean(ignore, "dscp"), boolean(ignore, "checksum"),  boolean(ignore, "ip"),
                        boolean(ignore, "port"), boolean(ignore, "timestamp"), boolean(ignore, "padding")};
  return {text(object, "pathA"),    text(object, "pathB"),    text(object, "filter"), ignored,
          port(object, "tickPort"), port(object, "orderPort")};
}

// Begins the work; returns what its progress is asked by.
template <class Config, class Result>
Napi::Value start(const Napi::CallbackInfo& info, Config (*read)(const Napi::Object&),
                  std::unique_ptr<Result> (*work)(const Config&, InspectProgress&),
                  Napi::Value (*write)(Napi::Env, const Result&)) {
  Napi::Env env = info.Env();
  Config config = read(info[0].ToObject());
  auto progress = std::make_shared<InspectProgress>();
  auto* worker = new CaptureWorker<Result>(
      info[1].As<Napi::Function>(), [=] { return work(config, *progress); }, write);
  worker->Queue();  // deletes itself
  return progress_function(env, progress);
}

Napi::Value inspect(const Napi::CallbackInfo& info) {
  return start(info, read_inspect, inspect_capture, write_inspection);
}

Napi::Value compare(const Napi::CallbackInfo& info) {
  return start(info, read_compare, compare_captures, write_comparison);
}

// Frames of a capture on request, for lines that people read: not a hot path.
struct FrameList {
  explicit FrameList(const InspectConfig& wanted)
      : config(wanted), filter(wanted.filter), reader(wanted.path), to_ethernet(reader, LAB_MACS) {}

  // Whether there was one more.
  bool next(ListedFrame& out) {
    CapturedFrame& frame = out.frame;
    while (reader.next(frame)) {
      if (reader.end().frames == 1) begin_ns = frame.time_ns;
      out.begin_ns = begin_ns;
      uint64_t after_ns = frame.time_ns > begin_ns ? frame.time_ns - begin_ns : 0;
      if (after_ns < config.from_ns || after_ns >= config.to_ns) continue;
      out.is_ethernet = to_ethernet.convert(frame, out.ethernet);
      if (is_match(filter, out.is_ethernet ? &out.ethernet : nullptr)) return true;
    }
    if (auto error = to_ethernet.useless(reader)) throw *error;
    return false;
  }

  InspectConfig config;
  PacketFilter filter;
  CaptureReader reader;
  ToEthernet to_ethernet;
  uint64_t begin_ns = 0;
};

Napi::Value list_frames(const Napi::CallbackInfo& info) {
  Napi::Env env = info.Env();
  auto list = std::make_shared<FrameList>(read_inspect(info[0].ToObject()));
  return make_function(env, [list](const Napi::CallbackInfo& call) -> Napi::Value {
    constexpr uint32_t MOST = 4096;
    Napi::Env here = call.Env();
    uint32_t wanted = std::min(call[0].ToNumber().Uint32Value(), MOST);
    Napi::Array frames = Napi::Array::New(here);
    ListedFrame frame;
    while (frames.Length() < wanted && list->next(frame)) frames[frames.Length()] = write_listed(here, frame);
    std::vector<CaptureRemark> remarks = list->reader.remarks();
    list->to_ethernet.add_remarks(remarks);
    Napi::Object object = Napi::Object::New(here);
    object.Set("frames", frames);
    object.Set("broken", list->reader.end().text());
    object.Set("remarks", write_remarks(here, remarks));
    return object;
  });
}

// How many bytes a pipe or a socket has for whoever reads it; -1 for everything else, and when no more will
// come.
Napi::Value readable_bytes(const Napi::CallbackInfo& info) {
  int file = info[0].ToNumber().Int32Value();
  struct stat about {};
  int bytes = 0;
  bool waits = fstat(file, &about) == 0 && (S_ISFIFO(about.st_mode) || S_ISSOCK(about.st_mode));
  if (!waits || ioctl(file, FIONREAD, &bytes) != 0) return Napi::Number::New(info.Env(), -1);
  pollfd one{file, POLLIN, 0};
  bool is_over = poll(&one, 1, 0) == 1 && (one.revents & (POLLHUP | POLLERR)) != 0;
  return Napi::Number::New(info.Env(), is_over ? -1 : bytes);
}

}  // namespace

Napi::Array write_remarks(Napi::Env env, const std::vector<CaptureRemark>& remarks) {
  Napi::Array list = Napi::Array::New(env);
  for (const CaptureRemark& remark : remarks) {
    Napi::Object object = Napi::Object::New(env);
    object.Set("kind", remark.kind);
    object.Set("text", remark.text);
    object.Set("frames", count_value(env, remark.frames));
    object.Set("first_frame", count_value(env, remark.first));
    object.Set("is_left_out", remark.is_left_out);
    object.Set("is_fault", remark.is_fault);
    list[list.Length()] = object;
  }
  return list;
}

Napi::Object write_listed(Napi::Env env, const ListedFrame& listed) {
  const auto& [begin_ns, frame, ethernet, is_ethernet] = listed;
  const CapturedFrame& shown = is_ethernet ? ethernet : frame;
  Napi::Object object = Napi::Object::New(env);
  object.Set("number", count_value(env, frame.number));
  object.Set("time_ns", big(env, frame.time_ns));
  object.Set("after_ns", Napi::BigInt::New(env, static_cast<int64_t>(frame.time_ns - begin_ns)));
  object.Set("length", count_value(env, frame.length));
  object.Set("frame", Napi::Buffer<uint8_t>::Copy(env, shown.data, shown.captured));
  object.Set("isWhole", shown.captured == shown.length);
  object.Set("isEthernet", is_ethernet);
  object.Set("linkType", link_type_text(frame.link_type));
  return object;
}

void export_inspect(Napi::Env env, Napi::Object exports) {
  export_function<readable_bytes>(env, exports, "readableBytes");
  export_function<inspect>(env, exports, "inspectCapture");
  export_function<compare>(env, exports, "compareCaptures");
  export_function<list_frames>(env, exports, "listFrames");
}

}  // namespace carom
