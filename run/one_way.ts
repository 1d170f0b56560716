/**
 * What the stamps of both ends say of each tick: when it left, came, was answered, and when the order came back. All
 * by a clock that both ends know, each by its own of it: so a one-way latency is off by as much as the two differ, and
 * the round trip, whose both ends are one machine's, is not.
 */

import { type Distribution, PERCENTILES } from "../native/histogram.js";
import type { Tie } from "./clock_ties.js";
import { ROW, type StampSections } from "./stamps.js";

export interface Side {
  readonly stamps: StampSections;
  readonly one_in: number;
  readonly dropped: number;
  readonly ties: readonly Tie[];
}

/** ns; arrays are as long as there are samples, in the order of the ticks that were sent. */
export interface OneWay {
  readonly up_ns: Float64Array; // from the generator's hand-over until the responder took it up
  readonly responder_ns: Float64Array; // from there until the order was handed over
  readonly down_ns: Float64Array; // from there until the generator took it up
  readonly round_trip_ns: Float64Array; // their sum, by the generator's clock alone
  readonly common: number; // ticks that both ends have
  readonly followed: number; // ticks that the generator sent and that the responder would have kept, too
  readonly unstamped_up: number; // of the common ticks, those without both stamps of the NICs
  readonly unstamped_down: number; // of the orders that came back
  readonly lost_up: number | null; // of those, not seen by the responder; null where one of the logs is not whole
  readonly ordered: number; // orders of the common ticks
  readonly lost_down: number | null; // of those, not seen by the generator
}

interface Rows {
  readonly rows: BigUint64Array;
  readonly at: ReadonlyMap<bigint, number>; // of a tick, where its first row begins
}

/** @param inKernel the responder's program decides what leaves no passages: the order's own timestamp tells when */
export function oneWay(generator: Side, responder: Side, inKernel: boolean): OneWay {
  const wanted = selectionOf(Math.max(generator.one_in, responder.one_in));
  const near = timeOf(generator.ties);
  const far = timeOf(responder.ties);
  const arrived = indexed(responder.stamps.passages);
  const answered = indexed(generator.stamps.answers);
  const samples = { up: [] as number[], own: [] as number[], down: [] as number[], total: [] as number[] };
  const counts = { common: 0, followed: 0, ordered: 0, back: 0, unstampedUp: 0, unstampedDown: 0 };
  const { sends } = generator.stamps;
  for (let row = 0; row < sends.length; row += ROW) {
    const tick = sends[row]!;
    if (!wanted(tick)) continue;
    counts.followed++;
    const sent = sends[row + 2]!;
    const passage = arrived.at.get(tick);
    const answer = answered.at.get(tick);
    const received = answer === undefined ? undefined : answered.rows[answer + 2]!;
    if (passage === undefined) {
      if (!inKernel || answer === undefined) continue;
      // The program read the responder's clock once, and stamped the order with it.
      const made = answered.rows[answer + 3]!;
      counts.common++;
      counts.ordered++;
      counts.back++;
      samples.up.push(-near.less(sent, made));
      samples.down.push(near.less(received!, made));
      samples.total.push(Number(received! - sent));
      continue;
    }
    counts.common++;
    const [taken, handed] = [arrived.rows[passage + 1]!, arrived.rows[passage + 2]!];
    if (sent !== MISSING && taken !== MISSING) samples.up.push(difference(far, taken, near, sent));
    else counts.unstampedUp++;
    if (handed === NOT_HANDED) continue;
    counts.ordered++;
    if (handed !== MISSING && taken !== MISSING) samples.own.push(Number(handed - taken));
    if (received === undefined) continue;
    counts.back++;
    if (handed !== MISSING && received !== MISSING)
      samples.down.push(difference(near, received, far, handed));
    else counts.unstampedDown++;
    if (received !== MISSING && sent !== MISSING) samples.total.push(Number(received - sent));
  }
  const isWhole = generator.dropped === 0 && responder.dropped === 0;
  return {
    up_ns: Float64Array.from(samples.up),
    responder_ns: Float64Array.from(samples.own),
    down_ns: Float64Array.from(samples.down),
    round_trip_ns: Float64Array.from(samples.total),
    common: counts.common,
    followed: counts.followed,
    unstamped_up: counts.unstampedUp,
    unstamped_down: counts.unstampedDown,
    lost_up: isWhole && !inKernel ? counts.followed - counts.common : null,
    ordered: counts.ordered,
    lost_down: isWhole && !inKernel ? counts.ordered - counts.back : null,
  };
}

const MISSING = 0n; // in place of a stamp that the NIC did not make, or can't have made
const NOT_HANDED = 0xffff_ffff_ffff_ffffn; // native/core/passages.h

/** The two clocks of an end, each tied to CLOCK_REALTIME, and how far a difference of theirs can be off. */
export interface EndClocks {
  readonly loop: readonly Tie[];
  readonly nic: readonly Tie[];
  readonly error_ns: number;
}

const RESIDENCE_NS = 2e9; // no frame is longer between loop and wire; a counter of 32 bits wraps in 4.3 s

