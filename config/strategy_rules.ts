/** What is known of the strategies by name; apart from their options, which take long to load. */

import type { StrategyConfig } from "../native/index.js";

/** As in native/strategy/strategies.h: whether each remembers something of a symbol, and chooses the side itself. */
const STRATEGIES = {
  threshold: { keepsState: false, choosesSide: false },
  echo: { keepsState: false, choosesSide: false },
  crossover: { keepsState: true, choosesSide: true },
  book: { keepsState: true, choosesSide: true },
} as const;
export type StrategyName = keyof typeof STRATEGIES;
export const STRATEGY_NAMES = Object.keys(STRATEGIES) as [StrategyName, ...StrategyName[]];

/** Whether the strategy remembers something of each symbol. */
export function keepsState(name: StrategyName): boolean {
  return STRATEGIES[name].keepsState;
}

/** The price of the order to a tick: one that chooses the side takes the offset off the price when it sells. */
export function orderPrice({ name, priceOffset }: StrategyConfig, price: number, side: number): number {
  return STRATEGIES[name as StrategyName].choosesSide && side === 1
    ? price - priceOffset
    : price + priceOffset;
}
