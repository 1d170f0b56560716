/* Two exponential moving averages of each symbol's price: when the fast one crosses the slow one, an order,
 * buy when it goes above, sell when it goes below. A weight of 2 / (N + 1) makes an average of N ticks. In
 * whole numbers, as eBPF has no others: the averages have 12 binary places, the weights 16. */
#ifndef CAROM_STRATEGY_CROSSOVER_H
#define CAROM_STRATEGY_CROSSOVER_H

#include "strategy.h"

enum { CROSSOVER_PLACES = 12, CROSSOVER_EQUAL = 0, CROSSOVER_ABOVE = 1, CROSSOVER_BELOW = 2 };

struct crossover_state {
  __u64 fast; /* cents, times 2^12 */
  __u64 slow;
  __u32 ticks; /* up to slow_ticks */
  __u32 side;  /* where the fast one is */
  __u64 pad;
};

/* 2^44 at most, times a weight of 2^16 at most: fits into 64 bits with its sign. */
static inline __u64 crossover_average(__u64 average, __u64 price, __u32 weight) {
  __s64 difference = (__s64)price - (__s64)average;
  return average + (__u64)((difference * (__s64)weight) >> 16);
}

static inline struct decision crossover_on_tick(const struct strategy_settings* settings,
                                                struct symbol_state* state, const struct tick* tick) {
  struct crossover_state* s = (struct crossover_state*)state;
  __u64 price = (__u64)tick->price << CROSSOVER_PLACES;
  if (s->ticks == 0) {
    s->fast = price;
    s->slow = price;
  } else {
    s->fast = crossover_average(s->fast, price, settings->fast_weight);
    s->slow = crossover_average(s->slow, price, settings->slow_weight);
  }
  int early = s->ticks < settings->slow_ticks;
  if (early) s->ticks++;
  __u32 before = s->side;
  if (s->fast != s->slow) s->side = s->fast > s->slow ? CROSSOVER_ABOVE : CROSSOVER_BELOW;
  if (early) return no_order(WHY_TOO_FEW);
  if (s->side == before || before == CROSSOVER_EQUAL) return no_order(WHY_NOT_CROSSED);
  return order_towards(settings, tick, s->side == CROSSOVER_ABOVE ? 0 : 1);
}

#endif