/**
 * The stamps of an end with the NIC's in place of the loop's. A NIC stamps a frame after the loop handed it over, and
 * before the loop takes it up: a stamp that says otherwise is none.
 */
export function byNic(stamps: StampSections, clocks: EndClocks): StampSections {
  const [loop, nic] = [timeOf(clocks.loop), timeOf(clocks.nic)];
  const stampsOf = (section: "nic_sent" | "nic_received") => {
    const { rows, at } = indexed(stamps[section]);
    return (tick: bigint): bigint => {
      const row = at.get(tick);
      if (row === undefined) return MISSING;
      const [stamp, passed] = [rows[row + 1]!, rows[row + 2]!];
      const outside_ns = difference(nic, stamp, loop, passed) * (section === "nic_sent" ? 1 : -1);
      return outside_ns >= -clocks.error_ns && outside_ns <= RESIDENCE_NS ? stamp : MISSING;
    };
  };
  const [sent, received] = [stampsOf("nic_sent"), stampsOf("nic_received")];
  const replaced = (rows: BigUint64Array, change: (copy: BigUint64Array, row: number) => void) => {
    const copy = rows.slice();
    for (let row = 0; row < copy.length; row += ROW) change(copy, row);
    return copy;
  };
  return {
    ...stamps,
    sends: replaced(stamps.sends, (rows, row) => {
      rows[row + 2] = sent(rows[row]!);
    }),
    answers: replaced(stamps.answers, (rows, row) => {
      rows[row + 2] = received(rows[row]!);
    }),
    passages: replaced(stamps.passages, (rows, row) => {
      rows[row + 1] = received(rows[row]!);
      if (rows[row + 2] !== NOT_HANDED) rows[row + 2] = sent(rows[row]!);
    }),
  };
}

/** The ticks of which both ends keep one in so many: by a hash, as native/core/passages.h has it. */
export function selectionOf(one_in: number): (tick: bigint) => boolean {
  if (one_in <= 1) return () => true;
  const shift = BigInt(64 - Math.log2(one_in));
  return (tick) => BigInt.asUintN(64, tick * 0x9e3779b97f4a7c15n) >> shift === 0n;
}

function indexed(rows: BigUint64Array): Rows {
  const at = new Map<bigint, number>();
  for (let row = 0; row < rows.length; row += ROW) if (!at.has(rows[row]!)) at.set(rows[row]!, row);
  return { rows, at };
}

/** The clock of a machine, for times of its timeline. */
interface MachineClock {
  readonly base_ns: bigint; // what is added to the timeline, about
  /** And what there is to add to that at a time. */
  correction(timeline_ns: bigint): number;
  /** A time of the timeline, by the clock, less one of the clock. */
  less(timeline_ns: bigint, clock_ns: bigint): number;
}

/** On straight lines between the readings, and on beyond them. */
export function timeOf(ties: readonly Tie[]): MachineClock {
  const base_ns = ties[0]!.offset_ns;
  const times = ties.map(({ timeline_ns }) => timeline_ns);
  const offsets = ties.map(({ offset_ns }) => Number(offset_ns - base_ns));
  let last = 0; // times come about in order
  const correction = (timeline_ns: bigint): number => {
    const time = Number(timeline_ns);
    while (last > 0 && times[last]! > time) last--;
    while (last < times.length - 2 && times[last + 1]! <= time) last++;
    const [from, to] = [last, Math.min(last + 1, times.length - 1)];
    const length = times[to]! - times[from]!;
    const part = length === 0 ? 0 : (time - times[from]!) / length;
    return offsets[from]! + (offsets[to]! - offsets[from]!) * part;
  };
  const less = (timeline_ns: bigint, clock_ns: bigint) =>
    Number(timeline_ns + base_ns - clock_ns) + correction(timeline_ns);
  return { base_ns, correction, less };
}

/** By the two clocks, ns to the tenth. */
function difference(later: MachineClock, late_ns: bigint, earlier: MachineClock, early_ns: bigint): number {
  const whole = Number(late_ns + later.base_ns - early_ns - earlier.base_ns);
  return whole + later.correction(late_ns) - earlier.correction(early_ns);
}

/** Of values that may be below 0, as clocks disagree: exact, not from a histogram. */
export function distributionOf(values_ns: Float64Array): Distribution {
  const sorted = Float64Array.from(values_ns).sort();
  const count = sorted.length;
  const [min_ns, max_ns] = [sorted[0] ?? 0, sorted[count - 1] ?? 0];
  let sum = 0;
  for (const value of sorted) sum += value;
  const mean_ns = count === 0 ? 0 : sum / count;
  let squares = 0;
  for (const value of sorted) squares += (value - mean_ns) ** 2;
  return {
    count,
    missing: 0,
    min_ns,
    mean_ns,
    stddev_ns: count === 0 ? 0 : Math.sqrt(squares / count),
    max_ns,
    jitter_ns: max_ns - min_ns,
    percentiles: PERCENTILES.map((percentile) => {
      const rank = Math.max(1, Math.ceil((percentile / 100) * count - 1e-9));
      const samples_above = Math.max(0, count - rank);
      return { percentile, value_ns: sorted[rank - 1] ?? null, samples_above, few: samples_above < 100 };
    }),
  };
}
