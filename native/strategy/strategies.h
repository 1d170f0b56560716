/* The table of strategies: a line here and a file make a new one. Its settings are read in
 * config/strategy.ts. */
#ifndef CAROM_STRATEGIES_H
#define CAROM_STRATEGIES_H

#include "book.h"
#include "crossover.h"
#include "echo.h"
#include "threshold.h"

/* name, whether it remembers something of each symbol */
#define CAROM_STRATEGIES(STRATEGY) \
  STRATEGY(threshold, 0)           \
  STRATEGY(echo, 0)                \
  STRATEGY(crossover, 1)           \
  STRATEGY(book, 1)

enum strategy_id {
#define CAROM_STRATEGY_ID(name, keeps_state) STRATEGY_##name,
  CAROM_STRATEGIES(CAROM_STRATEGY_ID)
#undef CAROM_STRATEGY_ID
      STRATEGY_COUNT
};

/* The state may be null where none is kept. With a constant id only that strategy's code is left of this. */
static inline __attribute__((always_inline)) struct decision strategy_on_tick(
    __u32 id, const struct strategy_settings* settings, struct symbol_state* state, const struct tick* tick) {
#define CAROM_STRATEGY_CALL(name, keeps_state) \
  if (id == STRATEGY_##name) return name##_on_tick(settings, state, tick);
  CAROM_STRATEGIES(CAROM_STRATEGY_CALL)
#undef CAROM_STRATEGY_CALL
  return no_order(WHY_NOT_TRADED);
}

#endif
