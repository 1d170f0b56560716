/** What several threads of a generator found, put together: nothing is lost, and each stream keeps its own. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import { mergeResults } from "../generator/merge.js";
import type { GeneratorResult, LineCounts, StreamConfig, StreamCounts } from "../native/index.js";
import { dataOf, intervals, slowTurns } from "./report_support.js";

const line = (frames: number): LineCounts => ({
  datagrams: frames,
  ticks: frames,
  frames,
  lost: 0,
  lost_ticks: 0,
  duplicated: 0,
  reordered: 0,
  corrupted: 0,
});

const counts = (sent: number): StreamCounts => ({
  sent,
  withheld: 0,
  quiet: 0,
  correct: sent,
  wrong: 0,
  late: 0,
  missing: 0,
  duplicate: 0,
  unexpected: 0,
  reordered: 0,
  latencyPlanned: dataOf([sent]),
  latencyActual: dataOf([sent]),
});

const result = (own: Partial<GeneratorResult>): GeneratorResult => ({
  counters: {},
  replay: null,
  latencyPlanned: dataOf([1000]),
  latencyActual: dataOf([500]),
  lateness: dataOf([10]),
  warmup: dataOf([]),
  gapErrors: dataOf([]),
  schedule: { readings: 0, correctedNs: 0, errorNs: 0, errorMaxNs: 0 },
  parts: [],
  firstErrors: new Float64Array(),
  lastErrors: new Float64Array(),
  changes: [],
  recent: [],
  refreshes: { count: 0, total_ns: 0, max_ns: 0, overlapping: dataOf([]) },
  turns: slowTurns([0, 10]),
  slowest: intervals(),
  latest: intervals(),
  examples: [],
  capture: null,
  sends: new BigUint64Array(),
  answers: new BigUint64Array(),
  nicSent: new BigUint64Array(),
  nicReceived: new BigUint64Array(),
  unlogged: 0,
  lines: [],
  streams: [],
  notes: ["rings of 64 frames"],
  ...own,
});

const streamsOf = (...lines: number[]) =>
  lines.map((count) => ({ lines: new Array(count).fill({}) })) as unknown as StreamConfig[];

// Streams 0 and 2 are the first thread's, 1 the second one's; stream 2 has two lines.
const THREADS = [
  { queue: 0, cpu: 3, streams: [0, 2] },
  { queue: 1, cpu: 2, streams: [1] },
];

test("streams and lines come in the order of the run, whichever thread sent them", () => {
  const merged = mergeResults(
    [
      result({ streams: [counts(10), counts(30)], lines: [line(10), line(30), line(31)] }),
      result({ counters: { sent: 20, correct: 19, missing: 1 }, lines: [line(20)] }),
    ],
    THREADS,
    [streamsOf(1, 2), streamsOf(1)],
  );
  assert.equal(
    merged.streams.map(({ sent }) => sent),
    [10, 20, 30],
  );
  // A thread with one stream keeps its figures once.
  const { correct, missing, latencyActual } = merged.streams[1]!;
  assert.equal([correct, missing, latencyActual.max], [19, 1, 500]);
  assert.equal(
    merged.lines.map(({ frames }) => frames),
    [10, 20, 30, 31],
  );
});

test("counters and histograms are added up, times are not", () => {
  const merged = mergeResults(
    [
      result({ counters: { sent: 5, measured_ns: 100 }, lateness: dataOf([10, 20]), notes: ["a", "b"] }),
      result({ counters: { sent: 7, measured_ns: 90, late: 1 }, lateness: dataOf([30]), notes: ["b"] }),
    ],
    THREADS.map((thread, index) => ({ ...thread, streams: [index] })),
    [streamsOf(1), streamsOf(1)],
  );
  assert.equal(merged.counters, { sent: 12, measured_ns: 100, late: 1 });
  assert.equal([merged.lateness.count, merged.lateness.min, merged.lateness.max], [3, 10, 30]);
  assert.is(merged.latencyActual.count, 2);
  assert.equal(merged.notes, ["a", "b"]);
  assert.equal(
    merged.threads.map(({ queue, cpu, counters, turns }) => [queue, cpu, counters.sent, turns.count]),
    [
      [0, 3, 5, 1],
      [1, 2, 7, 1],
    ],
  );
});

test("of the slowest and the latest, as many are kept as one thread keeps, and those are the longest", () => {
  const many = (from: number) =>
    intervals(...Array.from({ length: 1000 }, (_, index) => [0, from + index] as const));
  const merged = mergeResults(
    [result({ slowest: many(1), latest: intervals([5, 9]) }), result({ slowest: many(501) })],
    THREADS.map((thread, index) => ({ ...thread, streams: [index] })),
    [streamsOf(1), streamsOf(1)],
  );
  const { starts_ns, ends_ns } = merged.slowest;
  assert.is(starts_ns.length, 1000);
  // Of 1 to 1000 and 501 to 1500: all from 1001 on, and the rest twice each, down to 751.
  assert.equal([Math.max(...ends_ns), Math.min(...ends_ns)], [1500, 751]);
  assert.equal([...merged.latest.starts_ns, ...merged.latest.ends_ns], [5, 9]);
});

test("rows of what was followed are all there, in the order of the threads", () => {
  const merged = mergeResults(
    [
      result({ sends: BigUint64Array.of(1n, 2n, 3n, 4n) }),
      result({ sends: BigUint64Array.of(5n, 6n, 7n, 8n), answers: BigUint64Array.of(9n, 9n, 9n, 9n) }),
    ],
    THREADS.map((thread, index) => ({ ...thread, streams: [index] })),
    [streamsOf(1), streamsOf(1)],
  );
  assert.equal([...merged.sends], [1n, 2n, 3n, 4n, 5n, 6n, 7n, 8n]);
  assert.equal([...merged.answers], [9n, 9n, 9n, 9n]);
});

test.run();
