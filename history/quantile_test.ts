/**
 * Whether a percentile of one run is above that of another: Mood's test (1950), which compares how much of each
 * sample lies above a quantile of both together, for any quantile, with the variance from batch means and Welch's t.
 *
 * Round trips that follow one another are not independent: one stall or one full queue is many slow ones in a row,
 * so a test that counts single round trips takes noise for a difference. Here a run counts as 8 sections, each far
 * longer than what happens in it; how much their shares differ tells how well the run's is known. Shares, other than
 * quantiles, stay well behaved where a distribution has two humps. docs/compare.md tells more.
 */

import jstat from "jstat";
import type { Bin } from "../run/histograms.js";

/** A run in sections. */
export interface Sections {
  readonly edges: readonly (readonly [from_ns: number, to_ns: number])[]; // growing; values, both included
  /** Of each section, how many values are in each bin or below it. */
  readonly cumulated: readonly Float64Array[];
  readonly sizes: readonly number[]; // of each, those with a value and those without
  readonly whole: Float64Array; // as cumulated, of all sections
  readonly size: number;
}

export interface Difference {
  readonly percentile: number;
  readonly first_ns: number;
  readonly second_ns: number;
  readonly ratio: number; // of the second to the first, less one: 0.05 is 5 % slower
  /** In which it lies with the confidence 1 - level, taken alone; null: the runs do not say. */
  readonly from: number | null;
  readonly to: number | null;
  /** How likely it is to see so much if the second were slower by no more than the threshold. */
  readonly p: number;
  readonly worse: boolean; // Holm's step-down over all percentiles
}

export interface Test {
  readonly threshold: number; // 0.05: what is up to 5 % slower is not worse
  readonly level: number; // how often at most something is to be called worse that is not
}

export const SECTIONS = 8;

const HALVINGS = 30; // of an interval of logarithms: far finer than a bin
const FARTHEST = Math.log(1000); // no interval of confidence is looked for beyond a factor of this

/**
 * @param parts of the run, in their order; at least as many as there are sections
 * @param missing ticks that were not answered, which are slower than any: taken as spread evenly
 */
export function sectionsOf(parts: readonly (readonly Bin[])[], missing: number): Sections {
  const bins = new Map(parts.flat().map(({ from_ns, to_ns }) => [from_ns, to_ns]));
  const edges = [...bins].sort(([a], [b]) => a - b);
  const places = new Map(edges.map(([from_ns], place) => [from_ns, place]));
  const cumulated = Array.from({ length: SECTIONS }, () => new Float64Array(edges.length));
  for (const [number, part] of parts.entries()) {
    const counts = cumulated[Math.floor((number * SECTIONS) / parts.length)]!;
    for (const { from_ns, count } of part) counts[places.get(from_ns)!]! += count;
  }
  for (const counts of cumulated) {
    for (let place = 1; place < counts.length; place++) counts[place]! += counts[place - 1]!;
  }
  const sizes = cumulated.map((counts) => (counts.at(-1) ?? 0) + missing / SECTIONS);
  const whole = new Float64Array(edges.length).map((_, place) =>
    sum(cumulated.map((counts) => counts[place]!)),
  );
  return { edges, cumulated, sizes, whole, size: sum(sizes) };
}

/** The test alone. @param percentiles that are a value in both runs */
export function testSections(
  first: Sections,
  second: Sections,
  percentiles: readonly number[],
  { threshold, level }: Test,
): Pick<Difference, "percentile" | "p" | "worse">[] {
  const values = percentiles.map((percentile) => slower(first, second, percentile, 1 + threshold));
  const worse = holm(values, level);
  return percentiles.map((percentile, index) => ({ percentile, p: values[index]!, worse: worse[index]! }));
}

/** The same, with how much they differ, and how well that is known. */
export function compareSections(
  first: Sections,
  second: Sections,
  percentiles: readonly number[],
  test: Test,
): Difference[] {
  return testSections(first, second, percentiles, test).map((tested) => {
    const { percentile } = tested;
    const [first_ns, second_ns] = [quantile(first, percentile), quantile(second, percentile)];
    const ratio = second_ns / first_ns;
    const bounds = confidence(first, second, percentile, Math.log(ratio), test.level);
    return { ...tested, first_ns, second_ns, ratio: ratio - 1, ...bounds };
  });
}

