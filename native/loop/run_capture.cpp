#include "loop/run_capture.h"

#include <algorithm>
#include <cstdio>

namespace carom {
namespace {

// Kinds of notes.
constexpr uint16_t TICKS = 1;
constexpr uint16_t ORDERS = 2;

struct TickNote {
  uint64_t first;  // numbers in the ledger
  uint64_t last;
  uint32_t ticks;
  uint32_t known;  // by the ledger
  uint32_t due;    // of these, to be answered
  uint32_t withheld;
  bool is_warmup;
};

// Behind it are so many judgements.
struct OrderNote {
  const char* refusal;  // a text that stays, or null
  uint64_t stamp_ns;    // by the kernel or the NIC, 0 for none
  uint32_t count;
  uint32_t more;
};

std::string time_text(uint64_t time_ns) {
  char text[32];
  double value = static_cast<double>(time_ns);
  if (time_ns < 1000) {
    snprintf(text, sizeof text, "%llu ns", static_cast<unsigned long long>(time_ns));
  } else if (time_ns < 1'000'000) {
    snprintf(text, sizeof text, "%.2f us", value / 1e3);
  } else if (time_ns < 1'000'000'000) {
    snprintf(text, sizeof text, "%.2f ms", value / 1e6);
  } else {
    snprintf(text, sizeof text, "%.3f s", value / 1e9);
  }
  return text;
}

// As people count: from 1.
std::string tick_text(uint64_t number) { return "tick " + std::to_string(number + 1); }

// Hostile bytes are shown, never obeyed.
std::string symbol_text(uint64_t symbol) {
  std::string text(reinterpret_cast<const char*>(&symbol), sizeof symbol);
  text.erase(text.find_last_not_of(std::string("\0 ", 2)) + 1);
  for (char& c : text) {
    if (c < 0x20 || c > 0x7e) c = '.';
  }
  return text;
}

// What of the order is not as it had to be.
std::string differences(const Judgement& judgement) {
  std::string text;
  auto add = [&](const char* name, const std::string& is, const std::string& must_be) {
    if (is != must_be)
      text += (text.empty() ? "" : ", ") + std::string(name) + " " + is + " instead of " + must_be;
  };
  const Decision& right = judgement.expected;
  add("symbol", symbol_text(judgement.symbol), symbol_text(judgement.expected_symbol));
  add("price", std::to_string(judgement.price), std::to_string(right.price));
  add("quantity", std::to_string(judgement.quantity), std::to_string(right.quantity));
  add("side", std::to_string(judgement.side), std::to_string(right.side));
  return text;
}

std::string verdict_text(const Judgement& judgement) {
  if (judgement.verdict == Verdict::unjudged) return "carom: not judged: its tick is not remembered any more";
  if (!judgement.has_tick) return "carom: unexpected: it answers no tick";
  std::string tick = tick_text(judgement.number);
  std::string after = ", " + time_text(judgement.latency_ns) + " after " + tick;
  std::string warmup = judgement.measured ? "" : " (warm-up)";
  switch (judgement.verdict) {
    case Verdict::correct:
      return "carom: correct" + after + (judgement.is_copy ? ", for a copy of it" : "") + warmup;
    case Verdict::wrong:
      return "carom: wrong" + after + ": " + differences(judgement) + warmup;
    case Verdict::late:
      return "carom: late" + after + warmup;
    case Verdict::duplicate:
      return "carom: duplicate" + after + ", which had its answer" + warmup;
    default:
      if (judgement.latency_ns == 0) return "carom: unexpected: " + tick + " was not sent" + warmup;
      return "carom: unexpected" + after + ", which must not be answered" + warmup;
  }
}

std::string ticks_text(const TickNote& note) {
  if (note.known == 0) return "";
  std::string text = "carom: " + tick_text(note.first);
  if (note.ticks > 1) {
    text = "carom: " + std::to_string(note.ticks) + " ticks, " + std::to_string(note.first + 1) + " to " +
           std::to_string(note.last + 1);
    text += note.due == 0
                ? ", no answer due"
                : ", " + std::to_string(note.due) + (note.due == 1 ? " answer due" : " answers due");
  } else {
    text += note.due != 0 ? ", answer due" : ", no answer due";
  }
  if (note.withheld != 0) text += ": lost or spoilt on purpose";
  return text + (note.is_warmup ? " (warm-up)" : "");
}

void comment_orders(const CaptureRecord& record, std::vector<std::string>& comments) {
  OrderNote note;
  memcpy(&note, record.note(), sizeof note);
  if (note.refusal != nullptr) comments.push_back(std::string("carom: refused: ") + note.refusal);
  for (uint32_t i = 0; i < note.count; i++) {
    Judgement judgement;
    memcpy(&judgement, record.note() + sizeof note + i * sizeof judgement, sizeof judgement);
    comments.push_back(verdict_text(judgement));
  }
  if (note.more != 0) comments.push_back("carom: and " + std::to_string(note.more) + " more orders");
  if (note.stamp_ns != 0) {
    char text[64];
    snprintf(text, sizeof text, "carom: timestamp %llu.%09llu",
             static_cast<unsigned long long>(note.stamp_ns / 1'000'000'000),
             static_cast<unsigned long long>(note.stamp_ns % 1'000'000'000));
    comments.emplace_back(text);
  }
}

void comment(const CaptureRecord& record, std::vector<std::string>& comments) {
  if (record.kind == ORDERS) return comment_orders(record, comments);
  if (record.kind != TICKS) return;
  TickNote note;
  memcpy(&note, record.note(), sizeof note);
  if (std::string text = ticks_text(note); !text.empty()) comments.push_back(std::move(text));
}

std::string counts_text(const LedgerCounters& counters, uint64_t dropped, bool receives) {
  std::string text = "carom: " + std::to_string(counters.sent.get()) + " ticks sent";
  if (receives) {
    const std::pair<const char*, uint64_t> verdicts[] = {
        {"correct", counters.correct.get()},       {"wrong", counters.wrong.get()},
        {"missing", counters.missing.get()},       {"duplicate", counters.duplicate.get()},
        {"unexpected", counters.unexpected.get()}, {"late", counters.late.get()}};
    for (const auto& [name, count] : verdicts) text += std::string(", ") + name + " " + std::to_string(count);
  }
  return text + ", without the warm-up; " + std::to_string(dropped) + " packets dropped by the writer";
}

CaptureSource source_of(const CaptureOutput& output, const IoConfig& io, const Ledger& ledger,
                        const Counter& frames) {
  CaptureSource source;
  source.interface.name = io.link.interface_name;
  source.interface.os = output.section.os;
  source.interface.comment = output.interface_comment;
  source.interface.snap_length = 0;
  std::copy(std::begin(io.link.mac), std::end(io.link.mac), source.interface.mac.begin());
  source.statistics = [&ledger, &frames, receives = io.receives](uint64_t dropped) {
    PcapngStatistics statistics{};
    statistics.accepted = frames.get();
    statistics.comment = counts_text(ledger.counters(), dropped, receives);
    return statistics;
  };
  source.comment = comment;
  return source;
}

}  // namespace

RunCapture::RunCapture(const CaptureOutput& output, const IoConfig& io, Ledger& ledger)
    : ledger_(ledger), receives_(io.receives), writer_(output, source_of(output, io, ledger, frames)) {
  ledger_.tell(&judgements_);
}

RunCapture::~RunCapture() { ledger_.tell(nullptr); }

void RunCapture::sent(const Frame& frame, uint64_t sent_ns) noexcept {
  TickNote note{};
  Datagram datagram;
  ParseOptions options{ANY_VLAN, false};
  if (receives_ && parse_frame(frame.data, frame.length, options, datagram) == ParseResult::ok) {
    note.ticks = datagram.payload_length / MARKET_DATA_SIZE;
    for (uint32_t i = 0; i < note.ticks; i++) {
      uint64_t timestamp = Tick::read(datagram.payload + i * MARKET_DATA_SIZE).timestamp;
      Ledger::Expectation expected = ledger_.expectation(timestamp);
      if (!expected.is_known) continue;
      note.first = note.known++ == 0 ? expected.number : std::min(note.first, expected.number);
      note.last = std::max(note.last, expected.number);
      note.due += expected.is_due;
      note.withheld += expected.is_withheld;
      note.is_warmup = !expected.is_measured;
    }
  }
  put(frame, sent_ns, PcapngDirection::out, note.known != 0 ? TICKS : 0,
      {reinterpret_cast<const uint8_t*>(&note), note.known != 0 ? sizeof note : 0});
}

void RunCapture::received(const Frame& frame, uint64_t now_ns, const char* refusal) noexcept {
  if (frame.length == 0) return;  // for another host: its bytes are not shown
  OrderNote note{refusal, frame.stamp_ns, judgements_.count, judgements_.more};
  size_t size = note.count * sizeof(Judgement);
  memcpy(note_.data(), &note, sizeof note);
  memcpy(note_.data() + sizeof note, judgements_.list.data(), size);
  put(frame, now_ns, PcapngDirection::in, ORDERS, {note_.data(), sizeof note + size});
}

void RunCapture::put(const Frame& frame, uint64_t time_ns, PcapngDirection direction, uint16_t kind,
                     std::span<const uint8_t> note) noexcept {
  CaptureHead head{};
  head.time_ns = time_ns + static_cast<uint64_t>(epoch_offset_ns_);
  head.length = frame.length;
  head.tag = -1;
  head.direction = direction;
  head.kind = kind;
  ++frames;
  writer_.ring().put(head, {frame.data, frame.length}, UINT32_MAX, note);
}

}  // namespace carom
