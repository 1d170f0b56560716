/** What several threads of a generator found, as one. */

import { addHistograms } from "../native/histogram.js";
import type {
  Counters,
  GeneratorResult,
  HistogramPart,
  Intervals,
  LineCounts,
  SlowTurns,
  StreamConfig,
  StreamCounts,
} from "../native/index.js";

/** One thread: where it ran, and which streams it sent, by their numbers in the run. */
export interface GeneratorThread {
  readonly queue: number;
  readonly cpu: number; // -1: not pinned
  readonly streams: readonly number[];
}

export interface GeneratorThreadFindings extends GeneratorThread {
  readonly counters: Counters;
  readonly turns: SlowTurns;
}

/** Of all threads together, as everything but `threads`; streams and lines in the order of the run. */
export interface GeneratorFindings extends Omit<GeneratorResult, "turns"> {
  readonly threads: readonly GeneratorThreadFindings[];
}

const INTERVALS_MAX = 1000; // as many as one thread keeps (native/loop/generate.h)

/**
 * @param threads in their order, as the results
 * @param streams of each thread, in its order: how many lines each has
 */
export function mergeResults(
  results: readonly GeneratorResult[],
  threads: readonly GeneratorThread[],
  streams: readonly (readonly StreamConfig[])[],
): GeneratorFindings {
  const inOrder = <T>(of: readonly (readonly T[])[]): T[] => {
    const all: T[] = [];
    for (const [thread, { streams: numbers }] of threads.entries()) {
      for (const [index, number] of numbers.entries()) all[number] = of[thread]![index]!;
    }
    return all;
  };
  const sum = <K extends "latencyPlanned" | "latencyActual" | "lateness" | "warmup" | "gapErrors">(key: K) =>
    addHistograms(results.map((result) => result[key]));
  return {
    counters: sumCounters(results.map(({ counters }) => counters)),
    latencyPlanned: sum("latencyPlanned"),
    latencyActual: sum("latencyActual"),
    lateness: sum("lateness"),
    warmup: sum("warmup"),
    gapErrors: sum("gapErrors"),
    firstErrors: Float64Array.from(results.flatMap(({ firstErrors }) => [...firstErrors])),
    lastErrors: Float64Array.from(results.flatMap(({ lastErrors }) => [...lastErrors])),
    parts: mergeParts(results.map(({ parts }) => parts)),
    schedule: results[0]!.schedule, // the first thread reads the clock for all
    changes: results[0]!.changes, // by all threads within a turn of their loops
    slowest: longest(results.map(({ slowest }) => slowest)),
    latest: longest(results.map(({ latest }) => latest)),
    // All threads are told of each.
    refreshes: {
      ...results[0]!.refreshes,
      overlapping: addHistograms(results.map(({ refreshes }) => refreshes.overlapping)),
    },
    recent: results.flatMap(({ recent }) => recent),
    examples: results.flatMap(({ examples }) => examples),
    sends: concatenated(results.map(({ sends }) => sends)),
    answers: concatenated(results.map(({ answers }) => answers)),
    nicSent: concatenated(results.map(({ nicSent }) => nicSent)),
    nicReceived: concatenated(results.map(({ nicReceived }) => nicReceived)),
    unlogged: results.reduce((sum, { unlogged }) => sum + unlogged, 0),
    lines: inOrder(results.map(({ lines }, thread) => byStream(lines, streams[thread]!))).flat(),
    streams: inOrder(results.map(streamsOf)),
    capture: results[0]!.capture,
    replay: results[0]!.replay, // by one thread
    notes: [...new Set(results.flatMap(({ notes }) => notes))],
    threads: results.map(({ counters, turns }, index) => ({ ...threads[index]!, counters, turns })),
  };
}

/** Of what happened to all threads at the same time, the longest counts. */
const TOGETHER = new Set([
  "measured_ns",
  "pauses",
  "paused_ns",
  "moved_ns",
  "clock_back",
  "clock_steps",
  "clock_stepped_ns",
]);

/** Added up; but what all threads have in common counts once. */
export function sumCounters(all: readonly Counters[]): Counters {
  const sum: Record<string, number> = {};
  for (const counters of all) {
    for (const [name, value] of Object.entries(counters)) {
      const before = sum[name] ?? 0;
      sum[name] = TOGETHER.has(name) ? Math.max(before, value) : before + value;
    }
  }
  return sum;
}

/** A thread with one stream keeps no figures of it apart: they are its own. */
function streamsOf({ streams, counters, latencyPlanned, latencyActual }: GeneratorResult): StreamCounts[] {
  if (streams.length > 0) return [...streams];
  const n = (name: string) => counters[name] ?? 0;
  return [
    {
      sent: n("sent"),
      withheld: n("withheld"),
      quiet: n("quiet"),
      correct: n("correct"),
      wrong: n("wrong"),
      late: n("late"),
      missing: n("missing"),
      duplicate: n("duplicate"),
      unexpected: n("unexpected"),
      reordered: n("reordered"),
      latencyPlanned,
      latencyActual,
    },
  ];
}

/** Lines come one stream after the other. */
function byStream(lines: readonly LineCounts[], streams: readonly StreamConfig[]): LineCounts[][] {
  let from = 0;
  return streams.map((stream) => {
    from += stream.lines.length;
    return lines.slice(from - stream.lines.length, from);
  });
}

const NOTHING: HistogramPart = { indices: new Uint32Array(0), counts: new Uint32Array(0) };

/** Of threads that began together: the first parts of all are the first part. */
function mergeParts(all: readonly (readonly HistogramPart[])[]): readonly HistogramPart[] {
  if (all.length === 1) return all[0]!;
  const length = Math.max(...all.map((parts) => parts.length));
  return Array.from({ length }, (_, number) => {
    const sum = new Map<number, number>();
    for (const parts of all) {
      const { indices, counts } = parts[number] ?? NOTHING;
      for (const [place, index] of indices.entries()) sum.set(index, (sum.get(index) ?? 0) + counts[place]!);
    }
    const places = [...sum].sort(([a], [b]) => a - b);
    return {
      indices: Uint32Array.from(places, ([index]) => index),
      counts: Uint32Array.from(places, ([, count]) => count),
    };
  });
}

/** The longest of all, as many as one thread would have kept. */
function longest(all: readonly Intervals[]): Intervals {
  const pairs = all.flatMap(({ starts_ns, ends_ns }) =>
    Array.from(starts_ns, (start, index) => [start, ends_ns[index]!] as const),
  );
  if (all.length > 1) pairs.sort((a, b) => b[1] - b[0] - (a[1] - a[0]));
  const kept = pairs.slice(0, INTERVALS_MAX);
  return {
    starts_ns: Float64Array.from(kept, ([start]) => start),
    ends_ns: Float64Array.from(kept, ([, end]) => end),
  };
}

function concatenated(all: readonly BigUint64Array[]): BigUint64Array {
  const result = new BigUint64Array(all.reduce((size, { length }) => size + length, 0));
  let at = 0;
  for (const part of all) {
    result.set(part, at);
    at += part.length;
  }
  return result;
}
