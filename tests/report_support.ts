/** What a run measured, made by hand: histograms, intervals and slow turns as the native core hands them over. */

import { build } from "hdr-histogram-js";
import {
  CAUSES,
  type Cause,
  type HistogramData,
  type Intervals,
  type SlowTurns,
  type TurnFigures,
} from "../native/index.js";

export const HIGHEST_NS = 60e9;

/** The histogram of hdr-histogram-js that carom's are to agree with, with what its types leave out. */
export function reference() {
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

/** One without values, that knows where the buckets are. */
export const EMPTY = reference();

/** A histogram of values. */
export function dataOf(values: readonly number[]): HistogramData {
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

export const intervals = (...pairs: readonly (readonly [start: number, end: number])[]): Intervals => ({
  starts_ns: Float64Array.from(pairs, ([start]) => start),
  ends_ns: Float64Array.from(pairs, ([, end]) => end),
});

type Turn = readonly [start: number, end: number, cause?: Cause]; // of the machine, as a rule

/** In a run of 1 ms from 0 on. */
export const slowTurns = (...turns: readonly Turn[]): SlowTurns => {
  const of = (wanted: Cause) => turns.filter(([, , cause = "machine"]) => cause === wanted);
  const [machine, link, carom, unexplained] = CAUSES.map((cause) => figures(of(cause)));
  return {
    ...intervals(...turns.map(([start, end]) => [start, end] as const)),
    ...figures(turns),
    causes: Uint8Array.from(turns, ([, , cause = "machine"]) => CAUSES.indexOf(cause)),
    by_cause: { machine: machine!, link: link!, carom: carom!, unexplained: unexplained! },
    first_ns: 0,
    observed_ns: 1e6,
    threshold_ns: 5000,
    evidence: { cpu_time: true, run_delay: true, interrupts: true, why_no_interrupts: "" },
  };
};

const figures = (turns: readonly Turn[]): TurnFigures => ({
  count: turns.length,
  total_ns: turns.reduce((sum, [start, end]) => sum + end - start, 0),
  max_ns: Math.max(0, ...turns.map(([start, end]) => end - start)),
});
