/** Two runs side by side: what differs, by how much, and whether the second is significantly worse. */

import jstat from "jstat";
import { CaromError } from "../native/error.js";
import type { Contender } from "./contender.js";
import { CURVES_MAX } from "./curve.js";
import { compareSections, type Difference, SECTIONS, sectionsOf, type Test } from "./quantile_test.js";

/** A percentile of both runs; null: it lies among the ticks that were never answered. */
export interface Row {
  readonly percentile: number;
  readonly values_ns: readonly [first: number | null, second: number | null];
}

export interface Compared {
  readonly schema: "carom.compare";
  readonly version: 1;
  readonly of: "planned" | "actual";
  readonly test: Test & { readonly method: string };
  readonly rows: readonly Row[]; // for people: those of a report, and those that were asked for
  readonly differences: readonly Difference[]; // of what was tested
  readonly untested: readonly { readonly percentile: number; readonly reason: string }[];
  readonly notes: readonly string[]; // what differs but for the figures
  readonly worse: readonly string[]; // why the exit status is 1
}

const METHOD = "Mood's test at each percentile, batch means of 8 sections, Welch's t, Holm's step-down";
export const FAR = 9; // ten times as much and more: a factor says it better than a percentage
const SHOWN = [50, 90, 95, 99, 99.9, 99.99];
export const RUNS_MAX = CURVES_MAX;
const ABOVE_MIN = 100; // samples above a percentile; with fewer nothing is said of it

/**
 * @param percentiles that are tested
 * @throws CaromError (usage) when the two can't be compared
 */
export function compareRuns(
  first: Contender,
  second: Contender,
  percentiles: readonly number[],
  test: Test,
): Compared {
  if (first.of !== second.of) {
    const detail = `${first.name} is ${loopOf(first)}, ${second.name} is ${loopOf(second)}`;
    throw new CaromError("usage", "compare two runs", detail, "give two of a kind");
  }
  const runs = [first, second];
  const short = runs.find(({ parts }) => parts.length < SECTIONS);
  if (short !== undefined) {
    const detail = `it was over too soon: it has ${short.parts.length} parts of the ${SECTIONS} that it takes`;
    throw new CaromError("usage", `compare ${short.name}`, detail, "run it to its end");
  }
  const untested = percentiles.flatMap((percentile) => {
    const reason = runs.map((run) => whyUntested(run, percentile)).find((text) => text !== undefined);
    return reason === undefined ? [] : [{ percentile, reason }];
  });
  const tested = percentiles.filter((one) => !untested.some(({ percentile }) => percentile === one));
  const [one, other] = runs.map(({ parts, verdicts }) => sectionsOf(parts, verdicts.missing));
  const differences = compareSections(one!, other!, tested, test);
  const rows = [...new Set([...SHOWN, ...percentiles])].sort((a, b) => a - b);
  return {
    schema: "carom.compare",
    version: 1,
    of: first.of,
    test: { ...test, method: METHOD },
    rows: rows.map((percentile) => ({
      percentile,
      values_ns: [valueAt(first, percentile), valueAt(second, percentile)],
    })),
    differences,
    untested,
    notes: notesOf(first, second),
    worse: worseOf(first, second, differences, percentiles, test),
  };
}

/**
 * Several runs with the first of them. The level is shared out, so that it holds for all comparisons together.
 * @throws CaromError (usage) when two of them can't be compared
 */
export function compareAll(
  runs: readonly Contender[],
  percentiles: readonly number[],
  { threshold, level }: Test,
): Compared[] {
  const [first, ...others] = runs;
  if (runs.length < 2 || runs.length > RUNS_MAX) {
    const detail = runs.length < 2 ? "two of them are needed" : `${RUNS_MAX} are compared at the most`;
    throw new CaromError(
      "usage",
      `compare ${runs.length} runs`,
      detail,
      "give the first, and those to compare with it",
    );
  }
  const each = { threshold, level: level / others.length };
  return others.map((other) => compareRuns(first!, other, percentiles, each));
}

