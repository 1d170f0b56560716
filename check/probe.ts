/** Good ticks to probe a device with: the last of them, and no other, is answered by the strategy that it is set to. */

import { keepsState, type StrategyName } from "../config/strategy_rules.js";
import type { StrategyConfig } from "../native/index.js";
import { Unavailable } from "./outgoing.js";
import type { TickSpec } from "./script.js";

const PRICE_MAX = 0xffff_ffff;
const USUAL = 10_000; // cents
const STEP = 1000;
const FAR = 2_000_000_000;

export interface Probe {
  readonly prices: readonly number[];
  readonly side: number; // of the order to the last one
}

/** By the names of the strategies (docs/strategies.md). */
const PROBES: Readonly<Record<StrategyName, (strategy: StrategyConfig) => Probe>> = {
  threshold: ({ threshold, priceOffset, side }) => ({
    prices: [within(threshold - 1, -priceOffset, Math.min(threshold - 1, PRICE_MAX - priceOffset))],
    side,
  }),
  echo: ({ priceOffset, side }) => ({
    prices: [within(USUAL, -priceOffset, PRICE_MAX - priceOffset)],
    side,
  }),
  // The fast average falls below the slow one, and a price far above both takes it past.
  crossover: ({ slowTicks, priceOffset }) => ({
    prices: [
      USUAL + STEP,
      ...Array.from({ length: slowTicks - 1 }, () => USUAL),
      within(FAR, -priceOffset, PRICE_MAX - priceOffset),
    ],
    side: 0,
  }),
  // A bid, an ask twice the spread above, and in the middle of them another bid.
  book: ({ spread, priceOffset }) => {
    const bid = within(USUAL, priceOffset - spread, PRICE_MAX - spread + Math.min(-spread, priceOffset));
    return { prices: [bid, bid + 2 * spread, bid + spread], side: 1 };
  },
};

/** The price that is wanted, or the nearest there is. @throws Unavailable when there is none */
function within(wanted: number, low: number, high: number): number {
  const price = Math.min(Math.max(wanted, low, 0), high, PRICE_MAX);
  if (price >= Math.max(low, 0)) return price;
  throw new Unavailable("these settings answer no tick, so that there is none to probe with (probe: false)");
}

/**
 * @param fresh a symbol that was in no tick before: for a strategy that remembers what was
 * @throws Unavailable when no tick is answered by these settings
 */
export function probeOf(
  strategy: StrategyConfig,
  fresh: string,
): { readonly ticks: readonly TickSpec[]; readonly side: number } {
  const name = strategy.name as StrategyName;
  const { prices, side } = PROBES[name](strategy);
  const traded = strategy.symbols[0] ?? (keepsState(name) ? fresh : "PROBE");
  const symbol = Buffer.from(traded.padEnd(8, " "), "latin1");
  return { ticks: prices.map((price) => ({ symbol, price, quantity: 1, timestamp: undefined })), side };
}
