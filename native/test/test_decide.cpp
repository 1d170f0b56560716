// Every strategy against a naive one, at the ends of the number ranges, over long streams, and where its
// memory ends.
#include <cmath>
#include <vector>

#include "test/strategy_model.h"
#include "test/test.h"

namespace carom::test {
namespace {

// Prices as they come: near one another, at the ends of their range, anything, or a walk.
class Prices {
 public:
  explicit Prices(Chance& chance) : chance_(chance), kind_(chance.below(5)) {}

  uint32_t next() {
    constexpr uint32_t ENDS[] = {0, 1, 2, 0x7fffffff, 0x80000000, UINT32_MAX - 1, UINT32_MAX};
    if (chance_.one_in(2000)) kind_ = chance_.below(5);
    switch (kind_) {
      case 0:
        return 9000 + chance_.below(2000);
      case 1:
        return ENDS[chance_.below(7)];
      case 2:
        return chance_.word();
      case 3:
        return 100 + chance_.below(8);
      default:
        return walk_ += chance_.below(21) - 10;
    }
  }

 private:
  Chance& chance_;
  uint32_t kind_;
  uint32_t walk_ = 10'000;
};

uint32_t any_of(Chance& chance, std::initializer_list<uint32_t> values) {
  return values.begin()[chance.below(static_cast<uint32_t>(values.size()))];
}

strategy_settings any_settings(Chance& chance) {
  strategy_settings settings{};
  settings.threshold = any_of(chance, {0, 1, 105, 10'000, 0x80000000, UINT32_MAX});
  settings.quantity = any_of(chance, {0, 1, 100, UINT32_MAX});
  settings.price_offset =
      static_cast<int32_t>(any_of(chance, {0, 1, 1, 0xffffffff, 5000, 0x80000000, 0x7fffffff}));
  settings.side = chance.below(2);
  settings.fast_weight = any_of(chance, {1, 2, 1 + chance.below(65536), 21845, 43691, 65535, 65536});
  settings.slow_weight = any_of(chance, {1, 13, 1 + chance.below(65536), 6242, 16384, 65536});
  settings.slow_ticks = any_of(chance, {1, 2, 20, 500});
  settings.spread = any_of(chance, {0, 1, 3, 100, 500, 0x80000000, UINT32_MAX});
  return settings;
}

// What was decided, by reason; and the orders of each side.
struct Tally {
  uint64_t why[WHY_COUNT] = {};
  uint64_t side[2] = {};
  void add(const Decision& decision) {
    why[decision.why]++;
    if (decision.order) side[decision.side]++;
  }
};

void same(const Decision& is, const Decision& must) {
  expect_equal(is.why, must.why, "the reason");
  expect_equal(is.order, must.order, "an order or none");
  expect_equal(is.price, must.price, "its price");
  expect_equal(is.quantity, must.quantity, "its quantity");
  expect_equal(is.side, must.side, "its side");
}

// Number 0 is eight zero bytes, the one symbol here that is no text.
uint64_t word_of(uint32_t number) {
  std::string name = "S";
  return number == 0 ? 0 : symbol_word(name.append(std::to_string(number)));
}

// A strategy and its model on one stream; now and then the settings change, and what is remembered stays.
void play(Chance& chance, const StrategyConfig& config, int ticks, Tally& tally) {
  StrategyRunner strategy(config);
  StrategyModel model(config);
  StrategyRules rules(config);
  std::vector<Prices> prices(8, Prices(chance));
  for (int i = 0; i < ticks; i++) {
    if (chance.one_in(5000)) rules.settings = model.config.settings = any_settings(chance);
    uint32_t symbol = chance.below(8);
    Tick tick{{word_of(symbol), prices[symbol].next(), chance.word(), chance.next()}};
    Decision decision = strategy.on_tick(rules, tick);
    same(decision, model.decide(tick));
    tally.add(decision);
  }
}

template <StrategyId ID>
Tally by_chance(Chance& chance) {
  Tally tally;
  for (int round = 0; round < 60; round++) {
    StrategyConfig config{ID, any_settings(chance), {}, 1 + chance.below(10)};
    if (chance.one_in(3)) config.symbols = {"S1", "S3", "S4"};
    play(chance, config, 20'000, tally);
  }
  expect(tally.side[0] > 1000 && tally.side[1] > 1000, "chance reached orders of both sides");
  expect(tally.why[WHY_NOT_TRADED] > 1000 && tally.why[WHY_PRICE_RANGE] > 10, "and the common refusals");
  bool keeps_state = STRATEGY_STATES[ID];
  expect((tally.why[WHY_OVER_LIMIT] > 1000) == keeps_state, "only what keeps state runs out of room");
  return tally;
}

void threshold(Chance& chance) {
  Tally tally = by_chance<STRATEGY_threshold>(chance);
  expect(tally.why[WHY_NOT_BELOW] > 1000, "and its own");
}
void echo(Chance& chance) {
  Tally tally = by_chance<STRATEGY_echo>(chance);
  expect_equal(tally.why[WHY_NOT_BELOW], 0, "no price is refused");
}
void crossover(Chance& chance) {
  Tally tally = by_chance<STRATEGY_crossover>(chance);
  expect(tally.why[WHY_TOO_FEW] > 1000 && tally.why[WHY_NOT_CROSSED] > 1000, "and its own");
}
void book(Chance& chance) {
  Tally tally = by_chance<STRATEGY_book>(chance);
  expect(tally.why[WHY_SPREAD] > 1000, "and its own");
}

// A few ticks of one symbol by hand: the price, and the order that must come, as side and price; side -1:
// none.
struct Step {
  uint32_t price;
  int side;
  uint32_t order_price;
};

void by_hand(const StrategyConfig& config, std::initializer_list<Step> steps) {
  StrategyRunner strategy(config);
  StrategyRules rules(config);
  for (const Step& step : steps) {
    Decision is = strategy.on_tick(rules, {{symbol_word("AAPL"), step.price, 500, 1}});
    expect_equal(is.order != 0, step.side >= 0, "an order or none");
    if (step.side < 0) continue;
    expect_equal(is.side, step.side, "its side");
    expect_equal(is.price, step.order_price, "its price");
    expect_equal(is.quantity, 100, "its quantity");
  }
}

void worked_examples(Chance&) {
  // Weights 2/3 and 2/4, as of 2 and 3 ticks; the third tick is the last too early one.
  StrategyConfig averages{STRATEGY_crossover, {0, 100, 2, 0, 43691, 32768, 3, 0}, {}, 1};
  by_hand(averages,
          {{1000, -1, 0}, {900, -1, 0}, {900, -1, 0}, {900, -1, 0}, {1000, 0, 1002}, {900, 1, 898}});
  // Equal averages are on no side: the first crossing is the one after they differed.
  by_hand(averages, {{500, -1, 0}, {500, -1, 0}, {500, -1, 0}, {600, -1, 0}, {600, -1, 0}, {100, 1, 98}});
  StrategyConfig spread{STRATEGY_book, {0, 100, 2, 0, 0, 0, 0, 10}, {}, 1};
  by_hand(spread, {{1000, -1, 0},      // both sides of it
                   {1020, -1, 0},      // the ask, and the spread is wide
                   {1010, 1, 1008},    // in the middle: the bid, and it is narrow
                   {1011, -1, 0},      // narrow already
                   {1040, -1, 0},      // wide
                   {1026, -1, 0},      // the ask, and still wide
                   {1019, 0, 1021}});  // above the middle: the ask, and it is narrow
  // It never comes down to 0: a price that meets the other side is of that side.
  StrategyConfig nothing{STRATEGY_book, {0, 100, 0, 0, 0, 0, 0, 0}, {}, 1};
  by_hand(nothing, {{1000, -1, 0}, {1001, -1, 0}, {1000, -1, 0}, {1001, -1, 0}, {1000, -1, 0}});
  StrategyConfig always{STRATEGY_echo, {0, 100, -1, 1}, {}, 0};
  by_hand(always, {{1, 1, 0}, {0, -1, 0}, {UINT32_MAX, 1, UINT32_MAX - 1}});
}

// The averages are as near to those of real numbers as rounding down allows: less than 2^16 / weight units of
// 2^-12 cents below, and never above.
void rounding(Chance& chance) {
  for (uint32_t weight : {13u, 131u, 6242u, 21845u, 43691u, 65535u, 65536u}) {
    uint64_t average = 0;
    long double exact = 0;
    Prices prices(chance);
    for (int i = 0; i < 50'000; i++) {
      uint64_t price = uint64_t{prices.next()} << CROSSOVER_PLACES;
      average = i == 0 ? price : crossover_average(average, price, weight);
      exact = i == 0 ? static_cast<long double>(price)
                     : exact + (static_cast<long double>(price) - exact) * weight / 65536;
      long double below = exact - static_cast<long double>(average);
      expect(below > -1e-3L && below < 65536.0L / weight + 1e-3L, "an average");
      expect(average >> CROSSOVER_PLACES <= UINT32_MAX, "within the range of prices");
    }
  }
}

// Past the limit new symbols get nothing, and the known ones all they had.
void over_limit(Chance& chance) {
  for (StrategyId id : {STRATEGY_crossover, STRATEGY_book}) {
    strategy_settings settings{0, 100, 1, 0, 43691, 16384, 7, 500};
    StrategyConfig config{id, settings, {}, 4};
    StrategyConfig roomy{id, settings, {}, 100};
    StrategyRunner strategy(config), other(roomy);
    StrategyRules rules(config);
    uint64_t orders = 0;
    for (int i = 0; i < 100'000; i++) {
      uint32_t symbol = i < 4 ? static_cast<uint32_t>(i) : chance.below(50);
      Tick tick{{word_of(symbol), 9000 + chance.below(2000), 1, 1}};
      Decision is = strategy.on_tick(rules, tick);
      Decision must = other.on_tick(rules, tick);
      if (symbol >= 4) must = no_order(WHY_OVER_LIMIT);
      same(is, must);
      orders += is.order;
    }
    expect_equal(strategy.symbols(), 4, "symbols");
    expect(orders > 100, "there were orders");
  }
}

void names(Chance&) {
  expect_equal(std::size(STRATEGY_NAMES), STRATEGY_COUNT, "a name for each");
  for (uint32_t why = 1; why < WHY_COUNT; why++)
    expect(DECISION_REASONS[why][0] != '\0', "every reason has its words");
}

const Tests TESTS{
    {"decide: threshold as a naive one", threshold},
    {"decide: echo as a naive one", echo},
    {"decide: crossover as a naive one", crossover},
    {"decide: book as a naive one", book},
    {"decide: worked examples", worked_examples},
    {"decide: averages are exact but for rounding down", rounding},
    {"decide: a symbol too many is never answered, the others are", over_limit},
    {"decide: every strategy and every reason has a name", names},
};

}  // namespace
}  // namespace carom::test
