/** The strategies and their settings: what is answered with which order, and so what the right order is. */

import { CaromError } from "../native/error.js";
import type { StrategyConfig } from "../native/index.js";
import { optionGroup, type Values } from "./option.js";
import { keepsState, STRATEGY_NAMES } from "./strategy_rules.js";
import { choice, integer, signedInteger, symbols } from "./values.js";

const strategy = optionGroup("Strategy");
const U32_MAX = 0xffff_ffff;
const MAX_SYMBOLS = 10_000;
const MAX_STATES = 1 << 20;
const MAX_AVERAGE = 10_000; // ticks

export const strategyOptions = {
  strategy: strategy(
    choice(...STRATEGY_NAMES),
    "threshold (a low price is bought), echo (an order for every tick), crossover (moving averages), book (spread)",
    "name",
    "threshold",
  ),
  threshold: strategy(
    integer(0, U32_MAX),
    "threshold: a tick below this price gives an order",
    "cents",
    "10000",
  ),
  fast: strategy(integer(1, MAX_AVERAGE), "crossover: ticks of the fast moving average", "ticks", "5"),
  slow: strategy(integer(1, MAX_AVERAGE), "crossover: ticks of the slow moving average", "ticks", "20"),
  spread: strategy(
    integer(1, U32_MAX), // two sides that meet are one
    "book: an order when ask less bid comes down to this",
    "cents",
    "500",
  ),
  quantity: strategy(integer(0, U32_MAX), "quantity of each order", "shares", "100"),
  priceOffset: strategy(
    signedInteger(-(2 ** 31 - 1), 2 ** 31 - 1),
    "what is added to the tick's price (crossover, book: taken off it when they sell)",
    "cents",
    "1",
  ),
  side: strategy(choice("buy", "sell"), "threshold, echo: side of each order", "side", "buy"),
  symbols: strategy(
    symbols(MAX_SYMBOLS, MAX_STATES),
    "those traded, separated by commas; or how many crossover and book have room for (default: all, 10000)",
    "list",
  ),
} as const;

export type StrategyValues = Values<typeof strategyOptions>;

/** @throws CaromError (usage) for settings that contradict each other */
export function strategyConfig(values: StrategyValues): StrategyConfig {
  const { symbols: given } = values;
  if (values.strategy === "crossover" && values.fast >= values.slow) {
    const detail = `the slow average of ${values.slow} ticks is not slower than the fast one of ${values.fast}`;
    throw new CaromError("usage", "--fast and --slow", detail, "make --slow the larger one");
  }
  if (values.strategy === "crossover" && averageWeight(values.fast) === averageWeight(values.slow)) {
    const detail = "averages so long and so much alike weigh a price alike, and never cross";
    throw new CaromError("usage", "--fast and --slow", detail, "let them differ by more");
  }
  if (typeof given === "number" && !keepsState(values.strategy)) {
    const detail = `${values.strategy} remembers nothing of a symbol, so it needs no room for ${given}`;
    throw new CaromError(
      "usage",
      "--symbols",
      detail,
      `leave it out, or list those traded; a symbol of digits alone is listed as ${given},`,
    );
  }
  return {
    name: values.strategy,
    threshold: values.threshold,
    quantity: values.quantity,
    priceOffset: values.priceOffset,
    side: values.side === "buy" ? 0 : 1,
    fastWeight: averageWeight(values.fast),
    slowWeight: averageWeight(values.slow),
    slowTicks: values.slow,
    spread: values.spread,
    symbols: typeof given === "object" ? given : [],
    symbolLimit: typeof given === "number" ? given : MAX_SYMBOLS,
  };
}

/** The weight of the newest price in an average of so many ticks: 2 / (N + 1), times 2^16 (native/strategy/crossover.h). */
function averageWeight(ticks: number): number {
  return Math.round((2 * 2 ** 16) / (ticks + 1));
}
