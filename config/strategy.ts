/** The settings of the default strategy, `threshold`: what is bought, and so what the right order is. */

import type { StrategyConfig } from "../native/index.js";
import { optionGroup, type Values } from "./option.js";
import { choice, integer, signedInteger, symbols } from "./values.js";

const strategy = optionGroup("Strategy (threshold)");
const U32_MAX = 0xffff_ffff;
const MAX_SYMBOLS = 10_000;

export const strategyOptions = {
  threshold: strategy(integer(0, U32_MAX), "a tick below this price gives an order", "cents", "10000"),
  quantity: strategy(integer(0, U32_MAX), "quantity of each order", "shares", "100"),
  priceOffset: strategy(
    signedInteger(-(2 ** 31 - 1), 2 ** 31 - 1),
    "what is added to the tick's price",
    "cents",
    "1",
  ),
  side: strategy(choice("buy", "sell"), "side of each order", "side", "buy"),
  symbols: strategy(
    symbols(MAX_SYMBOLS),
    "symbols that are traded, separated by commas; all without it",
    "list",
  ),
} as const;

export type StrategyValues = Values<typeof strategyOptions>;

export function strategyConfig(values: StrategyValues): StrategyConfig {
  return {
    threshold: values.threshold,
    quantity: values.quantity,
    priceOffset: values.priceOffset,
    side: values.side === "buy" ? 0 : 1,
    symbols: values.symbols ?? [],
  };
}
