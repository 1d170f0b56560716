#include "filter/language.h"

#include <algorithm>
#include <cctype>
#include <optional>
#include <unordered_set>

#include "core/error.h"
#include "filter/expression.h"

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
    if (text[at] == '!' && (end >= text.size() || text[end] != '=')) {
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

bool is_field(std::string_view word) { return word == "symbol" || word == "price" || word == "quantity"; }
bool is_and(std::string_view word) { return word == "and" || word == "&&"; }
bool is_or(std::string_view word) { return word == "or" || word == "||"; }
bool is_not(std::string_view word) { return word == "not" || word == "!"; }

class Parser {
 public:
  explicit Parser(const std::string& text) : text_(text), tokens_(tokens_of(text)) {}

  std::unique_ptr<FilterPart> parse() {
    std::unique_ptr<FilterPart> whole = parse_joined(0);
    if (next_ < tokens_.size()) refuse(here(), "nothing is open that could be closed here");
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

  std::unique_ptr<FilterPart> parse_joined(uint32_t depth) {
    if (depth > DEPTH_MAX) refuse(here(), "too many parentheses");
    size_t begin = here();
    std::unique_ptr<FilterPart> whole = parse_one(depth);
    while (is_and(word()) || is_or(word())) {
      auto joined = std::make_unique<FilterPart>();
      joined->kind = is_and(word()) ? FilterPart::Kind::both : FilterPart::Kind::either;
      next_++;
      size_t second = here();
      joined->a = std::move(whole);
      joined->b = parse_one(depth);
      // What libpcap reads stays together: in "port 80 or 81" the second part leans on the first.
      bool is_pcap = joined->a->kind == FilterPart::Kind::pcap && joined->b->kind == FilterPart::Kind::pcap;
      if (is_pcap && second > begin) {
        whole = pcap(begin);
      } else {
        whole = std::move(joined);
      }
    }
    return whole;
  }

  std::unique_ptr<FilterPart> parse_one(uint32_t depth) {
    size_t end = end_of_part();
    if (end == next_) refuse(here(), "a condition is missing here");
    bool has_terms = std::any_of(tokens_.begin() + static_cast<ptrdiff_t>(next_),
                                 tokens_.begin() + static_cast<ptrdiff_t>(end),
                                 [](const Token& token) { return is_field(token.text); });
    if (!has_terms) {
      size_t begin = here();
      next_ = end;
      return pcap(begin);
    }
    if (is_field(word())) return parse_term();
    auto part = std::make_unique<FilterPart>();
    if (is_not(word())) {
      next_++;
      if (depth >= DEPTH_MAX) refuse(here(), "too many negations");
      part->kind = FilterPart::Kind::negated;
      part->a = parse_one(depth + 1);
      return part;
    }
    if (word() != "(") refuse(here(), "and, or or not is missing between this and a term about market data");
    size_t open = here();
    next_++;
    part = parse_joined(depth + 1);
    if (word() != ")") refuse(ends() ? open : here(), "this parenthesis is not closed");
    next_++;
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

  // Everything from `begin` to the next token.
  std::unique_ptr<FilterPart> pcap(size_t begin) const {
    auto part = std::make_unique<FilterPart>();
    part->kind = FilterPart::Kind::pcap;
    part->text = text_.substr(begin, here() - begin);
    while (!part->text.empty() && is_space(part->text.back())) part->text.pop_back();
    return part;
  }

  std::unique_ptr<FilterPart> parse_term() {
    auto part = std::make_unique<FilterPart>();
    part->kind = FilterPart::Kind::term;
    std::string_view field = word();
    next_++;
    part->field = field == "symbol"  ? TermField::symbol
                  : field == "price" ? TermField::price
                                     : TermField::quantity;
    if (part->field == TermField::symbol) {
      parse_symbols(*part);
    } else {
      part->sign = parse_sign();
      part->number = part->field == TermField::price ? parse_price() : parse_quantity();
    }
    return part;
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

  void parse_symbols(FilterPart& part) {
    part.sign = TermSign::in;
    bool is_list = word() == "in" && next_ + 1 < tokens_.size() && tokens_[next_ + 1].text == "(";
    if (!is_list) {
      bool has_sign = word() == "=" || word() == "==" || word() == "!=";
      if (word() == "!=") part.sign = TermSign::unequal;
      next_ += has_sign;
      part.symbols.push_back(parse_symbol());
      return;
    }
    next_ += 2;
    std::unordered_set<std::string_view> seen;
    for (;;) {
      size_t at = here();
      std::string_view name = word();
      part.symbols.push_back(parse_symbol());
      if (!seen.insert(name).second) refuse(at, "this symbol is there twice");
      if (part.symbols.size() > SYMBOL_SET_MAX) refuse(at, "too many symbols: 65,536 are allowed");
      if (word() == ")") break;
      if (word() != ",") refuse(here(), "a comma or a closing parenthesis is missing here");
      next_++;
    }
    next_++;
  }

  // As a frame has it: padded with spaces, in two words.
  SymbolWords parse_symbol() {
    std::string_view name = word();
    bool is_good = !name.empty() && name.size() <= SYMBOL_MAX && name != "(" && name != ")" && name != ",";
    for (char c : name) is_good &= c > ' ' && c < 0x7f;
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
};

}  // namespace

Program compile_filter(const std::string& expression) {
  std::vector<Token> tokens = tokens_of(expression);
  bool has_terms =
      std::any_of(tokens.begin(), tokens.end(), [](const Token& token) { return is_field(token.text); });
  if (!has_terms) return compile_expression(expression);
  return join_parts(*Parser(expression).parse());
}

}  // namespace carom
