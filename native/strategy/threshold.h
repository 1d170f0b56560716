/* The default strategy: a tick below the threshold gives one order, any other none. */
#ifndef CAROM_STRATEGY_THRESHOLD_H
#define CAROM_STRATEGY_THRESHOLD_H

#include "strategy.h"

static inline struct decision threshold_on_tick(const struct strategy_settings* settings,
                                                struct symbol_state* state, const struct tick* tick) {
  (void)state;
  if (tick->price >= settings->threshold) return no_order(WHY_NOT_BELOW);
  return order_at(settings, tick, (__u8)settings->side, settings->price_offset);
}

#endif
