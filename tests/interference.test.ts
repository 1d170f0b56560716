/** Slow turns by their cause, what overlaps them, and what would by chance. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import { coreTurns, overlap } from "../run/interference.js";
import { seeded } from "./random.js";
import { intervals, slowTurns } from "./report_support.js";

test("a slow sample overlaps a slow turn of either core", () => {
  const generator = slowTurns([100, 200], [1000, 1100]);
  const responder = slowTurns([150, 900], [5000, 5001]);
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
    const { examined, overlapping, fastest_ns } = found;
    assert.equal([examined, overlapping, fastest_ns], [1, overlaps, sample[1] - sample[0]], `${sample}`);
  }
});

test("a long turn is found behind any number of short ones", () => {
  const shorts = Array.from({ length: 1000 }, (_, index) => [1000 + index * 10, 1001 + index * 10] as const);
  const found = overlap(intervals([10_995, 10_998], [10_985, 10_986]), [
    slowTurns([900, 20_000]),
    slowTurns(...shorts),
  ]);
  assert.equal([found.examined, found.overlapping, found.fastest_ns], [2, 2, 1]);
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
    const turns = [...one, ...two];
    const overlapping = samples.filter(([start, end]) =>
      turns.some(([from, to]) => from <= end && to > start),
    ).length;
    // A log is in order of time.
    const ordered = [one, two].map((log) => slowTurns(...log.sort((a, b) => a[0] - b[0])));
    assert.is(overlap(intervals(...samples), ordered).overlapping, overlapping, `round ${round}`);
  }
  const none = overlap(intervals(), [slowTurns([1, 2])]);
  assert.equal([none.examined, none.overlapping, none.fastest_ns, none.by_chance], [0, 0, 0, 0]);
});

test("overlaps are told by the cause of the turn", () => {
  const logs = [slowTurns([100, 200, "carom"], [300, 400, "link"]), slowTurns([350, 500])];
  const { by_cause, overlapping } = overlap(intervals([150, 160], [190, 390], [360, 370], [600, 700]), logs);
  assert.is(overlapping, 3);
  assert.is(by_cause.carom.overlapping, 2);
  assert.is(by_cause.link.overlapping, 2);
  assert.is(by_cause.machine.overlapping, 2);
  assert.equal(by_cause.unexplained, { overlapping: 0, by_chance: 0 });
});

test("by chance as many overlap as do when samples of their lengths lie everywhere", () => {
  const next = seeded(11);
  const END = 3000;
  for (let round = 0; round < 100; round++) {
    const turns = Array.from({ length: next(12) }, () => {
      const start = next(END - 200);
      return [start, start + 1 + next(next(4) === 0 ? 200 : 20)] as const;
    }).sort((a, b) => a[0] - b[0]);
    const logs = [turns.slice(0, 5), turns.slice(5)].map((log) => ({
      ...slowTurns(...log),
      observed_ns: END,
    }));
    const length = 1 + next(round % 10 === 0 ? END + 500 : 300);
    const sample = intervals([0, length], [10, 10 + length]);
    // Between whole numbers, so that borders do not matter.
    const places = Array.from({ length: Math.max(0, END - length) }, (_, index) => index + 0.5);
    const hits = places.filter((place) => turns.some(([from, to]) => from < place + length && to > place));
    const expected = turns.length === 0 ? 0 : places.length === 0 ? 1 : hits.length / places.length;
    const found = overlap(sample, logs).by_chance / 2;
    assert.ok(Math.abs(found - expected) < 1e-9, `round ${round}: ${found}, not ${expected}`);
  }
});

test("a log that is full counts until its end", () => {
  const log = { ...slowTurns([1000, 2000]), count: 2 };
  assert.is(overlap(intervals([0, 0]), [log]).by_chance, 0.5);
  const open = overlap(intervals([0, 0]), [slowTurns([1000, 2000])]).by_chance;
  assert.ok(Math.abs(open - 0.001) < 1e-12, String(open));
});

test("shares are of the time that a loop was watched", () => {
  const turns = slowTurns([0, 10_000], [50_000, 60_000], [70_000, 75_000, "carom"]);
  const { by_cause, evidence, ...core } = coreTurns("generator", 1, turns);
  assert.equal(core, {
    role: "generator",
    cpu: 1,
    count: 3,
    total_ns: 25_000,
    max_ns: 10_000,
    threshold_ns: 5000,
    share: 0.025,
  });
  assert.equal(by_cause.machine, { count: 2, total_ns: 20_000, max_ns: 10_000, share: 0.02 });
  assert.equal(by_cause.carom, { count: 1, total_ns: 5000, max_ns: 5000, share: 0.005 });
  assert.equal(by_cause.link, { count: 0, total_ns: 0, max_ns: 0, share: 0 });
  assert.ok(evidence.interrupts);
  assert.is(coreTurns("generator", 1, { ...slowTurns(), observed_ns: 0 }).share, 0);
});

test.run();