function loopOf({ of }: Contender): string {
  return of === "planned" ? "an open loop" : "a closed one";
}

function total({ whole, verdicts }: Contender): number {
  return whole.reduce((sum, { count }) => sum + count, verdicts.missing);
}

/** As a report gives it: the highest value of the bin. */
export function valueAt(run: Contender, percentile: number): number | null {
  const rank = Math.max(1, Math.ceil((percentile / 100) * total(run) - 1e-9));
  let seen = 0;
  for (const { to_ns, count } of run.whole) {
    seen += count;
    if (seen >= rank) return to_ns;
  }
  return null;
}

function whyUntested(run: Contender, percentile: number): string | undefined {
  const above = Math.floor(total(run) * (1 - percentile / 100) + 1e-9);
  if (above < ABOVE_MIN) return `fewer than ${ABOVE_MIN} samples of ${run.name} lie above it`;
  if (valueAt(run, percentile) === null)
    return `in ${run.name} it lies among the ticks that were never answered`;
  return undefined;
}

const FAULTS = ["wrong", "missing", "duplicate", "unexpected", "late"] as const;

function worseOf(
  first: Contender,
  second: Contender,
  differences: readonly Difference[],
  percentiles: readonly number[],
  { threshold, level }: Test,
): string[] {
  const percent = `${Number((100 * threshold).toPrecision(6))} %`;
  const slower = differences
    .filter(({ worse }) => worse)
    .map(
      ({ percentile, ratio }) =>
        `p${percentile} is ${ratio < FAR ? `${(100 * ratio).toFixed(1)} % higher` : `${times(ratio)} times as high`}, which is more than ${percent}`,
    );
  const lost = percentiles
    .filter((percentile) => valueAt(first, percentile) !== null && valueAt(second, percentile) === null)
    .map((percentile) => `p${percentile} lies among the ticks that were never answered`);
  return [...slower, ...lost, ...FAULTS.flatMap((kind) => moreFaults(first, second, kind, level))];
}

const FAULTS_FACTOR = 2;

/**
 * A kind of fault that is new; or more than twice as frequent, and more than chance makes of rare and independent
 * ones (the square roots of two Poisson counts: Anscombe, Biometrika 35, 1948). Faults come in heaps, which is why
 * being more than by chance is not enough.
 */
function moreFaults(
  first: Contender,
  second: Contender,
  kind: (typeof FAULTS)[number],
  level: number,
): string[] {
  const [before, after] = [first.verdicts[kind], second.verdicts[kind]];
  const counted = `${after.toLocaleString("en-US")} ${kind}`;
  if (before === 0) return after > 0 ? [`${counted}, and none before`] : [];
  const ratio = total(second) / total(first); // as many more are there by the length of the run alone
  const times = after / (before * ratio);
  if (times <= FAULTS_FACTOR || isByChance(before * ratio, after, ratio, level)) return [];
  return [`${counted}, ${times.toFixed(1)} times as many of all ticks as before`];
}

function isByChance(expected: number, found: number, ratio: number, level: number): boolean {
  const root = (count: number) => 2 * Math.sqrt(count + 3 / 8);
  const distance = (root(found) - root(expected)) / Math.sqrt(1 + ratio);
  return 1 - jstat.normal.cdf(distance, 0, 1) > level;
}

/** "1,234", of a ratio less one. */
export function times(ratio: number): string {
  return Math.round(1 + ratio).toLocaleString("en-US");
}

/** What else is not the same: a difference may come from there. */
function notesOf(first: Contender, second: Contender): string[] {
  const notes: string[] = [];
  const differ = (name: string, one: string | number | undefined, other: string | number | undefined) => {
    if (one !== other) notes.push(`${name}: ${one ?? "–"}, then ${other ?? "–"}`);
  };
  for (const name of new Set([...Object.keys(first.environment), ...Object.keys(second.environment)])) {
    differ(name, first.environment[name], second.environment[name]);
  }
  differ("backends", first.backends, second.backends);
  differ("mode", first.mode, second.mode);
  differ("clock", first.clock, second.clock);
  return notes;
}
