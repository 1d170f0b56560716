/** What the stalls of a core are to blame for, and what share of its time they took. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import { coreStalls, overlap } from "../run/interference.js";
import { seeded } from "./random.js";
import { intervals, stallLog } from "./report_support.js";

test("a slow sample is laid to a stall of either core when the two overlap", () => {
  const generator = stallLog([100, 200], [1000, 1100]);
  const responder = stallLog([150, 900], [5000, 5001]);
  for (const [sample, overlaps] of [
    [[0, 99], 0], // before everything
    [[0, 101], 1],
    [[0, 10_000], 1], // around all of them: counted once
    [[120, 130], 1], // within one
    [[201, 210], 1], // behind the first, but within the other core's, which began later and is longer
    [[899, 950], 1],
    [[901, 950], 0],
    [[950, 1000], 1], // it began when the sample ended: the last moment is part of it
    [[1100, 1200], 0], // it was over when the sample began
    [[1101, 4999], 0],
    [[4000, 6000], 1],
    [[5002, 5003], 0],
  ] as const) {
    const found = overlap(intervals(sample), [generator, responder]);
    assert.equal(
      found,
      { examined: 1, overlapping: overlaps, fastest_ns: sample[1] - sample[0] },
      `${sample}`,
    );
  }
});

test("a long stall is found behind any number of short ones", () => {
  const shorts = Array.from({ length: 1000 }, (_, index) => [1000 + index * 10, 1001 + index * 10] as const);
  const found = overlap(intervals([10_995, 10_998], [10_985, 10_986]), [
    stallLog([900, 20_000]),
    stallLog(...shorts),
  ]);
  assert.equal(found, { examined: 2, overlapping: 2, fastest_ns: 1 });
});

test("overlaps agree with those found by comparing everything with everything", () => {
  const next = seeded(9);
  const some = (count: number) =>
    Array.from({ length: count }, () => {
      const start = next(10_000);
      return [start, start + 1 + next(next(10) === 0 ? 2000 : 20)] as const;
    });
  for (let round = 0; round < 200; round++) {
    const [samples, one, two] = [some(next(30)), some(next(30)), some(next(30))];
    const stalls = [...one, ...two];
    const overlapping = samples.filter(([start, end]) =>
      stalls.some(([from, to]) => from <= end && to > start),
    ).length;
    // A stall log is in order of time.
    const ordered = [one, two].map((log) => stallLog(...log.sort((a, b) => a[0] - b[0])));
    assert.is(overlap(intervals(...samples), ordered).overlapping, overlapping, `round ${round}`);
  }
  assert.equal(overlap(intervals(), [stallLog([1, 2])]), { examined: 0, overlapping: 0, fastest_ns: 0 });
});

test("the share of the time that a core was stopped is of the time it was watched", () => {
  const log = stallLog([0, 10_000], [50_000, 60_000]);
  assert.equal(coreStalls("generator", 1, log), {
    role: "generator",
    cpu: 1,
    count: 2,
    total_ns: 20_000,
    max_ns: 10_000,
    threshold_ns: 5000,
    share: 0.02,
  });
  assert.is(coreStalls("generator", 1, { ...stallLog(), observed_ns: 0 }).share, 0);
});

test.run();
