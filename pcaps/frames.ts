/** The frames of the samples: ticks of carom's own profiles, orders that answer them, lines that lose some. */

import { feedOf } from "../generator/feed.js";
import { sampleFeed } from "../native/index.js";
import { seeded } from "../tests/random.js";
import { multicastMac } from "../wire/address.js";
import { clOrdIdOf, encodeOrder, encodeTick, type Tick } from "../wire/codec.js";
import { buildFrame, type FrameFields, type VlanTag } from "../wire/frame.js";
import type { CapturedFrame } from "./capture_file.js";

/** 2026-01-05, 14:30 UTC: half past nine in New York. */
export const START_NS = 1_767_623_400_000_000_000n;
export const TICK_PORT = 8080;
export const ORDER_PORT = 9999;

/** The addresses of carom's lab: nobody else has them (RFC 2544, RFC 5180). */
const EXCHANGE = { mac: "02:ca:40:00:00:01", ip4: "198.18.0.1", ip6: "2001:2::1" };
const TRADER = { mac: "02:ca:40:00:00:02", ip4: "198.18.0.2", ip6: "2001:2::2" };
export const GROUP = "239.1.1.1";
export const GROUP_B = "239.1.1.2";
const GROUP6 = "ff0e::1:1";

export interface TimedTick extends Tick {
  readonly time_ns: bigint;
}

/** The first ticks of a profile, as a run with this seed would send them, each stamped with its own time. */
export function profileTicks(profile: string, seed: bigint, count: number): TimedTick[] {
  const values = { profile, seed, scale: undefined, scaleBy: undefined, linkSpeed: 10e9, threshold: 10_000 };
  const feed = feedOf(values, "", undefined);
  const { planned_ns, symbols, prices, quantities } = sampleFeed(feed.schedule, feed.ticks)(count);
  let timestamp = 0n;
  return Array.from(planned_ns, (planned, index) => {
    const time_ns = START_NS + BigInt(Math.round(planned - planned_ns[0]!));
    timestamp = time_ns > timestamp ? time_ns : timestamp + 1n; // unique, as the generator makes it
    const symbol = feed.ticks.symbols[symbols[index]!]!;
    return { time_ns, symbol, price: prices[index]!, quantity: quantities[index]!, timestamp };
  });
}

/** A tick to a multicast group; what `fields` has takes the place of what would be right. */
export function tickFrame(tick: Tick, group = GROUP, fields: Partial<FrameFields> = {}): Buffer {
  const isIp6 = group.includes(":");
  return buildFrame({
    ethernet: { destination: multicastMac(group)!, source: EXCHANGE.mac },
    ip: { source: isIp6 ? EXCHANGE.ip6 : EXCHANGE.ip4, destination: group, ttl: 1, dontFragment: !isIp6 },
    udp: { sourcePort: TICK_PORT, destinationPort: TICK_PORT },
    payload: encodeTick(tick),
    ...fields,
  });
}

export function groupFrame6(tick: Tick, vlans: readonly VlanTag[] = []): Buffer {
  return tickFrame(tick, GROUP6, { vlans });
}

/** What the default strategy answers to a tick, made so many ns after it. */
export function orderFrame(tick: TimedTick, after_ns: number, isIp6 = false): Buffer {
  const [source, destination] = isIp6 ? [TRADER.ip6, EXCHANGE.ip6] : [TRADER.ip4, EXCHANGE.ip4];
  return buildFrame({
    ethernet: { destination: EXCHANGE.mac, source: TRADER.mac },
    ip: { source, destination, dontFragment: !isIp6 },
    udp: { sourcePort: TICK_PORT, destinationPort: ORDER_PORT },
    payload: encodeOrder({
      symbol: tick.symbol,
      price: tick.price + 1,
      quantity: 100,
      side: 0,
      timestamp: tick.time_ns + BigInt(after_ns),
      clOrdId: clOrdIdOf(tick.timestamp),
    }),
  });
}

export function tickCapture(ticks: readonly TimedTick[]): CapturedFrame[] {
  return ticks.map((tick) => ({ time_ns: tick.time_ns, bytes: tickFrame(tick) }));
}

