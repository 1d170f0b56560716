/** The machine's noise told apart from the path's: which of the slowest samples overlapped a stall of a core. */

import type { GeneratorFindings, GeneratorThreadFindings } from "../generator/merge.js";
import { valueAt } from "../native/histogram.js";
import type { HistogramData, Intervals, StallLog } from "../native/index.js";
import type { ThreadFindings } from "../responder/threads.js";

export interface CoreStalls {
  readonly role: string;
  readonly cpu: number; // -1: the thread was not pinned
  readonly count: number;
  readonly total_ns: number;
  readonly max_ns: number;
  readonly share: number; // of the time observed
  readonly threshold_ns: number;
}

export interface Overlap {
  readonly examined: number; // the slowest samples that were kept
  readonly fastest_ns: number; // of them: everything kept is at least this slow
  readonly overlapping: number; // of them, those that overlapped a stall of any core
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

export function coreStalls(role: string, cpu: number, log: StallLog): CoreStalls {
  const { count, total_ns, max_ns, threshold_ns } = log;
  return { role, cpu, count, total_ns, max_ns, threshold_ns, share: total_ns / Math.max(1, log.observed_ns) };
}

export function generatorStalls(threads: readonly GeneratorThreadFindings[]): CoreStalls[] {
  const name = (thread: number) => (threads.length === 1 ? "generator" : `generator, thread ${thread}`);
  return threads.map(({ cpu, stalls }, thread) => coreStalls(name(thread), cpu, stalls));
}

/** Of the threads of a responder that spin; one that sleeps can't tell stalls. */
export function responderStalls(threads: readonly ThreadFindings[]): CoreStalls[] {
  const name = (queue: number) => (threads.length === 1 ? "responder" : `responder, queue ${queue}`);
  return threads
    .filter(({ stalls }) => stalls.observed_ns > 0)
    .map(({ queue, cpu, stalls }) => coreStalls(name(queue), cpu, stalls));
}

/** How many of the intervals overlap a stall in one of the logs. */
export function overlap(samples: Intervals, logs: readonly StallLog[]): Overlap {
  const stalls = logs
    .flatMap((log) => Array.from(log.starts_ns, (start, index) => [start, log.ends_ns[index]!] as const))
    .sort((a, b) => a[0] - b[0]);
  const starts = stalls.map(([start]) => start);
  // The latest end of all stalls up to an index: overlapping ones of two cores need not end in their order.
  const ends: number[] = [];
  for (const [, end] of stalls) ends.push(Math.max(end, ends.at(-1) ?? 0));
  let overlapping = 0;
  let fastest_ns = Number.POSITIVE_INFINITY;
  for (const [index, start] of samples.starts_ns.entries()) {
    const end = samples.ends_ns[index]!;
    fastest_ns = Math.min(fastest_ns, end - start);
    const before = upperBound(starts, end) - 1; // the last stall that began before the sample's end
    if (before >= 0 && ends[before]! > start) overlapping++;
  }
  const examined = samples.starts_ns.length;
  return { examined, overlapping, fastest_ns: examined === 0 ? 0 : fastest_ns };
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
