/** What the native histograms say: counts in HDR buckets to percentiles, with nothing dropped. */

import type { HistogramData } from "./index.js";

export const PERCENTILES = [50, 90, 95, 99, 99.9, 99.99] as const;
const FEW = 100; // samples above a percentile; with fewer it is marked

export interface Percentile {
  readonly percentile: number;
  /** null: the value lies among the ticks that were never answered. */
  readonly value_ns: number | null;
  readonly samples_above: number;
  readonly few: boolean; // fewer than 100 samples above it
}

export interface Distribution {
  readonly count: number; // with a value
  readonly missing: number; // without one: they count as longer than any
  readonly min_ns: number;
  readonly mean_ns: number;
  readonly stddev_ns: number;
  readonly max_ns: number;
  readonly jitter_ns: number; // max - min
  readonly percentiles: readonly Percentile[];
}

export const HIGHEST_NS = 60e9; // what is longer is in the same bucket
const SUB_BUCKETS = 1024; // half the sub-buckets of an HDR histogram with 3 significant digits

/** The lowest and highest value that fall into a bucket. Source: http://hdrhistogram.org */
export function bucketRange(index: number): readonly [lowest: number, highest: number] {
  const bucket = Math.floor(index / SUB_BUCKETS) - 1;
  if (bucket < 0) return [index, index];
  const lowest = ((index % SUB_BUCKETS) + SUB_BUCKETS) * 2 ** bucket;
  return [lowest, lowest + 2 ** bucket - 1];
}

/**
 * The highest value that is in a bucket, as HdrHistogram gives it, but never more than what was seen. What is
 * longer than a histogram's highest value may be as long as the longest: no percentile is given too low.
 */
function highestOf(index: number, data: HistogramData): number {
  const [, highest] = bucketRange(index);
  return highest >= HIGHEST_NS ? data.max : Math.min(highest, data.max);
}

/**
 * The figures of a distribution.
 * @param missing ticks that had to be answered and were not: they take part in every percentile, at the far end
 */
export function summarize(data: HistogramData, missing = 0): Distribution {
  const mean_ns = data.count === 0 ? 0 : data.sum / data.count;
  const variance = data.count === 0 ? 0 : data.sumOfSquares / data.count - mean_ns * mean_ns;
  return {
    count: data.count,
    missing,
    min_ns: data.min,
    mean_ns,
    stddev_ns: Math.sqrt(Math.max(0, variance)),
    max_ns: data.max,
    jitter_ns: data.max - data.min,
    percentiles: percentilesOf(data, missing),
  };
}

function percentilesOf(data: HistogramData, missing: number): Percentile[] {
  const total = data.count + missing;
  const result: Percentile[] = [];
  let seen = 0;
  let index = 0;
  for (const percentile of PERCENTILES) {
    const rank = Math.max(1, Math.ceil((percentile / 100) * total - 1e-9));
    while (seen < rank && index < data.counts.length) seen += data.counts[index++]!;
    const value_ns = total === 0 || rank > data.count ? null : highestOf(index - 1, data);
    const samples_above = total - rank;
    result.push({ percentile, value_ns, samples_above, few: samples_above < FEW });
  }
  return result;
}

/** The highest value of the bucket of a percentile, up to 100. */
export function valueAt(data: HistogramData, percentile: number): number {
  const rank = Math.max(1, Math.ceil((percentile / 100) * data.count - 1e-9));
  let seen = 0;
  for (const [index, count] of data.counts.entries()) {
    seen += count;
    if (seen >= rank) return highestOf(index, data);
  }
  return data.max;
}

/** The share of samples in each of `rows` ranges of equal width on a logarithmic scale, from p0.1 to p99.9. */
export function logarithmicBins(
  data: HistogramData,
  rows: number,
): { from_ns: number; to_ns: number; count: number }[] {
  if (data.count === 0) return [];
  const low = Math.max(1, valueAt(data, 0.1));
  const high = Math.max(low + 1, valueAt(data, 99.9));
  const factor = (high / low) ** (1 / rows);
  const bins = Array.from({ length: rows }, (_, row) => ({
    from_ns: row === 0 ? data.min : low * factor ** row,
    to_ns: row === rows - 1 ? data.max : low * factor ** (row + 1),
    count: 0,
  }));
  for (const [index, count] of data.counts.entries()) {
    if (count === 0) continue;
    const [lowest, highest] = bucketRange(index);
    const row = Math.floor(Math.log((lowest + highest) / 2 / low) / Math.log(factor));
    bins[Math.min(rows - 1, Math.max(0, row))]!.count += count;
  }
  return bins;
}

/** The samples that came after an earlier state; the smallest and largest are those of their buckets. */
export function subtractHistogram(now: HistogramData, before: HistogramData): HistogramData {
  const counts = now.counts.map((count, index) => count - before.counts[index]!);
  const first = counts.findIndex((count) => count > 0);
  const last = counts.findLastIndex((count) => count > 0);
  return {
    counts,
    count: now.count - before.count,
    min: first < 0 ? 0 : Math.max(now.min, bucketRange(first)[0]),
    max: last < 0 ? 0 : highestOf(last, now),
    sum: now.sum - before.sum,
    sumOfSquares: now.sumOfSquares - before.sumOfSquares,
  };
}

/** All samples of several histograms together. */
export function addHistograms(all: readonly HistogramData[]): HistogramData {
  if (all.length === 1) return all[0]!;
  const counts = new Float64Array(all[0]?.counts.length ?? 0);
  for (const { counts: more } of all) {
    for (let index = 0; index < more.length; index++) counts[index]! += more[index]!;
  }
  const filled = all.filter(({ count }) => count > 0);
  const sum = (pick: (data: HistogramData) => number) => all.reduce((total, data) => total + pick(data), 0);
  return {
    counts,
    count: sum(({ count }) => count),
    min: filled.length === 0 ? 0 : Math.min(...filled.map(({ min }) => min)),
    max: Math.max(0, ...filled.map(({ max }) => max)),
    sum: sum((data) => data.sum),
    sumOfSquares: sum(({ sumOfSquares }) => sumOfSquares),
  };
}