/** Ticks, and orders for those below the threshold 3 to 9 µs later; every 20th order is missing. */
export function answeredCapture(ticks: readonly TimedTick[], seed: number): CapturedFrame[] {
  const chance = seeded(seed);
  const answered = ticks.filter(({ price }) => price < 10_000);
  const orders = answered.map((tick) => {
    const after_ns = 3000 + chance(6000);
    return { time_ns: tick.time_ns + BigInt(after_ns), bytes: orderFrame(tick, after_ns - 500) };
  });
  return inOrder([...tickCapture(ticks), ...orders.filter((_, index) => index % 20 !== 19)]);
}

export interface FeedAb {
  readonly frames: readonly CapturedFrame[];
  readonly lost: { readonly a: readonly number[]; readonly b: readonly number[] }; // indices of ticks
}

/** One feed on two lines: B comes 20 µs later, each of them loses some, and some are lost on both. */
export function feedAb(ticks: readonly TimedTick[], seed: number): FeedAb {
  const chance = seeded(seed);
  const losses = ticks.map((_, index) => {
    const isBurst = index >= 120 && index < 124; // four in a row are lost on A
    return { a: isBurst || chance(20) === 0, b: chance(12) === 0 };
  });
  const frames = ticks.flatMap((tick, index) => [
    ...(losses[index]!.a ? [] : [{ time_ns: tick.time_ns, bytes: tickFrame(tick), interface: 0 }]),
    ...(losses[index]!.b
      ? []
      : [{ time_ns: tick.time_ns + 20_000n, bytes: tickFrame(tick, GROUP_B), interface: 1 }]),
  ]);
  const lost = (line: "a" | "b") => [...losses.keys()].filter((index) => losses[index]![line]);
  return { frames: inOrder(frames), lost: { a: lost("a"), b: lost("b") } };
}

/** IPv6 and VLAN tags: ticks and orders, a priority tag, two tags. */
export function ip6AndVlan(ticks: readonly TimedTick[]): CapturedFrame[] {
  const kinds: ((tick: TimedTick) => Uint8Array)[] = [
    (tick) => groupFrame6(tick),
    (tick) => orderFrame(tick, 4000, true),
    (tick) => tickFrame(tick, GROUP, { vlans: [{ id: 100, priority: 5 }] }),
    (tick) => groupFrame6(tick, [{ id: 200 }]),
    (tick) => tickFrame(tick, GROUP, { vlans: [{ id: 0, priority: 7 }] }),
    (tick) => tickFrame(tick, GROUP, { vlans: [{ id: 300, type: 0x88a8 }, { id: 100 }] }),
  ];
  return ticks.map((tick, index) => ({ time_ns: tick.time_ns, bytes: kinds[index % kinds.length]!(tick) }));
}

/** As many ticks as fit into an MTU of 9,000, and frames of 1,514, 1,518 (tagged) and 9,014 bytes. */
export function jumbo(ticks: readonly TimedTick[]): CapturedFrame[] {
  const most = Math.floor((9000 - 28) / 24);
  const packed = Buffer.concat(ticks.slice(0, most).map(encodeTick));
  const time = (index: number) => START_NS + BigInt(index) * 10_000n;
  const small = (count: number) => Buffer.concat(ticks.slice(0, count).map(encodeTick));
  const frames = [
    tickFrame(ticks[0]!, GROUP, { payload: small(61), pad: 8 }),
    tickFrame(ticks[0]!, GROUP, { payload: small(61), pad: 8, vlans: [{ id: 100 }] }),
    tickFrame(ticks[0]!, GROUP, { payload: packed, pad: 9014 - 42 - packed.length }),
  ];
  return frames.map((bytes, index) => ({ time_ns: time(index), bytes }));
}

/** A tick at half past nine, and one each `step_ns` later: the content is the same whatever the times are. */
export function plainTicks(count: number, step_ns: bigint): TimedTick[] {
  return Array.from({ length: count }, (_, index) => {
    const time_ns = START_NS + BigInt(index) * step_ns;
    const symbol = ["AAPL", "MSFT", "GOOG"][index % 3]!;
    return { time_ns, symbol, price: 9990 + 5 * index, quantity: 100, timestamp: START_NS + BigInt(index) };
  });
}

export function inOrder(frames: readonly CapturedFrame[]): CapturedFrame[] {
  return [...frames].sort((one, other) => Number(one.time_ns - other.time_ns));
}
