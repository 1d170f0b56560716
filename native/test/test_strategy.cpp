// Symbols, the threshold strategy, the content of ticks and the schedule.
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "generate/tick_source.h"
#include "loop/respond.h"
#include "strategy/runner.h"
#include "test/test.h"

namespace carom::test {
namespace {

std::string numbered(uint32_t number) {
  std::string name = "S";
  return name.append(std::to_string(number));
}

void symbol_table(Chance& chance) {
  expect_equal(symbol_word("AAPL"), 0x202020204c504141ull, "a symbol as a word");
  expect_equal(symbol_word("ABCDEFGHIJ"), symbol_word("ABCDEFGH"), "eight bytes of it");
  for (size_t size : {1u, 2u, 3u, 8u, 100u, 5000u}) {
    std::set<std::string> names;
    while (names.size() < size) names.insert(numbered(chance.below(100'000)));
    std::vector<std::string> list(names.begin(), names.end());
    list.push_back(list.front());  // given twice
    SymbolTable table(list, 0);
    expect_equal(table.size(), size, "each symbol once");
    for (size_t i = 0; i < size; i++) expect_equal(table.find(symbol_word(list[i])), i, "numbered in order");
    expect_equal(table.find(0), SymbolTable::NONE, "zeros are no symbol of it");
    for (int i = 0; i < 20'000; i++) {
      std::string name = numbered(chance.below(100'000));
      expect((table.find(symbol_word(name)) != SymbolTable::NONE) == names.contains(name),
             "a name by chance");
      expect_equal(table.find(chance.next() | 0x80), SymbolTable::NONE, "a word by chance: not ASCII");
    }
  }
}

void growing_symbol_table(Chance& chance) {
  for (size_t limit : {1u, 2u, 7u, 1000u}) {
    SymbolTable table({}, limit);
    std::map<uint64_t, uint32_t> model;
    for (int i = 0; i < 20'000; i++) {
      uint64_t word = chance.one_in(50) ? chance.below(2) : chance.below(3000);  // eight zero bytes, too
      uint32_t expected = SymbolTable::NONE;
      if (auto found = model.find(word); found != model.end()) {
        expected = found->second;
      } else if (model.size() < limit) {
        expected = static_cast<uint32_t>(model.size());
        model[word] = expected;
      }
      expect_equal(table.add(word), expected, "the number of a symbol, or that there is no room");
      expect_equal(table.find(word), expected, "and again");
    }
    expect_equal(table.size(), model.size(), "symbols");
  }
}

void threshold(Chance& chance) {
  struct Case {
    uint32_t threshold, price;
    int32_t offset;
    bool order;
    uint32_t order_price;
  };
  constexpr Case CASES[] = {
      {10000, 9999, 1, true, 10000},
      {10000, 10000, 1, false, 0},
      {10000, 10001, 1, false, 0},
      {10000, 0, 1, true, 1},
      {0, 0, 1, false, 0},
      {1, 0, 0, true, 0},
      {10000, 0, -1, false, 0},  // would be below zero
      {10000, 5, -5, true, 0},
      {UINT32_MAX, UINT32_MAX - 1, 1, true, UINT32_MAX},
      {UINT32_MAX, UINT32_MAX - 1, 2, false, 0},  // would pass 32 bits
      {UINT32_MAX, UINT32_MAX - 1, INT32_MAX, false, 0},
      {UINT32_MAX, UINT32_MAX, 0, false, 0},
      {UINT32_MAX, 0x80000000u, INT32_MIN, true, 0},
      {UINT32_MAX, 0x7fffffffu, INT32_MIN, false, 0},
  };
  for (const Case& c : CASES) {
    StrategyConfig config{STRATEGY_threshold, {c.threshold, 7, c.offset, 1}, {}, 0};
    StrategyRunner strategy(config);
    Decision decision = strategy.on_tick(StrategyRules(config), {{symbol_word("AAPL"), c.price, 500, 1}});
    expect((decision.order != 0) == c.order, "an order or none");
    if (!decision.order) continue;
    expect_equal(decision.price, c.order_price, "its price");
    expect_equal(decision.quantity, 7, "its quantity");
    expect_equal(decision.side, 1, "its side");
  }
  StrategyConfig config{STRATEGY_threshold, {10000, 100, 1, 0}, {"AAPL", "MSFT"}, 0};
  StrategyRunner some(config);
  StrategyRules rules(config);
  for (int i = 0; i < 100'000; i++) {
    uint32_t price = chance.below(20'000);
    const char* names[] = {"AAPL", "MSFT", "GOOG", "AAPLX"};
    uint32_t name = chance.below(4);
    Decision decision = some.on_tick(rules, {{symbol_word(names[name]), price, 1, 1}});
    expect((decision.order != 0) == (price < 10000 && name < 2),
           "only below the threshold, only these symbols");
  }
}

std::vector<Tick> ticks_of(const TickSourceConfig& config, size_t count) {
  TickSource source(config);
  std::vector<Tick> ticks(count);
  for (Tick& tick : ticks) tick = source.next();
  return ticks;
}

bool same(const Tick& a, const Tick& b) {
  return a.symbol == b.symbol && a.price == b.price && a.quantity == b.quantity && a.timestamp == b.timestamp;
}

void seeds(Chance& chance) {
  TickSourceConfig config{chance.next(), 0.5, {"AAPL", "MSFT", "GOOG"}, 1000, 10000, false};
  std::vector<Tick> first = ticks_of(config, 10'000);
  std::vector<Tick> second = ticks_of(config, 10'000);
  for (size_t i = 0; i < first.size(); i++)
    expect(same(first[i], second[i]), "the same seed, the same ticks");
  config.seed ^= 1;
  std::vector<Tick> other = ticks_of(config, 10'000);
  size_t alike = 0;
  for (size_t i = 0; i < first.size(); i++) alike += same(first[i], other[i]);
  expect(alike < 100, "another seed, other ticks");
}

void contents(Chance& chance) {
  constexpr size_t COUNT = 400'000;
  std::vector<std::string> names = {"AAPL", "MSFT", "GOOG", "AMZN", "NVDA"};
  for (double ratio : {0.0, 0.001, 0.1, 0.5, 0.9, 1.0}) {
    TickSourceConfig config{chance.next(), ratio, names, 1000, 10000, false};
    std::vector<Tick> ticks = ticks_of(config, COUNT);
    double below = 0;
    std::vector<size_t> by_symbol(names.size());
    std::vector<size_t> by_lot(10);
    for (const Tick& tick : ticks) {
      expect(tick.price >= 9000 && tick.price < 11000, "prices within the span");
      expect(tick.quantity % 100 == 0 && tick.quantity >= 100 && tick.quantity <= 1000, "round lots");
      below += tick.price < 10000;
      by_lot[tick.quantity / 100 - 1]++;
      for (size_t i = 0; i < names.size(); i++) by_symbol[i] += tick.symbol == symbol_word(names[i]);
    }
    auto near = [](double found, double part) {  // six standard deviations: by chance once in 500 million
      return std::abs(found - part * COUNT) <= 6 * std::sqrt(COUNT * part * (1 - part));
    };
    expect(near(below, ratio), "the trigger ratio");
    for (size_t count : by_symbol) expect(near(static_cast<double>(count), 0.2), "symbols alike often");
    for (size_t count : by_lot) expect(near(static_cast<double>(count), 0.1), "lots alike often");
  }
}

void unique_prices(Chance& chance) {
  for (uint32_t span : {1u, 7u, 1000u}) {
    std::vector<Tick> ticks = ticks_of({chance.next(), 0.7, {"AAPL"}, span, 10000, true}, 20'000);
    std::vector<uint32_t> prices;
    for (const Tick& tick : ticks) {
      if (tick.price < 10000) prices.push_back(tick.price);
    }
    for (size_t i = 0; i < prices.size(); i++) {
      expect(prices[i] >= 10000 - span, "within the span");
      if (i >= span) expect_equal(prices[i], prices[i - span], "after the span, once more");
    }
    std::set<uint32_t> distinct(prices.begin(), prices.begin() + span);
    expect_equal(distinct.size(), span, "prices within one span are all different");
  }
}

void span_edges(Chance& chance) {
  for (uint32_t limit : {0u, 1u, 2u, 999u, UINT32_MAX - 1, UINT32_MAX}) {
    for (uint32_t span : {1u, 2u, 1000u, UINT32_MAX}) {
      for (double ratio : {0.0, 0.5, 1.0}) {
        for (bool unique : {false, true}) {
          for (const Tick& tick : ticks_of({chance.next(), ratio, {"AAPL"}, span, limit, unique}, 200)) {
            uint32_t low = limit < span ? 0 : limit - span;
            uint32_t high = UINT32_MAX - limit < span ? UINT32_MAX : limit + span;
            expect(tick.price >= low && tick.price <= high, "within the span and 32 bits");
            if (ratio == 0.0 || limit == 0) expect(tick.price >= limit, "none below");
            if (ratio == 1.0 && limit > 0) expect(tick.price < limit, "all below");
          }
        }
      }
    }
  }
}

std::vector<uint32_t> draws(SymbolChoice choice, uint64_t seed, size_t symbols, size_t count) {
  Random random(seed);
  std::vector<uint32_t> found(symbols);
  for (size_t i = 0; i < count; i++) found[choice.draw(random)]++;
  return found;
}

void weights(Chance& chance) {
  constexpr size_t COUNT = 1'000'000;
  for (size_t symbols : {1u, 2u, 7u, 5000u}) {
    for (double exponent : {0.0, 0.7, 1.0, 3.0}) {
      std::vector<double> weights = zipf_weights(symbols, exponent);
      double sum = 0;
      for (size_t i = 0; i < symbols; i++) {
        expect(std::abs(weights[i] * std::pow(static_cast<double>(i + 1), exponent) - 1) < 1e-13, "a weight");
        sum += weights[i];
      }
      std::vector<uint32_t> found = draws(SymbolChoice(weights), chance.next(), symbols, COUNT);
      double chi2 = 0;
      double degrees = -1;
      for (size_t i = 0; i < symbols; i++) {
        double wanted = COUNT * weights[i] / sum;
        if (wanted < 5) continue;
        chi2 += (found[i] - wanted) * (found[i] - wanted) / wanted;
        degrees++;
      }
      // Wilson and Hilferty: the cube root of chi square is nearly normal.
      if (degrees < 1) continue;
      double z = (std::cbrt(chi2 / degrees) - (1 - 2 / (9 * degrees))) / std::sqrt(2 / (9 * degrees));
      expect(z < 5, "symbols as often as their weights say");
    }
  }
}

TickSourceConfig walking(uint64_t seed, double ratio) {
  TickSourceConfig config{seed, ratio, {"AAPL", "MSFT", "GOOG"}, 1000, 10000, false};
  config.weights = {5, 3, 1};
  config.walk = {7, 9500, 10800, -1};
  return config;
}

void walks(Chance& chance) {
  constexpr size_t COUNT = 300'000;
  std::map<uint64_t, uint32_t> last;
  uint32_t lowest = UINT32_MAX;
  uint32_t highest = 0;
  for (const Tick& tick : ticks_of(walking(chance.next(), -1), COUNT)) {
    expect(tick.price >= 9500 && tick.price <= 10800, "within the bounds");
    lowest = std::min(lowest, tick.price);
    highest = std::max(highest, tick.price);
    auto before = last.find(tick.symbol);
    if (before != last.end()) {
      expect(std::abs(static_cast<int>(tick.price) - static_cast<int>(before->second)) <= 7, "a step");
    }
    last[tick.symbol] = tick.price;
  }
  expect_equal(last.size(), 3, "symbols");
  expect(lowest < 9520 && highest > 10780, "it comes to its bounds");
  for (double ratio : {0.0, 0.1, 0.9, 1.0}) {
    double below = 0;
    last.clear();
    for (const Tick& tick : ticks_of(walking(chance.next(), ratio), COUNT)) {
      below += tick.price < 10000;
      // How far from the threshold it is walks, on whichever side.
      uint32_t distance = tick.price < 10000 ? 9999 - tick.price : tick.price - 10000;
      auto before = last.find(tick.symbol);
      if (before != last.end()) {
        expect(std::abs(static_cast<int>(distance) - static_cast<int>(before->second)) <= 7, "a step");
      }
      last[tick.symbol] = distance;
    }
    expect(std::abs(below - ratio * COUNT) <= 6 * std::sqrt(COUNT * ratio * (1 - ratio)),
           "the trigger ratio");
  }
  TickSourceConfig fixed = walking(1, -1);
  fixed.walk = {1, 0, UINT32_MAX, 4'000'000'000};
  fixed.lot = 10;
  fixed.lots_min = 3;
  fixed.lots_max = 4;
  std::set<uint32_t> quantities;
  for (const Tick& tick : ticks_of(fixed, 1000)) {
    expect(tick.price > 3'999'998'900 && tick.price < 4'000'001'100, "from its start");
    quantities.insert(tick.quantity);
  }
  expect(quantities == std::set<uint32_t>{30, 40}, "lots");
}

// What is sent without a profile never changes: results of years are compared by it.
void fixed_ticks(Chance&) {
  uint64_t hash = 0xcbf29ce484222325ull;
  std::vector<std::string> names = {"AAPL", "MSFT", "GOOG", "AMZN", "NVDA", "META", "TSLA", "INTC"};
  TickSourceConfig walk = walking(42, 0.9);
  for (const TickSourceConfig& config : {TickSourceConfig{1, 0.9, names, 1000, 10000, false}, walk}) {
    for (const Tick& tick : ticks_of(config, 100'000)) {
      for (uint64_t part : {uint64_t{tick.symbol}, uint64_t{tick.price}, uint64_t{tick.quantity}}) {
        hash = (hash ^ part) * 0x100000001b3ull;
      }
    }
  }
  expect_equal(hash, 14456717304877639656ull, "ticks that every machine sends");
}

void group_macs(Chance&) {
  struct Case {
    std::string_view group, mac;
  };
  constexpr Case CASES[] = {{"ef010101", "01005e010101"},  // RFC 1112, 6.4: the low 23 bits
                            {"e1818283", "01005e018283"},
                            {"ff020000000000000000000001020304", "333301020304"}};  // RFC 2464, 7
  for (const Case& c : CASES) {
    std::string group = from_hex(c.group);
    std::string mac = from_hex(c.mac);
    auto is_its = [&] {
      return is_multicast_mac(reinterpret_cast<const uint8_t*>(mac.data()),
                              reinterpret_cast<const uint8_t*>(group.data()), group.size() == 16);
    };
    expect(is_its(), "a group's MAC address");
    for (size_t bit = 0; bit < 48; bit++) {
      mac[bit / 8] = static_cast<char>(mac[bit / 8] ^ 1 << bit % 8);
      expect(!is_its(), "no other one is");
      mac[bit / 8] = static_cast<char>(mac[bit / 8] ^ 1 << bit % 8);
    }
  }
}

const Tests TESTS{
    {"strategy: a table of symbols holds what is in it", symbol_table},
    {"strategy: a table of symbols grows to its limit", growing_symbol_table},
    {"strategy: threshold, offset, overflow, symbols", threshold},
    {"strategy: MAC addresses of groups", group_macs},
    {"ticks: the same seed gives the same ticks", seeds},
    {"ticks: trigger ratio, symbols and lots are as often as they must be", contents},
    {"ticks: prices that trigger are unique within the span", unique_prices},
    {"ticks: spans at the ends of the price range", span_edges},
    {"ticks: symbols are drawn by their weights", weights},
    {"ticks: prices walk within their bounds, and the trigger ratio holds", walks},
    {"ticks: the same ones on every machine", fixed_ticks},
};

}  // namespace
}  // namespace carom::test
