/** Compares what came back with what had to: every order in every field, and every header it came in. */

import { normalAddress } from "../wire/address.js";
import { clOrdIdOf } from "../wire/codec.js";
import type { DecodedFrame } from "../wire/decode.js";
import { tradingOrder } from "../wire/schema.js";
import type { SentTick } from "./outgoing.js";

const TIMESTAMP_MAX = 1n << 63n; // ns: whatever clock made it, it has not run for 292 years

/** An order that must come, every field resolved. undefined: any value will do. */
export interface Expectation {
  readonly tick: SentTick;
  readonly tickNumber: number; // from 1, among the ticks of the case
  readonly isProbe: boolean;
  readonly symbol: string; // 8 characters
  readonly price: number;
  readonly quantity: number;
  readonly side: number;
  readonly timestamp: bigint | undefined;
  readonly clOrdId: string;
  readonly vlan: number; // -1: untagged
  readonly sourceMac: string | undefined;
  readonly destinationMac: string | undefined;
  readonly source: string | undefined;
  readonly destination: string | undefined;
  readonly ttl: number | undefined;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** A datagram that came to the response port. */
export interface Arrival {
  readonly frame: DecodedFrame;
  readonly time_ns: bigint; // of the kernel's receive timestamp, since the epoch
}

export interface ReceivedOrder {
  readonly symbol: string; // 8 characters
  readonly price: number;
  readonly quantity: number;
  readonly side: number;
  readonly timestamp: bigint;
  readonly clOrdId: string;
  readonly arrival: Arrival;
}

/** One field, side by side. */
export interface Row {
  readonly field: string;
  readonly tick: string; // "" when a tick has no such field
  readonly expected: string;
  readonly received: string;
  readonly ok: boolean;
}

export type FaultKind =
  | "wrong"
  | "missing"
  | "duplicate"
  | "unexpected"
  | "late"
  | "reordered"
  | "malformed"
  | "packing"
  | "probe";

export interface Fault {
  readonly kind: FaultKind;
  readonly reason: string;
  readonly rows: readonly Row[];
}

export interface Judgement {
  readonly faults: readonly Fault[];
  readonly received: readonly ReceivedOrder[];
}

export interface Judged {
  readonly expectations: readonly Expectation[];
  /** All ticks of the case, with those that must not be answered. */
  readonly ticks: readonly SentTick[];
  readonly arrivals: readonly Arrival[];
  readonly within_ns: number;
  /** When a tick went out, in ns since the epoch. */
  readonly sentAt: (tick: SentTick) => bigint;
  readonly inOrder: boolean;
  readonly datagrams: number | undefined;
}

/** Whole orders in the payload of a datagram, whatever follows them. */
export function ordersIn(arrival: Arrival): ReceivedOrder[] {
  const { payload } = arrival.frame;
  return Array.from({ length: Math.floor(payload.length / tradingOrder.size) }, (_, index) => {
    const at = index * tradingOrder.size;
    return {
      symbol: payload.toString("latin1", at, at + 8),
      price: payload.readUInt32LE(at + 8),
      quantity: payload.readUInt32LE(at + 12),
      side: payload.readUInt8(at + 16),
      timestamp: payload.readBigUInt64LE(at + 17),
      clOrdId: payload.toString("latin1", at + 25, at + 41),
      arrival,
    };
  });
}

/** What is wrong with what came back; nothing when it is as it must be. */
export function judge(judged: Judged): Judgement {
  const received = judged.arrivals.flatMap(ordersIn);
  const { pairs, leftover, missing } = pair(judged, received);
  const faults = [
    ...judged.arrivals.flatMap(malformed),
    ...pairs.flatMap(({ expectation, order }) => compared(expectation, order, judged)),
    ...missing.map((expectation) => absent(expectation, judged)),
    ...leftover.map((order) => surplus(order, judged, pairs)),
  ];
  const answered = pairs.filter(({ expectation }) => !expectation.isProbe);
  if (judged.inOrder) faults.push(...reordered(pairs, judged));
  const datagrams = new Set(answered.map(({ order }) => order.arrival)).size;
  if (judged.datagrams !== undefined && missing.length === 0 && datagrams !== judged.datagrams) {
    faults.push({
      kind: "packing",
      reason: `the orders came in ${datagrams} datagrams, expected ${judged.datagrams}`,
      rows: [],
    });
  }
  return { faults, received };
}

interface Pair {
  readonly expectation: Expectation;
  readonly order: ReceivedOrder;
}

/** By identifier; what is left over, by position: a wrong identifier is then shown as the one wrong field. */
function pair({ expectations, ticks }: Judged, received: readonly ReceivedOrder[]) {
  const open = new Set(expectations);
  const known = new Set(ticks.map(({ clOrdId }) => clOrdId));
  const byOrder = new Map<ReceivedOrder, Expectation>();
  const take = (order: ReceivedOrder, expectation: Expectation | undefined) => {
    if (expectation === undefined) return;
    byOrder.set(order, expectation);
    open.delete(expectation);
  };
  const waiting = new Map<string, Expectation[]>();
  for (const expectation of expectations) {
    waiting.set(expectation.clOrdId, [...(waiting.get(expectation.clOrdId) ?? []), expectation]);
  }
  for (const order of received) take(order, waiting.get(order.clOrdId)?.shift());
  for (const order of received) {
    if (byOrder.has(order) || known.has(order.clOrdId)) continue;
    const candidates = [...open];
    take(order, candidates.find(({ symbol }) => symbol === order.symbol) ?? candidates[0]);
  }
  const pairs = received.flatMap((order): Pair[] => {
    const expectation = byOrder.get(order);
    return expectation === undefined ? [] : [{ expectation, order }];
  });
  return { pairs, leftover: received.filter((order) => !byOrder.has(order)), missing: [...open] };
}

function compared(expectation: Expectation, order: ReceivedOrder, judged: Judged): Fault[] {
  const rows = rowsOf(expectation, order);
  const wrong = rows.filter((row) => !row.ok);
  const faults: Fault[] = [];
  const who = expectation.isProbe ? "the probe's answer: " : "";
  if (wrong.length > 0) {
    const reason = wrong
      .map((row) => `${row.field}: expected ${row.expected}, received ${row.received}`)
      .join("; ");
    faults.push({ kind: "wrong", reason: who + reason, rows });
  }
  const elapsed_ns = Number(order.arrival.time_ns - judged.sentAt(expectation.tick));
  if (elapsed_ns > judged.within_ns) {
    const reason = `${who}came ${ms(elapsed_ns)} after the tick, allowed are ${ms(judged.within_ns)}`;
    faults.push({ kind: "late", reason, rows });
  }
  return faults;
}

function absent(expectation: Expectation, { within_ns }: Judged): Fault {
  const rows = rowsOf(expectation, undefined);
  if (expectation.isProbe) {
    const reason = `the probe, a good tick sent afterwards, was not answered within ${ms(within_ns)}: the silence proves nothing`;
    return { kind: "probe", reason, rows };
  }
  return {
    kind: "missing",
    reason: `no order for tick ${expectation.tickNumber} within ${ms(within_ns)}`,
    rows,
  };
}

function surplus(order: ReceivedOrder, judged: Judged, pairs: readonly Pair[]): Fault {
  const rows = rowsOf(undefined, order, judged.ticks);
  const number = judged.ticks.findIndex(({ clOrdId }) => clOrdId === order.clOrdId) + 1;
  const answered = pairs.find(({ expectation }) => expectation.clOrdId === order.clOrdId);
  if (answered !== undefined) {
    const name = answered.expectation.isProbe ? "the probe" : `tick ${answered.expectation.tickNumber}`;
    return { kind: "duplicate", reason: `${name} was answered more than once`, rows };
  }
  if (number > 0) return { kind: "unexpected", reason: `tick ${number} was answered and must not be`, rows };
  const reason = `an order came that answers no tick of this case: clOrdId ${quoted(order.clOrdId)}`;
  return { kind: "unexpected", reason, rows };
}

function reordered(pairs: readonly Pair[], { expectations }: Judged): Fault[] {
  const places = pairs.map(({ expectation }) => expectations.indexOf(expectation));
  const at = places.findIndex((place, index) => index > 0 && place < places[index - 1]!);
  if (at < 0) return [];
  const [later, earlier] = [pairs[at]!.expectation, pairs[at - 1]!.expectation];
  const name = ({ isProbe, tickNumber }: Expectation) => (isProbe ? "the probe" : `tick ${tickNumber}`);
  return [{ kind: "reordered", reason: `${name(later)} was answered after ${name(earlier)}`, rows: [] }];
}

function malformed({ frame }: Arrival): Fault[] {
  const reasons = frame.problems.map(({ field, detail }) => `${field}: ${detail}`);
  const size = tradingOrder.size;
  if (frame.payload.length === 0 || frame.payload.length % size !== 0) {
    reasons.push(`payload: ${frame.payload.length} bytes, whole orders of ${size} bytes are expected`);
  }
  if (frame.ip !== undefined && (frame.ip.moreFragments || frame.ip.fragmentOffset !== 0))
    reasons.push("ip: a fragment");
  return reasons.map((reason) => ({ kind: "malformed" as const, reason, rows: [] }));
}

/** Field by field: the tick, the order that must come and the one that came, as far as there are any. */
export function rowsOf(
  expected: Expectation | undefined,
  order: ReceivedOrder | undefined,
  ticks: readonly SentTick[] = [],
): Row[] {
  const tick = expected?.tick ?? ticks.find(({ clOrdId }) => clOrdId === order?.clOrdId);
  const spec = tick?.spec;
  const row = rowMaker(expected !== undefined, order !== undefined);
  const frame = order?.arrival.frame;
  const ip = frame?.ip;
  const stamp = order?.timestamp;
  const plausible = stamp !== undefined && stamp > 0n && stamp < TIMESTAMP_MAX;
  return [
    row(
      "symbol",
      expected && quoted(expected.symbol),
      order && quoted(order.symbol),
      spec && quoted(spec.symbol.toString("latin1")),
    ),
    row("price", expected?.price, order?.price, spec?.price),
    row("quantity", expected?.quantity, order?.quantity, spec?.quantity),
    row("side", expected && sideText(expected.side), order && sideText(order.side)),
    row(
      "timestamp",
      expected && (expected.timestamp ?? (plausible ? undefined : "a time in ns, not 0")),
      stamp,
      tick?.timestamp,
    ),
    row(
      "clOrdId",
      expected && quoted(expected.clOrdId),
      order && quoted(order.clOrdId),
      tick && clOrdIdOf(tick.timestamp),
    ),
    row(
      "vlan",
      expected && vlanText(expected.vlan),
      frame?.vlans.map(({ id }) => vlanText(id)).join(", ") || vlanText(-1),
    ),
    row("source MAC", expected?.sourceMac, frame?.ethernet?.source),
    row("destination MAC", expected?.destinationMac, frame?.ethernet?.destination),
    row(
      "source",
      expected?.source && normalAddress(expected.source),
      ip?.source,
      tick?.outgoing.decoded.ip?.source,
    ),
    row(
      "destination",
      expected?.destination && normalAddress(expected.destination),
      ip?.destination,
      tick?.outgoing.decoded.ip?.destination,
    ),
    row(
      "ttl",
      expected?.ttl ?? (ip !== undefined && ip.ttl === 0 ? "not 0" : undefined),
      ip?.ttl,
      tick?.outgoing.decoded.ip?.ttl,
    ),
    row("source port", expected?.sourcePort, frame?.udp?.sourcePort, tick?.outgoing.decoded.udp?.sourcePort),
    row(
      "destination port",
      expected?.destinationPort,
      frame?.udp?.destinationPort,
      tick?.outgoing.decoded.udp?.destinationPort,
    ),
  ];
}

type Cell = string | number | bigint | undefined;

function rowMaker(hasExpected: boolean, hasOrder: boolean) {
  return (field: string, expected: Cell, received: Cell, tick?: Cell): Row => ({
    field,
    tick: tick === undefined ? "" : String(tick),
    expected: !hasExpected ? "nothing" : expected === undefined ? "any" : String(expected),
    received: !hasOrder ? "nothing" : received === undefined ? "?" : String(received),
    ok: hasExpected && hasOrder && (expected === undefined || String(expected) === String(received)),
  });
}

function sideText(side: number): string {
  return side === 0 ? "buy" : side === 1 ? "sell" : String(side);
}

function vlanText(id: number): string {
  return id < 0 ? "untagged" : String(id);
}

/** Printable, and different for different bytes; the padding of a symbol is left out. */
function quoted(text: string): string {
  const plain = text.replace(/ +$/, "");
  if (/^[\x21\x23-\x7e]+$/.test(plain)) return plain;
  return JSON.stringify(text).replace(/[\x7f-\xff]/g, (char) => `\\u00${char.charCodeAt(0).toString(16)}`);
}

export function ms(value_ns: number): string {
  return `${Number((value_ns / 1e6).toFixed(1))} ms`;
}
