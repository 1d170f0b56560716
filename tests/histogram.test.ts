/** Histograms made into figures: percentiles, mean and deviation, the picture, and the log. */

import { HistogramLogReader, listTags } from "hdr-histogram-js";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { bucketRange, logarithmicBins, PERCENTILES, summarize, valueAt } from "../native/histogram.js";
import { hdrLog, toHdrHistogram } from "../run/hlog.js";
import { seeded } from "./random.js";
import { dataOf, EMPTY, HIGHEST_NS, reference } from "./report_support.js";

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

test("what is longer than the highest bucket is never given too low", () => {
  // As the native histogram has it: all of them in the last bucket, the longest and the sum as they are.
  const data = { ...dataOf([1000, 1000, ...Array(8).fill(HIGHEST_NS)]), max: 3600e9 };
  const [p50, ...others] = summarize(data).percentiles;
  assert.equal([p50!.value_ns, valueAt(data, 10), valueAt(data, 20)], [3600e9, 1000, 1000]);
  assert.ok(others.every(({ value_ns }) => value_ns === 3600e9));
  assert.is(valueAt(data, 50), 3600e9);
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

test.run();
