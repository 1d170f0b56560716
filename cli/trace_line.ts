/**
 * One packet of a trace as a line for people, and as JSON. What a packet contains is shown, never obeyed: nothing
 * but printable ASCII of it gets out.
 */

import pc from "picocolors";
import { formatNs } from "../config/values.js";
import { type End, endJson, frameEndpoint } from "../inspect/frame_line.js";
import type { TraceEntry } from "../responder/trace.js";
import { printable } from "../run/text.js";
import { decodeTick } from "../wire/codec.js";
import { type DecodedFrame, decodeFrame } from "../wire/decode.js";

const NS_PER_MS = 1_000_000n;
const TIME_WIDTH = 18;
const QUEUE_WIDTH = 5;
const ENDPOINT_WIDTH = 21; // any IPv4 address and port; a longer one makes its column wider for good
const SPENT_WIDTH = 7;
const OUTCOME_WIDTH = 8;
const GAP = "  ";

const COLORS: Readonly<Record<TraceEntry["outcome"], (text: string) => string>> = {
  answered: pc.green,
  quiet: pc.dim,
  limited: pc.yellow,
  unsent: pc.red,
  refused: pc.red,
  disabled: pc.dim,
};

/** Lines whose columns stay where they are. */
export class TraceLines {
  private readonly widths: Record<End, number> = { source: ENDPOINT_WIDTH, destination: ENDPOINT_WIDTH };

  /** @param hasQueues whether it is said on which queue a packet came */
  constructor(private readonly hasQueues: boolean) {}

  header(): string {
    return this.join(
      "time",
      "queue",
      "source",
      "destination",
      "spent",
      "outcome".padEnd(OUTCOME_WIDTH),
      "why",
    );
  }

  line(entry: TraceEntry): string {
    const frame = decodeFrame(Buffer.from(entry.frame, "hex"));
    const [source, destination] = [frameEndpoint(frame, "source"), frameEndpoint(frame, "destination")];
    this.widths.source = Math.max(this.widths.source, source.length);
    this.widths.destination = Math.max(this.widths.destination, destination.length);
    const outcome = COLORS[entry.outcome](entry.outcome.padEnd(OUTCOME_WIDTH));
    const queue = String(entry.queue);
    const spent = formatNs(entry.spent_ns);
    return this.join(localTime(entry), queue, source, destination, spent, outcome, decision(entry, frame));
  }

  private join(
    time: string,
    queue: string,
    source: string,
    destination: string,
    spent: string,
    outcome: string,
    decided: string,
  ): string {
    const between = `${source.padEnd(this.widths.source)} → ${destination.padEnd(this.widths.destination)}`;
    const cells = [time.padEnd(TIME_WIDTH), between, spent.padStart(SPENT_WIDTH), outcome, decided];
    if (this.hasQueues) cells.splice(1, 0, queue.padStart(QUEUE_WIDTH));
    return cells.join(GAP).trimEnd();
  }
}

/** As one line of JSON. */
export function traceJson(entry: TraceEntry): string {
  const frame = decodeFrame(Buffer.from(entry.frame, "hex"));
  const tick = tickOf(entry);
  const object = {
    number: entry.number,
    time_ns: entry.time_ns,
    queue: entry.queue,
    length: entry.length,
    source: endJson(frame, "source"),
    destination: endJson(frame, "destination"),
    outcome: entry.outcome,
    why: entry.why,
    spent_ns: entry.spent_ns,
    ticks: entry.ticks,
    orders: entry.orders,
    tick: tick === null ? null : { ...tick, timestamp: String(tick.timestamp) },
    order: hasFirstOrder(entry) ? orderOf(entry) : null, // the first tick's, whether it could be sent or not
    frame: entry.frame,
  };
  // JSON itself escapes only the lower control characters.
  return JSON.stringify(object).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** The time of day here, to the nanosecond. */
function localTime({ time_ns }: TraceEntry): string {
  const time = BigInt(time_ns);
  const date = new Date(Number(time / NS_PER_MS));
  const two = (value: number) => String(value).padStart(2, "0");
  const clock = [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":");
  return `${clock}.${String(time % 1_000_000_000n).padStart(9, "0")}`;
}

/** What was decided, and why. */
function decision(entry: TraceEntry, frame: DecodedFrame): string {
  if (entry.outcome === "refused") return refusal(entry, frame);
  const tick = tickOf(entry);
  if (tick === null) return entry.why;
  const symbol = printable(tick.symbol);
  const wanted = hasFirstOrder(entry)
    ? orderText(symbol, entry)
    : `${symbol} ${count(tick.price)}¢ × ${count(tick.quantity)}`;
  const about = entry.why === "" ? wanted : `${wanted}: ${entry.why}`;
  if (entry.ticks === 1) return about;
  return `${entry.orders} ${entry.orders === 1 ? "order" : "orders"} for ${entry.ticks} ticks; the first: ${about}`;
}

/** The counter's name, and, where all of the frame is here, what exactly is wrong with it. */
function refusal({ why, frame: hex, length }: TraceEntry, { problems }: DecodedFrame): string {
  const [problem] = hex.length === 2 * length ? problems : [];
  return problem === undefined ? why : `${why}: ${problem.field} ${printable(problem.detail)}`;
}

/** Of several ticks, the first one's order is known. */
function hasFirstOrder({ outcome, why, ticks }: TraceEntry): boolean {
  const isUnsent = outcome === "limited" || outcome === "unsent";
  return (outcome === "answered" && why === "") || (isUnsent && ticks === 1);
}

function orderOf({ side, price, quantity }: TraceEntry) {
  return { side: side === 0 ? "buy" : "sell", price, quantity };
}

function orderText(symbol: string, entry: TraceEntry): string {
  const { side, price, quantity } = orderOf(entry);
  return `${side} ${symbol} ${count(price)}¢ × ${count(quantity)}`;
}

function tickOf({ tick }: TraceEntry) {
  return tick === null ? null : decodeTick(Buffer.from(tick, "hex"));
}

function count(value: number): string {
  return value.toLocaleString("en-US");
}
