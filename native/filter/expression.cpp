#include "filter/expression.h"

#include <sys/types.h>
// Needs the types above.
#include <pcap/pcap.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>
#include <optional>
#include <vector>

#include "core/error.h"

namespace carom {
namespace {

constexpr int LONGEST = 65535;                   // bytes of a frame
constexpr uint32_t KERNEL_OFFSETS = 0xfffff000;  // SKF_AD_OFF of linux/filter.h
constexpr size_t TOKENS_MAX = 200;               // of an expression whose error is looked for
constexpr size_t SHOWN_MAX = 100;                // characters of an expression

// What can follow the beginning of an expression: one of them completes any that has no error yet.
constexpr std::array<const char*, 10> ENDINGS{"",    " ip",  ")",        " ip)",   " 1",
                                              " 1)", " = 1", " 1.2.3.4", "0] = 1", "] = 1"};

struct Compiled {
  Compiled() = default;
  Compiled(const Compiled&) = delete;
  Compiled& operator=(const Compiled&) = delete;
  ~Compiled() { pcap_freecode(&program); }

  // What libpcap says of the expression; "" if it takes it.
  std::string compile(const std::string& expression) {
    std::unique_ptr<pcap_t, decltype(&pcap_close)> handle(pcap_open_dead(DLT_EN10MB, LONGEST), pcap_close);
    if (!handle) throw Error(ErrorCode::internal, "compile a filter", "libpcap has no memory for it");
    if (pcap_compile(handle.get(), &program, expression.c_str(), 0, PCAP_NETMASK_UNKNOWN) == 0) return "";
    return pcap_geterr(handle.get());
  }

  bpf_program program{};
};

bool is_syntax_error(const std::string& message) { return message.find("syntax error") != std::string::npos; }

// Whether the beginning of an expression is free of syntax errors.
bool can_go_on(const std::string& beginning) {
  return std::any_of(ENDINGS.begin(), ENDINGS.end(), [&](const char* ending) {
    return !is_syntax_error(Compiled().compile(beginning + ending));
  });
}

// Where the words begin; a sign is a word.
std::vector<size_t> words_of(const std::string& expression) {
  auto is_word = [](char c) { return isalnum(static_cast<uint8_t>(c)) || strchr("._-:", c) != nullptr; };
  std::vector<size_t> found;
  for (size_t i = 0; i < expression.size(); i++) {
    if (isspace(static_cast<uint8_t>(expression[i]))) continue;
    bool is_sign = expression[i] == '&' || expression[i] == '|';
    bool continues = i > 0 && (is_sign ? expression[i] == expression[i - 1]
                                       : is_word(expression[i]) && is_word(expression[i - 1]));
    if (!continues) found.push_back(i);
  }
  return found;
}

// A message without quotes may still repeat a number of the expression: "illegal port number 99999 > 65535".
std::optional<size_t> place_of_number(const std::string& expression, std::span<const size_t> words,
                                      const std::string& message) {
  for (size_t at : words) {
    size_t end = at;
    while (end < expression.size() && isalnum(static_cast<uint8_t>(expression[end]))) end++;
    bool is_number = isdigit(static_cast<uint8_t>(expression[at])) && end - at > 1;
    if (is_number && message.find(expression.substr(at, end - at)) != std::string::npos) return at;
  }
  return std::nullopt;
}

// Which part of a text a place belongs to.
const PcapText::Origin& origin_of(const PcapText& text, size_t at) {
  size_t next = text.origins.size();
  while (next > 1 && text.origins[next - 1].at > at) next--;
  return text.origins[next - 1];
}

// The place in the expression that a place in the text comes from.
size_t original_of(const PcapText& text, size_t at) {
  const PcapText::Origin& origin = origin_of(text, at);
  return origin.is_stand ? origin.original : origin.original + (at - origin.at);
}

// libpcap says which word it does not know, but not where an expression stops making sense: that is at the
// first word with which no ending helps any more.
std::optional<size_t> place_of(const PcapText& text, const std::string& message) {
  const std::string& expression = text.text;
  size_t open = message.find('\'');
  size_t close = message.find('\'', open + 1);
  if (open != std::string::npos && close != std::string::npos && close > open + 1) {
    size_t at = expression.find(message.substr(open + 1, close - open - 1));
    if (at != std::string::npos) return at;
  }
  std::vector<size_t> words = words_of(expression);
  if (!is_syntax_error(message)) return place_of_number(expression, words, message);
  std::erase_if(words, [&](size_t at) { return origin_of(text, at).is_stand; });
  if (words.size() > TOKENS_MAX) return std::nullopt;
  for (size_t i = 0; i < words.size(); i++) {
    size_t end = i + 1 < words.size() ? words[i + 1] : expression.size();
    if (!can_go_on(expression.substr(0, end))) return words[i];
  }
  return expression.size();
}

}  // namespace

std::string show_place(const std::string& expression, size_t at) {
  size_t from = at > SHOWN_MAX / 2 ? at - SHOWN_MAX / 2 : 0;
  std::string shown = expression.substr(from, SHOWN_MAX);
  for (char& c : shown) c = isprint(static_cast<uint8_t>(c)) ? c : ' ';
  return "\n  " + shown + "\n  " + std::string(at - from, ' ') + "^";
}

std::string quoted(const std::string& expression) {
  std::string text("\"");
  return text.append(expression, 0, SHOWN_MAX).append(expression.size() > SHOWN_MAX ? "…\"" : "\"");
}

std::vector<Instruction> compile_text(const PcapText& text, const std::string& expression) {
  Compiled compiled;
  std::string message = compiled.compile(text.text);
  if (!message.empty()) {
    std::optional<size_t> place = place_of(text, message);
    throw Error(
        ErrorCode::usage, "filter " + quoted(expression), message,
        std::string("pcap-filter(7) describes the language: for example \"src host 198.18.0.1 and udp\"") +
            (place ? show_place(expression, original_of(text, *place)) : ""));
  }
  std::vector<Instruction> wide;
  wide.reserve(compiled.program.bf_len);
  for (uint32_t i = 0; i < compiled.program.bf_len; i++) {
    const bpf_insn& one = compiled.program.bf_insns[i];
    bool is_loop = one.code == (BPF_JMP | BPF_JA) && static_cast<int32_t>(one.k) < 0;
    if (is_loop) {
      throw Error(ErrorCode::usage, "filter " + quoted(expression), "it jumps backwards",
                  "protochain follows headers in a loop, which filters can't; name the protocol instead");
    }
    // What libpcap makes of "inbound" asks the kernel, at an offset that no frame has.
    bool asks_kernel = one.code == (BPF_LD | BPF_H | BPF_ABS) || one.code == (BPF_LD | BPF_B | BPF_ABS) ||
                       one.code == (BPF_LD | BPF_W | BPF_ABS);
    if (asks_kernel && one.k >= KERNEL_OFFSETS && text.text.find("bound") != std::string::npos) {
      throw Error(ErrorCode::usage, "filter " + quoted(expression), "it asks which way a frame went",
                  "a frame does not say that: name an address (ether src, ether dst), or capture one "
                  "direction alone (carom capture --direction)");
    }
    wide.push_back({one.code, one.jt, one.jf, one.k});
  }
  return wide;
}

}  // namespace carom