/** Holm 1979: which hypotheses are rejected so that a false alarm among them all is below the level. */
export function holm(values: readonly number[], level: number): boolean[] {
  const order = values.map((p, index) => [p, index] as const).sort(([a], [b]) => a - b);
  const rejected = values.map(() => false);
  for (const [rank, [p, index]] of order.entries()) {
    if (p > level / (values.length - rank)) break;
    rejected[index] = true;
  }
  return rejected;
}

/** Within a bin values are taken to lie evenly. */
function quantile(sections: Sections, percentile: number): number {
  return Math.exp(root((log) => share(sections, Math.exp(log)) - percentile / 100, 0, maxLog(sections)));
}

/** How likely it is to see the second so much slower if it were slower by just the factor. */
function slower(first: Sections, second: Sections, percentile: number, factor: number): number {
  const highest = Math.max(maxLog(first), maxLog(second) - Math.log(factor));
  // The percentile of both together, when the second is made faster by the factor.
  const both = (log: number) => share(first, Math.exp(log)) + share(second, factor * Math.exp(log));
  const pooled_ns = Math.exp(root((log) => both(log) / 2 - percentile / 100, 0, highest));
  const [one, other] = [spread(first, pooled_ns), spread(second, factor * pooled_ns)];
  const variance = one.variance + other.variance;
  const distance = one.share - other.share;
  if (variance === 0) return distance > 0 ? 0 : 1;
  // Welch 1947: how many degrees of freedom there are when the variances are not the same.
  const freedom = ((SECTIONS - 1) * variance ** 2) / (one.variance ** 2 + other.variance ** 2);
  return 1 - jstat.studentt.cdf(distance / Math.sqrt(variance), freedom);
}

/** The factors that the test does not exclude from either side. */
function confidence(first: Sections, second: Sections, percentile: number, found: number, level: number) {
  const p = (log: number) => slower(first, second, percentile, Math.exp(log));
  const low = root((log) => p(log) - level / 2, found - FARTHEST, found);
  const high = root((log) => p(log) - (1 - level / 2), found, found + FARTHEST);
  const isFar = (log: number) => Math.abs(log - found) > 0.99 * FARTHEST;
  return { from: isFar(low) ? null : Math.expm1(low), to: isFar(high) ? null : Math.expm1(high) };
}

/** The part of a run at or below a value, and the variance of that, by its sections. */
function spread({ edges, cumulated, sizes, size }: Sections, value_ns: number) {
  const at = placeOf(edges, value_ns);
  const below = cumulated.map((counts) => countAt(counts, at));
  const part = sum(below) / size;
  let squares = 0;
  for (const [index, count] of below.entries()) squares += (count - part * sizes[index]!) ** 2;
  const mean = size / SECTIONS;
  return { share: part, variance: squares / mean ** 2 / (SECTIONS * (SECTIONS - 1)) };
}

function share({ edges, whole, size }: Sections, value_ns: number): number {
  return countAt(whole, placeOf(edges, value_ns)) / size;
}

type Place = readonly [place: number, part: number];

/** The last bin that begins at or below a value, and the part of it that does. */
function placeOf(edges: Sections["edges"], value_ns: number): Place {
  let [low, high] = [0, edges.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (edges[middle]![0] <= value_ns) low = middle + 1;
    else high = middle;
  }
  if (low === 0) return [-1, 0];
  const [from_ns, to_ns] = edges[low - 1]!;
  return [low - 1, Math.min(1, (value_ns - from_ns) / (to_ns + 1 - from_ns))];
}

function countAt(counts: Float64Array, [place, part]: Place): number {
  if (place < 0) return 0;
  const before = place === 0 ? 0 : counts[place - 1]!;
  return before + part * (counts[place]! - before);
}

function maxLog({ edges }: Sections): number {
  return Math.log((edges.at(-1)?.[1] ?? 0) + 1);
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Where a growing function becomes positive. */
function root(grows: (at: number) => number, low: number, high: number): number {
  let [from, to] = [low, high];
  for (let halving = 0; halving < HALVINGS; halving++) {
    const middle = (from + to) / 2;
    if (grows(middle) < 0) from = middle;
    else to = middle;
  }
  return to;
}
