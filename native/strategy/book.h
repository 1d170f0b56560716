/* The best bid and ask of each symbol: when their spread becomes narrow enough, an order to the side that
 * moved, buy at the new ask or sell at the new bid. A native tick does not say which side it is of, so it
 * goes by the price: one up to the middle of the two is the new bid, one above it the new ask. The first tick
 * of a symbol is both. */
#ifndef CAROM_STRATEGY_BOOK_H
#define CAROM_STRATEGY_BOOK_H

#include "strategy.h"

struct book_state {
  __u32 bid; /* cents */
  __u32 ask;
  __u32 known; /* 1: there was a tick */
  __u32 wide;  /* 1: the spread is wider than the setting */
  __u64 pad[2];
};

static inline struct decision book_on_tick(const struct strategy_settings* settings,
                                           struct symbol_state* state, const struct tick* tick) {
  struct book_state* s = (struct book_state*)state;
  if (!s->known) {
    s->known = 1;
    s->bid = tick->price;
    s->ask = tick->price;
  }
  int is_bid = 2 * (__u64)tick->price <= (__u64)s->bid + s->ask;
  if (is_bid) {
    s->bid = tick->price;
  } else {
    s->ask = tick->price;
  }
  __u32 was_wide = s->wide;
  s->wide = s->ask - s->bid > settings->spread;
  if (s->wide || !was_wide) return no_order(WHY_SPREAD);
  return order_towards(settings, tick, is_bid ? 1 : 0);
}

#endif
