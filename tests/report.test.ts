/** What a run found, made into figures: percentiles, log, interference, balances and text. */

import { build, HistogramLogReader, listTags } from "hdr-histogram-js";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bucketRange, logarithmicBins, PERCENTILES, summarize } from "../native/histogram.js";
import type { GeneratorResult, HistogramData, Intervals, StallLog } from "../native/index.js";
import { hdrLog, toHdrHistogram } from "../run/hlog.js";
import { coreStalls, overlap } from "../run/interference.js";
import type { Measurement } from "../run/measure.js";
import type { Plan } from "../run/plan.js";
import { makeReport, reportAsJson } from "../run/report.js";
import type { InterfaceCounters } from "../run/statistics.js";
import { reportLines } from "../run/text.js";
import { encodeOrder, encodeTick } from "../wire/codec.js";
import { seeded } from "./random.js";

const HIGHEST_NS = 60e9;

/** The histogram of hdr-histogram-js that carom's are to agree with, with what its types leave out. */
function reference() {
  const histogram = build({
    lowestDiscernibleValue: 1,
    highestTrackableValue: HIGHEST_NS,
    numberOfSignificantValueDigits: 3,
    bitBucketSize: 64,
    useWebAssembly: false,
  });
  return histogram as typeof histogram & {
    readonly countsArrayLength: number;
    countsArrayIndex(value: number): number;
    lowestEquivalentValue(value: number): number;
    highestEquivalentValue(value: number): number;
    valueFromIndex(index: number): number;
    getCountAtIndex(index: number): number;
  };
}

const EMPTY = reference();

/** Values as the native core hands them over. */
function dataOf(values: readonly number[]): HistogramData {
  const counts = new Float64Array(EMPTY.countsArrayLength);
  for (const value of values) counts[EMPTY.countsArrayIndex(value)]! += 1;
  return {
    counts,
    count: values.length,
    min: values.length === 0 ? 0 : Math.min(...values),
    max: values.length === 0 ? 0 : Math.max(...values),
    sum: values.reduce((sum, value) => sum + value, 0),
    sumOfSquares: values.reduce((sum, value) => sum + value * value, 0),
  };
}

/** Round trips as they are: many close together, and a tail over six decades. */
function roundTrips(next: (below: number) => number, count: number): number[] {
  return Array.from({ length: count }, () => {
    const tail = next(100) === 0 ? 10 ** next(7) : 1;
    return 1 + Math.floor((2000 + next(500)) * tail * (1 + next(1000) / 1e4));
  }).map((value) => Math.min(value, HIGHEST_NS));
}

test("every bucket is one of hdr-histogram-js", () => {
  for (let index = 0; index < EMPTY.countsArrayLength; index++) {
    const [lowest, highest] = bucketRange(index);
    const value = EMPTY.valueFromIndex(index);
    if (lowest !== value || highest !== EMPTY.highestEquivalentValue(value)) {
      assert.equal([lowest, highest], [value, EMPTY.highestEquivalentValue(value)], `bucket ${index}`);
    }
    // A bucket is no wider than a thousandth of what is in it.
    assert.ok(highest - lowest <= lowest / 1000, `bucket ${index}`);
  }
});

test("percentiles are those of hdr-histogram-js, cut at the greatest value seen", () => {
  const next = seeded(4);
  for (const count of [1, 2, 3, 10, 99, 100, 101, 1000, 9999, 54_321]) {
    const values = roundTrips(next, count);
    const expected = reference();
    for (const value of values) expected.recordValue(value);
    const found = summarize(dataOf(values));
    assert.is(found.count, count);
    assert.is(found.missing, 0);
    for (const { percentile, value_ns } of found.percentiles) {
      const wanted = Math.min(expected.getValueAtPercentile(percentile), Math.max(...values));
      assert.is(value_ns, wanted, `p${percentile} of ${count}`);
    }
  }
});

