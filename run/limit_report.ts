/** What `carom limit` found: one object, the same for people and as JSON (docs/limit.md). */

import type { CaromError } from "../native/error.js";
import type { Distribution } from "../native/histogram.js";
import type { LimitTrial } from "./limit_trial.js";
import type { Report } from "./report.js";

export const LOADS = [0.1, 0.5, 0.9, 1] as const; // of the limit

/** What keeps a limit from being higher. */
export type LimitedBy =
  | "device" // above it ticks were lost or answered wrongly
  | "sender" // above it the generator did not hold the rate
  | "offered" // the highest rate tried passed
  | "nothing passed"
  | "unknown"; // stopped before it was found

export interface Throughput {
  readonly pps: number;
  readonly confirmed: boolean;
  readonly failed_pps: number | null; // the lowest rate above it that failed
  readonly limited_by: LimitedBy;
  readonly trials: readonly LimitTrial[];
}

/** The median of what several trials gave, with the least and the most; null when it lies among lost ticks. */
export interface Spread {
  readonly median_ns: number | null;
  readonly min_ns: number | null;
  readonly max_ns: number | null;
}

export interface LoadLatency {
  readonly load: number; // part of the limit
  readonly rate_pps: number;
  readonly loss: number; // the most of all trials
  readonly held: boolean; // whether the sender held the rate in every trial
  readonly planned: LatencyFigures;
  readonly actual: LatencyFigures;
  readonly trials: readonly LimitTrial[];
}

export type LatencyFigures = Readonly<Record<"p50" | "p99" | "p99_9" | "max", Spread>>;

export interface LimitResult {
  readonly generator: string;
  readonly responder: string | null; // null: another device answered
  readonly frame_bytes: number; // with the FCS
  readonly offered_pps: number; // the first rate tried
  /** The median of the searches: a rate that passed in one of them. */
  readonly pps: number;
  readonly mbit_l1: number; // preamble, start and gap included
  readonly spread: { readonly min_pps: number; readonly max_pps: number };
  readonly confirmed: boolean;
  readonly limited_by: LimitedBy;
  readonly searches: readonly Throughput[];
  readonly latency: readonly LoadLatency[];
  readonly failed_trials: number;
  readonly failed_in_stall: number; // of those, with a core stopped for long enough to be the cause
  readonly interference_share: number; // of the time, of the trial and core that were stopped most
  readonly clock: Pick<Report["clock"], "provenance" | "reason"> | null;
  readonly error: CaromError | null; // what ended it early
}

export interface LimitReport {
  readonly schema: "carom.limit";
  readonly version: 1;
  readonly started: string; // ISO 8601
  readonly elapsed_s: number;
  readonly interrupted: boolean;
  readonly settings: {
    readonly trial_s: number;
    readonly final_s: number;
    readonly pause_s: number;
    readonly warmup_s: number;
    readonly timeout_s: number;
    readonly loss: number;
    readonly resolution: number;
    readonly min_pps: number;
    readonly trials: number;
    readonly at_least_pps: number | null;
    readonly seed: string;
    readonly place: string; // the interface, or "lab"
  };
  readonly environment: Report["environment"];
  readonly results: readonly LimitResult[];
  readonly notes: readonly string[]; // what makes all figures doubtful
  readonly faults: readonly string[]; // why the exit status is not 0
}

/** "af_xdp → xdp"; with the size of the frames where there are several. */
export function nameOf(
  { generator, responder, frame_bytes }: Pick<LimitResult, "generator" | "responder" | "frame_bytes">,
  all: readonly Pick<LimitResult, "frame_bytes">[] = [],
): string {
  const pair = responder === null ? generator : `${generator} → ${responder}`;
  return all.some((other) => other.frame_bytes !== frame_bytes) ? `${pair}, ${frame_bytes} B` : pair;
}

export const rateAt = (limit_pps: number, load: number) => Math.max(1, Math.round(limit_pps * load));

/** The search with the median rate; of an even number the lower one in the middle, so that it was measured. */
export function middle(searches: readonly Throughput[]): Throughput {
  const sorted = [...searches].sort((a, b) => a.pps - b.pps);
  const none = { pps: 0, confirmed: false, failed_pps: null, limited_by: "unknown", trials: [] } as const;
  return sorted[Math.floor((sorted.length - 1) / 2)] ?? none;
}

export function loadLatency(load: number, limit_pps: number, trials: readonly LimitTrial[]): LoadLatency {
  const figures = (pick: (trial: LimitTrial) => Distribution): LatencyFigures => {
    const at = (percentile: number) => spread(trials.map((trial) => percentileOf(pick(trial), percentile)));
    const max = spread(trials.map((trial) => (pick(trial).missing > 0 ? null : pick(trial).max_ns)));
    return { p50: at(50), p99: at(99), p99_9: at(99.9), max };
  };
  return {
    load,
    rate_pps: rateAt(limit_pps, load),
    loss: Math.max(...trials.map(({ loss }) => loss)),
    held: trials.every(({ verdict }) => verdict !== "sender"),
    planned: figures(({ latency }) => latency.planned),
    actual: figures(({ latency }) => latency.actual),
    trials,
  };
}

function percentileOf({ percentiles }: Distribution, wanted: number): number | null {
  return percentiles.find(({ percentile }) => percentile === wanted)?.value_ns ?? null;
}

/** One that lies among lost ticks is longer than any. */
function spread(values: readonly (number | null)[]): Spread {
  const sorted = values.map((value) => value ?? Infinity).sort((a, b) => a - b);
  const shown = (value: number | undefined) => (value === undefined || value === Infinity ? null : value);
  const half = (sorted.length - 1) / 2;
  const median = (sorted[Math.floor(half)]! + sorted[Math.ceil(half)]!) / 2;
  return { median_ns: shown(median), min_ns: shown(sorted[0]), max_ns: shown(sorted.at(-1)) };
}

export function faultsOf(report: Omit<LimitReport, "faults">, setups: number): string[] {
  const { results, settings, interrupted } = report;
  const faults: string[] = [];
  if (interrupted) faults.push(`stopped early: ${results.length} of ${setups} combinations were begun`);
  for (const result of results) {
    const { pps, limited_by, confirmed, error } = result;
    const name = nameOf(result, results);
    if (error !== null) faults.push(`${name}: ${error.message}`);
    else if (limited_by === "nothing passed")
      faults.push(`${name}: no rate passed, down to ${settings.min_pps} ticks a second`);
    const wanted = settings.at_least_pps;
    if (wanted !== null && error === null && (pps < wanted || !confirmed)) {
      const found = `${Math.round(pps).toLocaleString("en-US")} ticks a second${confirmed ? "" : ", not confirmed"}`;
      faults.push(`${name}: ${found} is not the ${wanted.toLocaleString("en-US")} that were asked for`);
    }
  }
  return faults;
}
