/** Where the round trip goes: parts that add up, from clocks that are named. */

import { test } from "uvu";
import * as assert from "uvu/assert";
import { type Breakdown, breakdownOf } from "../run/breakdown.js";
import { backendsOf, backendTest, carom, reportOf } from "./cli_support.js";
import { dataOf } from "./report_support.js";

type Sides = Parameters<typeof breakdownOf>;

/** Logs from rows of tick, begin, handed and returned. */
function sides(sends: number[][], passages: number[][][], answers: number[][]): [Sides[0], Sides[1]] {
  const log = (rows: number[][]) => BigUint64Array.from(rows.flat().map(BigInt));
  const generator = { sends: log(sends), answers: log(answers) } as unknown as Sides[0];
  const responder = { passages: passages.map(log), processing: dataOf([70, 80]) } as unknown as Sides[1];
  return [generator, responder];
}

const means = ({ parts }: Breakdown) => parts.map(({ name, mean_ns }) => [name, mean_ns]);

test("each tick is split where it passed from one side to the other", () => {
  const sends = [
    [1, 90, 100, 150],
    [2, 190, 200, 260],
    [3, 290, 300, 360], // never answered
  ];
  const first = [[1, 400, 440, 500]];
  const second = [
    [2, 600, 620, 700],
    [9, 650, 660, 700], // of the warm-up: the generator does not know it
  ];
  const answers = [
    [2, 615, 1000, 1000],
    [1, 430, 800, 800],
    [9, 650, 900, 900],
  ];
  const found = breakdownOf(...sides(sends, [first, second], answers), 4, false);
  assert.is(found.one_in, 4);
  assert.is(found.round_trip.samples, 2);
  assert.is(found.round_trip.mean_ns, 750);
  assert.equal(means(found), [
    ["out", 350],
    ["responder", 30],
    ["back", 370],
  ]);
  assert.equal(
    found.parts.map(({ p50_ns, p99_ns }) => [p50_ns, p99_ns]),
    [
      [300, 400],
      [20, 40],
      [360, 380],
    ],
  );
  assert.equal(
    found.within.map(({ name, mean_ns }) => [name, mean_ns]),
    [
      ["generator's send", 55],
      ["responder's send", 70],
    ],
  );
});

test("what was decided in the kernel is split by the order's timestamp", () => {
  // A tick that was handed up has left a passage; the others must be followed all the same.
  const handedUp = [[2, 700, 710, 720]];
  const sends = [
    [1, 90, 100, 150],
    [2, 590, 600, 650],
  ];
  const answers = [
    [1, 400, 1000, 1000],
    [2, 900, 1500, 1500],
  ];
  const found = breakdownOf(...sides(sends, [handedUp], answers), 1, true);
  assert.equal(means(found), [
    ["out", 300],
    ["responder, back", 600],
  ]);
  assert.match(found.parts[0]!.provenance, /kernel clock in the order/);
  assert.equal(found.within[1]!.name, "responder's program");
  assert.is(found.within[1]!.samples, 2);
  assert.is(found.within[1]!.mean_ns, 75);
});

test("without an answer there is nothing to split, and nothing breaks", () => {
  const found = breakdownOf(...sides([[1, 90, 100, 150]], [[]], []), 1, false);
  assert.is(found.round_trip.samples, 0);
  assert.is(found.round_trip.p50_ns, null);
});

for (const backend of backendsOf("responder")) {
  backendTest(`${backend}: the parts of real ticks add up to their round trip`, [backend], async () => {
    const near = backend === "xdp" ? "af_xdp" : backend;
    const args = ["--backend", near, "--responder-backend", backend, "--count", "3000", "--breakdown"];
    const report = reportOf(await carom("run", ...args, "--json"));
    const { breakdown, ticks } = report;
    assert.ok(breakdown !== null);
    const { parts, round_trip, within, one_in } = breakdown;
    assert.is(one_in, 1, "every tick of a short run");
    assert.is(round_trip.samples, ticks.answered);
    const sum = parts.reduce((total, { mean_ns }) => total + mean_ns, 0);
    assert.ok(Math.abs(sum - round_trip.mean_ns) < 1, `${sum} ns of ${round_trip.mean_ns} ns`);
    // The same as the report's own, but for the buckets of its histogram.
    const mean_ns = report.latency!.actual.mean_ns;
    assert.ok(Math.abs(round_trip.mean_ns - mean_ns) <= 1, `${round_trip.mean_ns} and ${mean_ns}`);
    // Clocks tied together: no part of a median tick takes less than nothing, or more than the whole.
    for (const { name, p50_ns, samples } of parts) {
      assert.is(samples, ticks.answered, name);
      assert.ok(p50_ns! > 0 && p50_ns! < round_trip.mean_ns + round_trip.p99_ns!, `${name}: ${p50_ns} ns`);
    }
    assert.is(within.length, 2);
    assert.ok(within[0]!.p50_ns! > 0);
    if (backend !== "xdp") assert.is(within[1]!.samples, ticks.answered);
  });
}

test("a breakdown is of the lab's own responder", async () => {
  const { status, stderr } = await carom("run", "--breakdown", "--no-responder");
  assert.is(status, 2);
  assert.match(stderr, /--breakdown: only the lab's own responder tells when a tick came to it/);
});

test.run();
