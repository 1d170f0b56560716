/* An order for every tick: the floor of what can be measured. */
#ifndef CAROM_STRATEGY_ECHO_H
#define CAROM_STRATEGY_ECHO_H

#include "strategy.h"

static inline struct decision echo_on_tick(const struct strategy_settings* settings,
                                           struct symbol_state* state, const struct tick* tick) {
  (void)state;
  return order_at(settings, tick, (__u8)settings->side, settings->price_offset);
}

#endif
