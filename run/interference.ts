/** Slow turns of the loops, by their cause, and which of the slowest samples overlapped one. */

import type { GeneratorFindings, GeneratorThreadFindings } from "../generator/merge.js";
import { valueAt } from "../native/histogram.js";
import {
  CAUSES,
  type Cause,
  type Evidence,
  type HistogramData,
  type Intervals,
  type SlowTurns,
  type TurnFigures,
} from "../native/index.js";
import type { ThreadFindings } from "../responder/threads.js";

export interface CoreTurns extends TurnFigures {
  readonly role: string;
  readonly cpu: number; // -1: the thread was not pinned
  readonly share: number; // of the time observed
  readonly threshold_ns: number;
  readonly by_cause: Readonly<Record<Cause, TurnFigures & { readonly share: number }>>;
  readonly evidence: Evidence;
}

/** Of the slowest samples, those that overlapped a slow turn of any core. */
export interface Overlap extends Overlapping {
  readonly examined: number; // samples that were kept
  readonly fastest_ns: number; // of them: everything kept is at least this slow
  readonly by_cause: Readonly<Record<Cause, Overlapping>>;
}

interface Overlapping {
  readonly overlapping: number;
  readonly by_chance: number; // as many would, on average, if samples of their lengths lay anywhere in the run
}

/** Round trips under a user interface: those that overlapped its being drawn, and all others. */
export interface Refreshes {
  readonly count: number; // how often it was drawn
  readonly total_ns: number;
  readonly max_ns: number;
  readonly overlapping: RoundTrips;
  readonly others: RoundTrips;
}

interface RoundTrips {
  readonly count: number;
  readonly p50_ns: number | null; // from the actual send
  readonly p99_ns: number | null;
}

/** Null where there was no user interface, or where nobody could tell its round trips apart. */
export function refreshesOf({ refreshes, latencyActual }: GeneratorFindings): Refreshes | null {
  const { count, total_ns, max_ns, overlapping } = refreshes;
  if (count === 0 || overlapping.count === 0) return null;
  const others = {
    ...latencyActual,
    counts: latencyActual.counts.map((value, index) => value - overlapping.counts[index]!),
    count: latencyActual.count - overlapping.count,
  };
  return { count, total_ns, max_ns, overlapping: roundTrips(overlapping), others: roundTrips(others) };
}

function roundTrips(data: HistogramData): RoundTrips {
  const at = (percentile: number) => (data.count === 0 ? null : valueAt(data, percentile));
  return { count: data.count, p50_ns: at(50), p99_ns: at(99) };
}

export function coreTurns(role: string, cpu: number, turns: SlowTurns): CoreTurns {
  const { count, total_ns, max_ns, threshold_ns, evidence } = turns;
  const shareOf = (ns: number) => ns / Math.max(1, turns.observed_ns);
  const by_cause = byCause((cause) => {
    const of = turns.by_cause[cause];
    return { ...of, share: shareOf(of.total_ns) };
  });
  return { role, cpu, count, total_ns, max_ns, threshold_ns, share: shareOf(total_ns), by_cause, evidence };
}

export function generatorTurns(threads: readonly GeneratorThreadFindings[]): CoreTurns[] {
  const name = (thread: number) => (threads.length === 1 ? "generator" : `generator, thread ${thread}`);
  return threads.map(({ cpu, turns }, thread) => coreTurns(name(thread), cpu, turns));
}

/** Of the threads of a responder that spin; one that sleeps has no turns. */
export function responderTurns(threads: readonly ThreadFindings[]): CoreTurns[] {
  const name = (queue: number) => (threads.length === 1 ? "responder" : `responder, queue ${queue}`);
  return threads
    .filter(({ turns }) => turns.observed_ns > 0)
    .map(({ queue, cpu, turns }) => coreTurns(name(queue), cpu, turns));
}

function byCause<T>(of: (cause: Cause) => T): Record<Cause, T> {
  return Object.fromEntries(CAUSES.map((cause) => [cause, of(cause)])) as Record<Cause, T>;
}

