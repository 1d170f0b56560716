/* What a strategy sees, remembers and says. Plain C, as a strategy runs in user space and in eBPF from one
 * text: a function on_tick(settings, state, tick) that reads and writes nothing else. */
#ifndef CAROM_STRATEGY_H
#define CAROM_STRATEGY_H

#include <linux/types.h>

/* market_data (wire.gen.h), with the symbol as one word. */
struct tick {
  __u64 symbol;
  __u32 price;     /* cents */
  __u32 quantity;  /* shares */
  __u64 timestamp; /* ns */
};

/* Of all strategies; each reads its own. */
struct strategy_settings {
  __u32 threshold; /* cents */
  __u32 quantity;
  __s32 price_offset; /* cents */
  __u32 side;         /* 0 buy, 1 sell */
  __u32 fast_weight;  /* of the newest price in a moving average, times 2^16 */
  __u32 slow_weight;
  __u32 slow_ticks; /* how many ticks of a symbol before the first order */
  __u32 spread;     /* cents */
};

enum decision_why {
  WHY_ORDER,
  WHY_NOT_TRADED,  /* another symbol than those asked for */
  WHY_OVER_LIMIT,  /* no room for the state of one more symbol */
  WHY_PRICE_RANGE, /* the order's price would not fit into 32 bits */
  WHY_NOT_BELOW,   /* threshold */
  WHY_TOO_FEW,     /* crossover: not enough ticks yet */
  WHY_NOT_CROSSED, /* crossover */
  WHY_SPREAD,      /* book: it did not become narrow by this tick */
  WHY_UNDECIDABLE, /* the state is in the kernel, the tick is not */
  WHY_COUNT,
};

struct decision {
  __u32 price;
  __u32 quantity;
  __u8 order; /* 0: nothing is sent */
  __u8 side;
  __u8 why; /* enum decision_why */
  __u8 pad;
};

/* What is remembered of a symbol; all zero before its first tick. A strategy lays its own out in it. */
struct symbol_state {
  __u64 words[4];
};

static inline struct decision no_order(__u8 why) {
  struct decision none = {0, 0, 0, 0, why, 0};
  return none;
}

/* An order at the tick's price plus the offset. One whose price does not fit into 32 bits is not sent rather
 * than wrapped around. */
static inline struct decision order_at(const struct strategy_settings* settings, const struct tick* tick,
                                       __u8 side, __s64 offset) {
  __s64 price = (__s64)tick->price + offset;
  if (price < 0 || price > 0xffffffffll) return no_order(WHY_PRICE_RANGE);
  struct decision order = {(__u32)price, settings->quantity, 1, side, WHY_ORDER, 0};
  return order;
}

/* The same for a strategy that chooses the side: the offset goes towards the other side of the market. */
static inline struct decision order_towards(const struct strategy_settings* settings, const struct tick* tick,
                                            __u8 side) {
  __s64 offset = settings->price_offset;
  return order_at(settings, tick, side, side == 0 ? offset : -offset);
}

#endif