test("what was never answered counts as longer than everything that was", () => {
  const next = seeded(5);
  for (const [count, missing] of [
    [1000, 1],
    [1000, 10],
    [1000, 1000],
    [900, 100],
    [1, 99_999],
    [0, 5],
  ] as const) {
    const values = roundTrips(next, count).map((value) => Math.min(value, 1e9));
    const expected = reference();
    for (const value of values) expected.recordValue(value);
    expected.recordValueWithCount(HIGHEST_NS, missing);
    const found = summarize(dataOf(values), missing);
    assert.is(found.missing, missing);
    for (const { percentile, value_ns } of found.percentiles) {
      const wanted = expected.getValueAtPercentile(percentile);
      const isMissing = wanted >= EMPTY.lowestEquivalentValue(HIGHEST_NS);
      assert.is(value_ns, isMissing ? null : Math.min(wanted, Math.max(...values)), `p${percentile}`);
    }
    assert.is(found.max_ns, count === 0 ? 0 : Math.max(...values), "of those that were answered");
  }
  const half = summarize(dataOf([1, 2, 3, 4, 5]), 5).percentiles;
  assert.is(half[0]!.value_ns, 5, "p50 is the last that was answered");
  assert.is(half[1]!.value_ns, null, "p90 is not");
});

test("a percentile says how many samples lie above it, and is marked when they are fewer than 100", () => {
  const above = (count: number, missing = 0) =>
    summarize(dataOf(Array.from({ length: count }, (_, index) => index + 1)), missing).percentiles.map(
      ({ samples_above, few }) => [samples_above, few] as const,
    );
  assert.equal(above(1000), [
    [500, false],
    [100, false],
    [50, true],
    [10, true],
    [1, true],
    [0, true],
  ]);
  assert.equal(above(10_000)[3], [100, false], "exactly 100 are enough");
  assert.equal(above(9999)[3], [99, true]);
  assert.equal(above(9000, 1000)[3], [100, false], "what is missing lies above, too");
  assert.equal(
    summarize(dataOf([])).percentiles.map(({ value_ns }) => value_ns),
    PERCENTILES.map(() => null),
  );
});

test("mean, deviation and jitter are those of the values themselves, not of their buckets", () => {
  const values = [1001, 2002, 4004, 123_456_789];
  const found = summarize(dataOf(values));
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length;
  assert.is(found.min_ns, 1001);
  assert.is(found.max_ns, 123_456_789);
  assert.is(found.jitter_ns, 123_455_788);
  assert.ok(Math.abs(found.mean_ns / mean - 1) < 1e-12);
  assert.ok(Math.abs(found.stddev_ns / Math.sqrt(variance) - 1) < 1e-9);
  assert.is(summarize(dataOf([7, 7, 7])).stddev_ns, 0, "never the root of a negative number");
});

test("the picture has every sample in exactly one row, in order", () => {
  const next = seeded(6);
  for (const count of [1, 2, 5, 1000, 20_000]) {
    const values = roundTrips(next, count);
    const bins = logarithmicBins(dataOf(values), 14);
    assert.is(bins.length, 14);
    assert.is(
      bins.reduce((sum, bin) => sum + bin.count, 0),
      count,
    );
    assert.is(bins[0]!.from_ns, Math.min(...values));
    assert.is(bins[13]!.to_ns, Math.max(...values));
    // The first and the last row reach as far as the values do; between them each begins where the last ended.
    for (let row = 2; row < 13; row++) {
      assert.ok(bins[row]!.from_ns < bins[row]!.to_ns, `row ${row}`);
      assert.ok(Math.abs(bins[row]!.from_ns / bins[row - 1]!.to_ns - 1) < 1e-9, `row ${row}`);
    }
    for (let row = 1; row < 13; row++) {
      const { from_ns, to_ns, count: shown } = bins[row]!;
      // By the middles of buckets: half a bucket at each edge may be on the other side.
      const inside = (slack: number) =>
        values.filter((value) => value >= from_ns * (1 - slack) && value < to_ns * (1 + slack)).length;
      assert.ok(shown <= inside(0.002) && shown >= inside(-0.002), `row ${row}: ${shown}`);
    }
  }
  assert.equal(logarithmicBins(dataOf([]), 14), []);
});

