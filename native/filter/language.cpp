#include "filter/language.h"

#include <sys/types.h>
// Needs the types above.
#include <pcap/bpf.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <memory>
#include <mutex>
#include <optional>
#include <set>

#include "core/error.h"
#include "filter/expression.h"
#include "filter/lower.h"
#include "filter/simplify.h"

namespace carom {
namespace {

constexpr size_t SYMBOL_MAX = 8;
constexpr uint32_t DEPTH_MAX = 100;  // of parentheses and negations

struct Token {
  std::string_view text;
  size_t at;
};

bool is_space(char c) { return isspace(static_cast<uint8_t>(c)) != 0; }

// Words and signs. What only libpcap reads may be cut in other places than libpcap would: it gets the text.
std::vector<Token> tokens_of(const std::string& text) {
  constexpr std::string_view SIGNS = "(),[]";
  constexpr std::string_view OPERATORS = "<>=!&|";
  std::vector<Token> tokens;
  for (size_t at = 0; at < text.size();) {
    size_t end = at + 1;
    auto while_in = [&](auto is_part) {
      while (end < text.size() && is_part(text[end])) end++;
    };
    auto is_operator = [&](char c) { return OPERATORS.find(c) != std::string_view::npos; };
    if (is_space(text[at])) {
      at++;
      continue;
    }
    bool is_quoted = text[at] == '"' || text[at] == '\'';
    size_t close = is_quoted ? text.find(text[at], end) : std::string::npos;
    if (close != std::string::npos) {
      end = close + 1;
    } else if (text[at] == '!' && (end >= text.size() || text[end] != '=')) {
      // A negation: a word of its own, whatever follows.
    } else if (is_operator(text[at])) {
      while_in(is_operator);
    } else if (SIGNS.find(text[at]) == std::string_view::npos) {
      while_in(
          [&](char c) { return !is_space(c) && SIGNS.find(c) == std::string_view::npos && !is_operator(c); });
    }
    tokens.push_back({std::string_view(text).substr(at, end - at), at});
    at = end;
  }
  return tokens;
}

template <size_t N>
bool is_one_of(std::string_view word, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

bool is_field(std::string_view word) { return word == "symbol" || word == "price" || word == "quantity"; }
bool is_and(std::string_view word) { return word == "and" || word == "&&"; }
bool is_or(std::string_view word) { return word == "or" || word == "||"; }
bool is_not(std::string_view word) { return word == "not" || word == "!"; }

// After these words libpcap looks elsewhere for all headers.
bool is_context(std::string_view word) {
  constexpr std::array<std::string_view, 6> WORDS{"vlan", "mpls", "pppoed", "pppoes", "geneve", "vxlan"};
  return is_one_of(word, WORDS);
}

// A part of libpcap's language that begins with one of these leans on nothing to its left, as in
// "port 80 or 81"; one that consists of nothing but these and a number can be leaned on.
bool is_qualifier(std::string_view word) {
  constexpr std::array<std::string_view, 11> WORDS{"host", "net", "port", "portrange", "src",  "dst",
                                                   "ip",   "ip6", "tcp",  "udp",       "ether"};
  return is_one_of(word, WORDS);
}

class Parser {
 public:
  explicit Parser(const std::string& text) : text_(text), tokens_(tokens_of(text)) {}

  bool has(bool (*is)(std::string_view)) const {
    return std::any_of(tokens_.begin(), tokens_.end(), [&](const Token& token) { return is(token.text); });
  }

  bool leans_on_terms() const { return leans_on_terms_; }

  // Several parts, each of which libpcap compiles by itself: it needs far more than twice the time for an
  // expression of twice the length. Only without a word that changes the meaning of others.
  std::unique_ptr<FilterPart> parse_parts() {
    std::unique_ptr<FilterPart> whole = parse_joined(0);
    if (next_ < tokens_.size()) refuse(here(), "nothing is open that could be closed here");
    return whole;
  }

  // All of it for libpcap, with a stand-in for each term. Their numbers begin with `number`, which the
  // expression must not have.
  std::unique_ptr<FilterPart> parse_whole(uint32_t number) {
    check_parentheses();
    auto whole = std::make_unique<FilterPart>();
    whole->kind = FilterPart::Kind::pcap;
    PcapText& pcap = whole->pcap;
    bool is_changed = false;
    size_t copied = 0;
    auto copy = [&](size_t end) {
      pcap.origins.push_back({pcap.text.size(), copied, false});
      pcap.text.append(text_, copied, end - copied);
    };
    while (!ends()) {
      if (!is_field(word())) {
        is_changed |= is_context(word());
        next_++;
        continue;
      }
      copy(here());
      pcap.origins.push_back({pcap.text.size(), here(), true});
      check_before();
      auto term = std::make_unique<FilterPart>();
      term->kind = FilterPart::Kind::term;
      term->term = parse_term();
      pcap.stands.push_back({number++, is_changed ? 2u : 1u, std::move(term)});
      check_behind();
      const std::string with = " = " + std::to_string(pcap.stands.back().number);
      pcap.text += is_changed ? "(udp[0] " + with + " or ip6[0] " + with + ")" : "(ether[0] " + with + ")";
      copied = end_of_last();
    }
    copy(text_.size());
    return whole;
  }

 private:
  [[noreturn]] void refuse(size_t at, const std::string& what) const {
    throw Error(ErrorCode::usage, "filter " + quoted(text_), what,
                "terms are: symbol AAPL, symbol in (AAPL, MSFT), price < 100.00, quantity >= 500" +
                    show_place(text_, at));
  }

  bool ends() const { return next_ == tokens_.size(); }
  std::string_view word() const { return ends() ? std::string_view() : tokens_[next_].text; }
  size_t here() const { return ends() ? text_.size() : tokens_[next_].at; }
  size_t end_of_last() const { return tokens_[next_ - 1].at + tokens_[next_ - 1].text.size(); }

  void check_parentheses() const {
    std::vector<size_t> open;
    for (const Token& token : tokens_) {
      if (token.text == "(") open.push_back(token.at);
      if (token.text != ")") continue;
      if (open.empty()) refuse(token.at, "nothing is open that could be closed here");
      open.pop_back();
    }
    if (!open.empty()) refuse(open.back(), "this parenthesis is not closed");
  }

  // A term stands by itself.
  void check_before() const {
    std::string_view one = next_ == 0 ? "(" : tokens_[next_ - 1].text;
    bool is_good = one == "(" || is_and(one) || is_or(one) || is_not(one);
    if (!is_good) refuse(here(), "and, or or not is missing between this and a term about market data");
  }
  void check_behind() const {
    bool is_good = ends() || word() == ")" || is_and(word()) || is_or(word());
    if (!is_good) refuse(here(), "and, or or not is missing between this and a term about market data");
  }

  std::unique_ptr<FilterPart> parse_joined(uint32_t depth) {
    if (depth > DEPTH_MAX) refuse(here(), "too many parentheses");
    const size_t first = next_;
    size_t before = next_;
    std::unique_ptr<FilterPart> whole = parse_one(depth);
    bool has_terms = had_terms_;
    bool is_left_free = had_terms_;
    while (is_and(word()) || is_or(word())) {
      bool is_both = is_and(word());
      next_++;
      size_t second = next_;
      std::unique_ptr<FilterPart> other = parse_one(depth);
      has_terms |= had_terms_;
      bool is_free = is_left_free || had_terms_ || is_alone(before, second);
      is_left_free = had_terms_;
      if (is_free) {
        before = second;
      } else if (leans_on_word(before, second)) {
        lean(*other, before, second);
      } else if (has_terms) {
        leans_on_terms_ = true;
      } else {
        // With all to the left of it, as `and` and `or` bind alike.
        whole = pcap(first);
        before = first;
        continue;
      }
      auto joined = std::make_unique<FilterPart>();
      joined->kind = is_both ? FilterPart::Kind::both : FilterPart::Kind::either;
      joined->a = std::move(whole);
      joined->b = std::move(other);
      whole = std::move(joined);
    }
    had_terms_ = has_terms;
    return whole;
  }

  // Whether the part of the tokens from `second` on needs nothing of the one from `before` on, nor the other
  // way round ("src or dst port 80").
  bool is_alone(size_t before, size_t second) const {
    std::string_view last = tokens_[second - 2].text;
    if (last == "src" || last == "dst") return false;
    return is_qualifier(tokens_[second].text) || (tokens_[before].text == "(" && tokens_[second].text == "(");
  }

  // "port 80 or 81": the number leans on words only.
  bool leans_on_word(size_t before, size_t second) const {
    bool is_number = next_ == second + 1 && isdigit(static_cast<uint8_t>(tokens_[second].text[0])) != 0;
    return is_number && qualifiers(before) > 0;
  }

  // How many words there are in front of the one that ends a part; 0 if there is anything else.
  size_t qualifiers(size_t begin) const {
    size_t count = 0;
    while (begin + count < tokens_.size() && is_qualifier(tokens_[begin + count].text)) count++;
    size_t behind = begin + count + 1;
    bool ends_there =
        behind < tokens_.size() && (is_and(tokens_[behind].text) || is_or(tokens_[behind].text));
    return ends_there ? count : 0;
  }

  void lean(FilterPart& part, size_t before, size_t second) const {
    std::string words;
    for (size_t i = 0; i < qualifiers(before); i++) words.append(tokens_[before + i].text).append(" ");
    part.pcap.text.insert(0, words);
    part.pcap.origins = {{0, tokens_[second].at, true}, {words.size(), tokens_[second].at, false}};
  }

  std::unique_ptr<FilterPart> parse_one(uint32_t depth) {
    size_t end = end_of_part();
    had_terms_ = false;
    if (end == next_) refuse(here(), "a condition is missing here");
    auto part = std::make_unique<FilterPart>();
    if (is_field(word())) {
      part->kind = FilterPart::Kind::term;
      part->term = parse_term();
      check_behind();
      had_terms_ = true;
      return part;
    }
    bool has_terms = std::any_of(tokens_.begin() + static_cast<ptrdiff_t>(next_),
                                 tokens_.begin() + static_cast<ptrdiff_t>(end),
                                 [](const Token& token) { return is_field(token.text); });
    if (has_terms && is_not(word())) {
      next_++;
      if (depth >= DEPTH_MAX) refuse(here(), "too many negations");
      part->kind = FilterPart::Kind::negated;
      part->a = parse_one(depth + 1);
      return part;
    }
    bool is_in_parentheses = word() == "(" && closes_at(next_) + 1 == end && depth < DEPTH_MAX;
    if (!has_terms && !is_in_parentheses) {
      size_t begin = next_;
      next_ = end;
      return pcap(begin);
    }
    if (word() != "(") {
      while (!is_field(word()) && word() != "(") next_++;
      refuse(here(), "and, or or not is missing between this and a term about market data");
    }
    size_t open = here();
    next_++;
    part = parse_joined(depth + 1);
    if (word() != ")") refuse(ends() ? open : here(), "this parenthesis is not closed");
    next_++;
    if (has_terms) check_behind();
    return part;
  }

  // Where the part that begins here ends: at and, or, or a parenthesis of somebody else's.
  size_t end_of_part() const {
    size_t depth = 0;
    size_t at = next_;
    for (; at < tokens_.size(); at++) {
      std::string_view one = tokens_[at].text;
      if (depth == 0 && (is_and(one) || is_or(one) || one == ")")) break;
      depth += one == "(";
      depth -= one == ")";
    }
    return at;
  }

  size_t closes_at(size_t at) const {
    size_t depth = 0;
    for (; at < tokens_.size(); at++) {
      depth += tokens_[at].text == "(";
      depth -= tokens_[at].text == ")";
      if (depth == 0) break;
    }
    return at;
  }

  // The tokens from `begin` to the next one, as they stand.
  std::unique_ptr<FilterPart> pcap(size_t begin) const {
    auto part = std::make_unique<FilterPart>();
    part->kind = FilterPart::Kind::pcap;
    size_t at = tokens_[begin].at;
    part->pcap.text = text_.substr(at, end_of_last() - at);
    part->pcap.origins.push_back({0, at, false});
    return part;
  }

  FilterTerm parse_term() {
    FilterTerm term;
    std::string_view field = word();
    next_++;
    term.field = field == "symbol"  ? TermField::symbol
                 : field == "price" ? TermField::price
                                    : TermField::quantity;
    if (term.field == TermField::symbol) {
      parse_symbols(term);
    } else {
      term.sign = parse_sign();
      term.number = term.field == TermField::price ? parse_price() : parse_quantity();
    }
    return term;
  }

  TermSign parse_sign() {
    static constexpr std::pair<std::string_view, TermSign> SIGNS[] = {
        {"<", TermSign::below},     {"<=", TermSign::at_most}, {">", TermSign::above},
        {">=", TermSign::at_least}, {"=", TermSign::equal},    {"==", TermSign::equal},
        {"!=", TermSign::unequal}};
    for (const auto& [text, sign] : SIGNS) {
      if (word() != text) continue;
      next_++;
      return sign;
    }
    refuse(here(), "a comparison is missing here: <, <=, >, >=, = or !=");
  }

  // A number with so many decimals at the most, times ten for each of them.
  uint32_t parse_number(size_t decimals, const char* wanted) {
    size_t at = here();
    std::string_view digits = word();
    size_t point = digits.find('.');
    uint64_t value = 0;
    size_t behind = 0;
    bool is_good = !digits.empty() && point != 0 && digits.back() != '.' && digits.size() <= 16;
    for (size_t i = 0; is_good && i < digits.size(); i++) {
      if (i == point && decimals > 0) continue;
      is_good = isdigit(static_cast<uint8_t>(digits[i])) != 0;
      behind += point != std::string_view::npos && i > point;
      value = value * 10 + static_cast<uint64_t>(digits[i] - '0');
    }
    for (; behind < decimals; behind++) value *= 10;
    if (!is_good || behind > decimals || value > UINT32_MAX) refuse(at, wanted);
    next_++;
    return static_cast<uint32_t>(value);
  }

  uint32_t parse_price() {
    return parse_number(2, "a price is wanted here, such as 100.00, up to 42949672.95");
  }
  uint32_t parse_quantity() { return parse_number(0, "a whole number up to 4294967295 is wanted here"); }

  void parse_symbols(FilterTerm& term) {
    term.sign = TermSign::in;
    bool is_list = word() == "in" && next_ + 1 < tokens_.size() && tokens_[next_ + 1].text == "(";
    if (!is_list) {
      bool has_sign = word() == "=" || word() == "==" || word() == "!=";
      if (word() == "!=") term.sign = TermSign::unequal;
      next_ += has_sign;
      term.symbols.push_back(parse_symbol());
      return;
    }
    next_ += 2;
    std::set<std::pair<uint32_t, uint32_t>> seen;
    for (;;) {
      size_t at = here();
      term.symbols.push_back(parse_symbol());
      const SymbolWords& words = term.symbols.back();
      if (!seen.insert({words.first, words.last}).second) refuse(at, "this symbol is there twice");
      if (term.symbols.size() > SYMBOL_SET_MAX) refuse(at, "too many symbols: 65,536 are allowed");
      if (word() == ")") break;
      if (word() != ",") refuse(here(), "a comma or a closing parenthesis is missing here");
      next_++;
    }
    next_++;
  }

  // As a frame has it: padded with spaces, in two words.
  SymbolWords parse_symbol() {
    std::string_view name = word();
    bool is_good = name != "(" && name != ")" && name != ",";
    bool is_quoted = name.size() > 1 && name.front() == name.back() && (name[0] == '"' || name[0] == '\'');
    if (is_quoted) name = name.substr(1, name.size() - 2);
    is_good &= !name.empty() && name.size() <= SYMBOL_MAX && name[0] != ' ';
    for (char c : name) {
      is_good &= c < 0x7f && c >= (is_quoted ? ' ' : '!') && (is_quoted || (c != '"' && c != '\''));
    }
    if (!is_good) refuse(here(), "a symbol of 1 to 8 printable ASCII characters is wanted here");
    next_++;
    uint32_t words[2] = {};
    for (size_t i = 0; i < SYMBOL_MAX; i++) {
      uint8_t c = i < name.size() ? static_cast<uint8_t>(name[i]) : ' ';
      words[i / 4] = words[i / 4] << 8 | c;
    }
    return {words[0], words[1]};
  }

  const std::string& text_;
  std::vector<Token> tokens_;
  size_t next_ = 0;
  bool had_terms_ = false;       // in the part that was read last
  bool leans_on_terms_ = false;  // parts lean on each other beside terms: only libpcap knows what they mean
};

Program compile_whole(const std::string& expression) {
  for (uint32_t number : {0xca400000u, 0x5ac30000u, 0x9e370000u}) {
    std::unique_ptr<FilterPart> whole = Parser(expression).parse_whole(number);
    if (std::optional<Program> program = join_parts(*whole, expression)) return std::move(*program);
  }
  throw Error(ErrorCode::usage, "filter " + quoted(expression), "it has numbers that carom needs for itself",
              "compare with other numbers than 0xca400000, 0x5ac30000 and 0x9e370000");
}

Program compile_parts(const std::string& expression) {
  Parser parser(expression);
  if (parser.has(is_context)) return compile_whole(expression);
  const bool has_terms = parser.has(is_field);
  try {
    std::unique_ptr<FilterPart> whole = parser.parse_parts();
    if (!parser.leans_on_terms()) return *join_parts(*whole, expression);
  } catch (const Error&) {
    if (has_terms) throw;
  }
  return compile_whole(expression);  // which libpcap takes, or says what is wrong with
}

class RecentPrograms {
 public:
  static RecentPrograms& get() {
    static auto* recent = new RecentPrograms;  // never destroyed: a thread may compile while the process ends
    return *recent;
  }
  std::shared_ptr<const Program> find(const std::string& expression) {
    std::lock_guard lock(mutex_);
    for (const auto& [of, program] : programs_) {
      if (of == expression) return program;
    }
    return nullptr;
  }
  void keep(const std::string& expression, std::shared_ptr<const Program> program) {
    std::lock_guard lock(mutex_);
    if (programs_.size() == MOST) programs_.erase(programs_.begin());
    programs_.emplace_back(expression, std::move(program));
  }

 private:
  static constexpr size_t MOST = 4;

  std::mutex mutex_;
  std::vector<std::pair<std::string, std::shared_ptr<const Program>>> programs_;
};

}  // namespace

Program compile_filter(const std::string& expression) {
  if (tokens_of(expression).empty()) return Program({{BPF_RET | BPF_K, 0, 0, UINT32_MAX}}, {});
  std::shared_ptr<const Program> program = RecentPrograms::get().find(expression);
  if (!program) {
    program = std::make_shared<const Program>(lower(compile_parts(expression)));
    RecentPrograms::get().keep(expression, program);
  }
  return *program;
}

}  // namespace carom
