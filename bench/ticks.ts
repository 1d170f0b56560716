/** Ticks as frames, for programs that send them as they are. */

import type { Lab } from "../lab/lab.js";
import { encodeTick, type Tick } from "../wire/codec.js";
import { buildFrame } from "../wire/frame.js";

export const THRESHOLD = 10_000; // cents; carom respond's default: a tick below it is answered
const TICK_PORT = 8080;
const ORDER_PORT = 9999;
const TTL = 16;
const SYMBOLS = ["AAPL", "MSFT", "GOOG", "AMZN", "NVDA", "META", "TSLA", "INTC"];
const FIRST_TIMESTAMP = 1_700_000_000_000_000_000n; // ns
const PRICE_SPAN = 1000; // cents on either side of the threshold
const TABLE = 1024;

/** A tick from the generator's end of a lab to the responder's, in UDP over IPv4. */
export function tickFrame({ generator, responder }: Lab, tick: Tick): Buffer {
  return buildFrame({
    ethernet: { source: generator.mac, destination: responder.mac },
    ip: { source: generator.address4, destination: responder.address4, dontFragment: true, ttl: TTL },
    udp: { sourcePort: ORDER_PORT, destinationPort: TICK_PORT },
    payload: encodeTick(tick),
  });
}

export interface TickTable {
  readonly frames: Buffer; // 1,024 of them, one behind the other
  readonly triggers: number; // how many are to be answered
}

/** Ticks of several symbols, each with its own timestamp; the same seed gives the same. */
export function tickTable(lab: Lab, trigger_ratio: number, seed = 1): TickTable {
  const random = randomFrom(seed);
  let triggers = 0;
  const frames = Array.from({ length: TABLE }, (_, index) => {
    const isTrigger = random() < trigger_ratio;
    if (isTrigger) triggers++;
    const distance = Math.floor(random() * PRICE_SPAN);
    return tickFrame(lab, {
      symbol: SYMBOLS[Math.floor(random() * SYMBOLS.length)]!,
      price: isTrigger ? THRESHOLD - 1 - distance : THRESHOLD + distance,
      quantity: 100 * (1 + Math.floor(random() * 10)),
      timestamp: FIRST_TIMESTAMP + BigInt(index),
    });
  });
  return { frames: Buffer.concat(frames), triggers };
}

/** mulberry32: uniform in [0, 1). */
function randomFrom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let x = Math.imul(state ^ (state >>> 15), 1 | state);
    x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
    return ((x ^ (x >>> 14)) >>> 0) / 2 ** 32;
  };
}