test("a log is read back by hdr-histogram-js with the same counts, tags and times", () => {
  const next = seeded(7);
  const entries = ["latency_planned", "latency_actual", "send_lateness"].map((tag, index) => ({
    tag,
    data: dataOf(roundTrips(next, 10 ** (index + 2))),
  }));
  const start_ms = Date.UTC(2025, 0, 2, 3, 4, 5, 678);
  const text = hdrLog(entries, start_ms, 2500);
  assert.match(text, /^#\[Histogram log format version 1\.3\]\n/);
  assert.match(text, /^#\[StartTime: 1735787045\.678 /m);
  assert.equal(listTags(text).sort(), entries.map(({ tag }) => tag).sort());
  const reader = new HistogramLogReader(text, 64);
  for (const { tag, data } of entries) {
    const histogram = reader.nextIntervalHistogram() as ReturnType<typeof reference> | null;
    assert.ok(histogram !== null, tag);
    assert.is(histogram!.tag, tag);
    assert.is(histogram!.totalCount, data.count);
    assert.is(histogram!.startTimeStampMsec, start_ms);
    assert.is(histogram!.endTimeStampMsec, start_ms + 2500);
    for (const [index, count] of data.counts.entries()) {
      const [lowest] = bucketRange(index);
      const at = histogram!.countsArrayIndex(lowest);
      const read = at < histogram!.countsArrayLength ? histogram!.getCountAtIndex(at) : 0;
      if (read !== count) assert.is(read, count, `${tag}, ${lowest} ns`);
    }
  }
  assert.is(reader.nextIntervalHistogram(), null, "and nothing more");
});

test("the same histogram, rebuilt, has the same percentiles", () => {
  const values = roundTrips(seeded(8), 5000);
  const rebuilt = toHdrHistogram(dataOf(values));
  const expected = reference();
  for (const value of values) expected.recordValue(value);
  for (const percentile of PERCENTILES) {
    assert.is(rebuilt.getValueAtPercentile(percentile), expected.getValueAtPercentile(percentile));
  }
});

const intervals = (...pairs: readonly (readonly [start: number, end: number])[]): Intervals => ({
  starts_ns: Float64Array.from(pairs, ([start]) => start),
  ends_ns: Float64Array.from(pairs, ([, end]) => end),
});

const stallLog = (...pairs: readonly (readonly [start: number, end: number])[]): StallLog => ({
  ...intervals(...pairs),
  count: pairs.length,
  total_ns: pairs.reduce((sum, [start, end]) => sum + end - start, 0),
  max_ns: Math.max(0, ...pairs.map(([start, end]) => end - start)),
  observed_ns: 1e6,
  threshold_ns: 5000,
});

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

/** A measurement of 4 ticks: two right, one missing, one that was not to be answered; changed as a test needs it. */
function measured(
  counters: Record<string, number> = {},
  examples: GeneratorResult["examples"] = [],
  interfaceCounters: Partial<InterfaceCounters> = {},
) {
  const link = { namespace: "", interfaceName: "gen0", mac: "", address4: "", address6: "", mtu: 1500 };
  const io = { backend: "udp", link, cpu: 1, receives: true };
  const plan = {
    generator: {
      io,
      mode: "closed",
      window: 1,
      warmupNs: 0,
      lateThresholdNs: 3000,
      seed: 1n,
      rateMilliHz: 1000,
    },
    responder: null,
    lab: null,
    timestamps: { provenance: "tsc", reason: "as asked for" },
    release: () => {},
  } as unknown as Plan;
  const clean = { rx_errors: 0, rx_dropped: 0, tx_errors: 0, tx_dropped: 0 };
  const frames = { rx_packets: 2, tx_packets: 4, ...clean, ...interfaceCounters };
  const found: Measurement = {
    started: new Date(0),
    elapsed_s: 2,
    interrupted: false,
    generator: {
      counters: { sent: 4, correct: 2, missing: 1, quiet: 1, received: 2, measured_ns: 1e9, ...counters },
      latencyPlanned: dataOf([3000, 4000]),
      latencyActual: dataOf([2000, 3000]),
      lateness: dataOf([10, 20, 30, 40]),
      warmup: dataOf([]),
      stalls: stallLog(),
      slowest: intervals(),
      latest: intervals(),
      examples,
      sends: new BigUint64Array(),
      answers: new BigUint64Array(),
      notes: [],
    },
    responder: null,
    interfaces: { generator: frames, responder: null },
    problems: [],
  };
  const report = makeReport("run", plan, found);
  return { report, text: reportLines(report, plan, found).join("\n"), json: reportAsJson(report) };
}

test("the balances hold when every tick and order is counted once, and only then", () => {
  const { report, text } = measured();
  for (const { holds, equation } of report.balances) assert.ok(holds, equation);
  assert.equal(report.faults, ["1 missing"]);
  assert.match(text, "sent 4 = answered 2 + missing 1 + not to be answered 1");
  assert.match(text, "not as expected: 1 missing");
  const lost = measured({ missing: 0 });
  assert.equal(
    lost.report.balances.filter(({ holds }) => !holds).map(({ name }) => name),
    ["ticks"],
  );
  assert.match(lost.report.faults.join(), /the balance of ticks does not hold \(sent 4 = answered 2 \+/);
  assert.match(lost.text, "does not hold");
  const order = measured({ received: 3 });
  assert.match(order.report.faults.join(), /the balance of orders does not hold/);
  const frames = measured({ sent: 5, quiet: 2 });
  assert.match(
    frames.report.faults.join(),
    /gen0 sent/,
    "the interface sent fewer frames than there were ticks",
  );
});

test("every verdict but correct is a fault, and each is told", () => {
  for (const verdict of ["wrong", "late", "duplicate", "unexpected"]) {
    const more = verdict === "wrong" || verdict === "late" ? { missing: 0 } : { missing: 1 };
    const { report, text } = measured({ [verdict]: 1, received: 3, ...more });
    assert.ok(report.faults.includes(`1 ${verdict}`), `${verdict}: ${report.faults}`);
    assert.match(text, `not as expected: `);
  }
  assert.equal(
    measured({ correct: 3, missing: 0, received: 3, frames_in: 3 }).report.faults.length,
    1,
    "one frame is not there",
  );
  assert.ok(measured({ unsent: 2 }).report.faults.includes("2 not sent"));
  assert.ok(measured({ warmup_faults: 2 }).report.faults.includes("2 at fault in the warm-up"));
});

test("two orders in one frame are no fault", () => {
  assert.equal(measured({}, [], { rx_packets: 1 }).report.faults, ["1 missing"]);
});

test("the JSON has no number that JSON can't carry", () => {
  const tick = { symbol: "AAPL", price: 9999, quantity: 100, timestamp: 2n ** 63n + 1n };
  const { json } = measured({}, [
    { verdict: "missing", tick: encodeTick(tick), expected: null, received: null },
  ]);
  const { examples, plan } = json as { examples: { tick: object }[]; plan: { generator: { seed: string } } };
  assert.equal(examples[0]!.tick, { ...tick, timestamp: "9223372036854775809" });
  assert.is(plan.generator.seed, "1");
  assert.equal(JSON.parse(JSON.stringify(json)), json);
});

test("no byte of a packet reaches the terminal as a control character", () => {
  const tick = { symbol: "AAPL", price: 9999, quantity: 100, timestamp: 1n };
  const order = { ...tick, side: 0, clOrdId: "0000000000000001" };
  const hostile = [
    "\x1b[2J\x07\x08\r\n",
    "\x9b31mRED",
    "\0\x01\x02\x7f\x80\x85\xa0\xad",
    "A\t\v\f\x1bZ\x90X",
  ];
  const examples = hostile.flatMap((text) => {
    const bytes = encodeOrder(order);
    bytes.write(text.padEnd(8, "\x1b").slice(0, 8), 0, "latin1");
    bytes.write(text.padEnd(16, "\x9b").slice(0, 16), 25, "latin1");
    const expected = encodeOrder(order);
    return [
      { verdict: "wrong" as const, tick: encodeTick(tick), expected, received: bytes },
      { verdict: "unexpected" as const, tick: null, expected: null, received: bytes },
    ];
  });
  for (const example of examples) {
    const { text, report } = measured({ wrong: 1, missing: 0, received: 3 }, [example]);
    assert.is(report.examples.length, 1);
    assert.match(text, "what went wrong");
    for (const line of text.split("\n")) {
      const bad = [...line].find(
        (letter) => letter < " " || (letter >= "\x7f" && letter <= "\xa0") || letter === "\xad",
      );
      assert.is(bad, undefined, `${JSON.stringify(line)} has no control character`);
    }
  }
});

test("an order of the right symbol and one that only looks like it are told apart", () => {
  const tick = { symbol: "AAPL", price: 9999, quantity: 100, timestamp: 1n };
  const order = { ...tick, side: 0, clOrdId: "0000000000000001" };
  const bytes = encodeOrder(order);
  bytes.write("AAPL\n\n\n\n", 0, "latin1");
  const { report } = measured({}, [
    { verdict: "wrong", tick: encodeTick(tick), expected: encodeOrder(order), received: bytes },
  ]);
  const [{ expected, received }] = report.examples as [(typeof report.examples)[0]];
  assert.is.not(received?.symbol, expected?.symbol);
});

test.run();