/** "machine 12, link 0, carom 1, unexplained 3", with what is to be said of each. */
export function causesText(of: (cause: Cause) => string): string {
  return CAUSES.map((cause) => `${cause} ${of(cause)}`).join(", ");
}

/** How many of the intervals overlap a slow turn in one of the logs, and how many would by chance. */
export function overlap(samples: Intervals, logs: readonly SlowTurns[]): Overlap {
  const lengths = Array.from(samples.starts_ns, (start, index) => samples.ends_ns[index]! - start);
  const overlapping = (wanted: Cause | null): Overlapping => {
    const turns = turnsOf(logs, wanted);
    const found = lengths.filter((length, index) => {
      const start = samples.starts_ns[index]!;
      const before = upperBound(turns.starts, start + length) - 1; // the last that began before the sample's end
      return before >= 0 && turns.ends[before]! > start;
    });
    const chance = chanceOf(turns, windowOf(logs));
    return {
      overlapping: found.length,
      by_chance: lengths.reduce((sum, length) => sum + chance(length), 0),
    };
  };
  return {
    examined: lengths.length,
    fastest_ns: lengths.reduce((least, length) => Math.min(least, length), lengths[0] ?? 0),
    ...overlapping(null),
    by_cause: byCause(overlapping),
  };
}

interface Turns {
  readonly starts: readonly number[]; // growing
  readonly ends: readonly number[]; // the latest of all turns up to an index: those of two cores may overlap
}

/** Of all logs, in their order. */
function turnsOf(logs: readonly SlowTurns[], wanted: Cause | null): Turns {
  const turns = logs
    .flatMap(({ starts_ns, ends_ns, causes }) =>
      Array.from(starts_ns, (start, index) => [start, ends_ns[index]!, CAUSES[causes[index]!]] as const),
    )
    .filter(([, , cause]) => wanted === null || cause === wanted)
    .sort((a, b) => a[0] - b[0]);
  const ends: number[] = [];
  for (const [, end] of turns) ends.push(Math.max(end, ends.at(-1) ?? 0));
  return { starts: turns.map(([start]) => start), ends };
}

/** When slow turns were logged: until the end, or until the logs were full. */
function windowOf(logs: readonly SlowTurns[]): readonly [from: number, to: number] {
  const observed = logs.filter(({ observed_ns }) => observed_ns > 0);
  const end = ({ first_ns, observed_ns, count, ends_ns }: SlowTurns) =>
    count > ends_ns.length ? ends_ns.at(-1)! : first_ns + observed_ns;
  return [
    observed.reduce((least, { first_ns }) => Math.min(least, first_ns), Number.POSITIVE_INFINITY),
    observed.reduce((most, log) => Math.max(most, end(log)), 0),
  ];
}

/**
 * The probability that an interval of a length overlaps a turn if it lies anywhere in the window: what is left are
 * the gaps between turns, each shorter by that length.
 */
function chanceOf({ starts, ends }: Turns, [from, to]: readonly [from: number, to: number]) {
  const edges = [from, ...ends.map((end) => Math.min(Math.max(end, from), to))];
  const gaps = [...starts, to]
    .map((start, index) => Math.min(start, to) - edges[index]!)
    .filter((gap) => gap > 0)
    .sort((a, b) => b - a);
  const sums = [0]; // of the longest gaps
  for (const gap of gaps) sums.push(sums.at(-1)! + gap);
  return (length: number): number => {
    if (starts.length === 0) return 0;
    if (to - from <= length) return 1;
    const longer = lowerBoundDescending(gaps, length);
    return 1 - (sums[longer]! - longer * length) / (to - from - length);
  };
}

/** How many of the values, which fall, are greater. */
function lowerBoundDescending(falling: readonly number[], value: number): number {
  let low = 0;
  let high = falling.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (falling[middle]! > value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function upperBound(sorted: readonly number[], value: number): number {
  let low = 0;
  let high = sorted.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! <= value) low = middle + 1;
    else high = middle;
  }
  return low;
}
