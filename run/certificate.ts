/** How well an open loop held its schedule: as the sender saw it and, in the lab, as the receiving end did. */

import { optionGroup } from "../config/option.js";
import { choice, formatNs, type Tolerance, tolerances } from "../config/values.js";
import type { GeneratorFindings } from "../generator/merge.js";
import { type Distribution, summarize, valueAt } from "../native/histogram.js";
import type {
  ArrivalFindings,
  Counters,
  HistogramData,
  LatePolicy,
  ReplayFindings,
} from "../native/index.js";
import { requestedRate } from "./changes.js";
import type { Measurement } from "./measure.js";
import type { Plan } from "./plan.js";
import { sentRate } from "./rate.js";

const when = optionGroup("When");

export const certificateOptions = {
  tolerance: when(
    tolerances(),
    "open loop: limits of the gaps' errors, at percentiles, such as 2us@p99,1ms@max; exit status 1 beyond",
    "limits",
  ),
  arrivals: when(
    choice("auto", "on", "off"),
    "open loop in the lab: the far end stamps each tick's arrival (auto: with generate and --tolerance)",
    "how",
  ),
} as const;

/** Of the errors of all gaps: each is what lies between two ticks (the sender: frames), less what was planned to. */
export type GapError = Pick<Distribution, "count" | "min_ns" | "mean_ns" | "max_ns" | "percentiles">;

export interface PacingView {
  readonly ticks: number;
  readonly rate_pps: number; // between the first and the last
  readonly gap_error: GapError;
  /** Median error of the last 1,000 ticks, less that of the first (of halves, where there are fewer). */
  readonly drift_ns: number | null;
}

export interface ReceiverView extends PacingView {
  /** By its own stamps, against the planned times by the schedule's clock: nothing is taken off. */
  readonly raw_drift_ns: number | null;
  /** How far the kernel's clock, which stamps, ran ahead of the TSC meanwhile: taken off the drift. */
  readonly clock_drift_ns: number;
}

export interface ToleranceResult extends Tolerance {
  readonly by: "sender" | "receiver";
  readonly value_ns: number | null; // null: there was no gap
  readonly met: boolean;
}

export interface Certificate {
  readonly requested_pps: number; // of a profile: on average; of a rate that was changed: over the whole
  readonly planned: number; // measured ticks: sent, skipped, or not sent
  readonly sender: PacingView & { readonly schedule_error: Distribution };
  readonly receiver: ReceiverView | null;
  readonly receiver_reason: string; // what stamped, or why nothing did
  readonly late: {
    readonly policy: LatePolicy;
    readonly threshold_ns: number;
    readonly sends: number; // sent, later than the threshold
    readonly skipped: number;
    readonly slips: number;
    readonly slipped_ns: number;
    /** All of these by their cause. */
    readonly machine: number;
    readonly link: number;
    readonly carom: number;
    readonly unexplained: number;
  };
  readonly pauses: {
    readonly count: number;
    readonly paused_ns: number;
    readonly clock_back: number;
    readonly clock_steps: number; // of the schedule's clock, which was set
    readonly clock_stepped_ns: number;
  };
  readonly refused: {
    readonly ring_full: number; // frames for which there was no room, each time that it was asked for
    readonly again: number; // frames that the kernel did not take, each time that it was tried
    readonly invalid: number; // frames that it refused for good
    readonly launch_missed: number; // frames that the qdisc threw away, as their launch time was over
    readonly driver: number; // xdp_live: frames that the driver did not take
    readonly dropped: number; // by the interface
    readonly errors: number;
  };
  readonly doorbells: { readonly count: number; readonly frames: number };
  readonly pacing: string;
  readonly launch_time: string;
  readonly tolerances: readonly ToleranceResult[];
}

/** Null where there is no schedule: in a closed loop, or as fast as it goes. */
export function certificateOf(plan: Plan, found: Measurement): Certificate | null {
  if (plan.generator.mode !== "open" || plan.certificate === null) return null;
  const { generator, arrivals } = found;
  const n = (name: string) => generator.counters[name] ?? 0;
  const atReceiver = arrivals === null ? null : gapsOf(arrivals);
  const near = found.interfaces.generator;
  return {
    requested_pps:
      generator.replay === null
        ? requestedRate(plan.feed.rate_pps, found)
        : plannedRate(generator.replay, n("sent"), n("skipped")),
    planned: n("sent") + n("skipped") + n("unsent"),
    sender: {
      ticks: n("sent"),
      rate_pps: sentRate(generator.counters),
      gap_error: gapError(generator.gapErrors),
      drift_ns: drift(generator.firstErrors, generator.lastErrors, 0),
      schedule_error: summarize(generator.lateness),
    },
    receiver:
      arrivals === null
        ? null
        : receiverView(arrivals, n("moved_ns"), correctedNs(plan, generator, arrivals)),
    receiver_reason: plan.certificate.receiver.reason,
    late: {
      policy: plan.generator.late,
      threshold_ns: plan.generator.lateThresholdNs,
      sends: n("late_sends"),
      skipped: n("skipped"),
      slips: n("slips"),
      slipped_ns: n("slipped_ns"),
      machine: n("late_machine"),
      link: n("late_link"),
      carom: n("late_carom"),
      unexplained: n("late_unexplained"),
    },
    pauses: {
      count: n("pauses"),
      paused_ns: n("paused_ns"),
      clock_back: n("clock_back"),
      clock_steps: n("clock_steps"),
      clock_stepped_ns: n("clock_stepped_ns"),
    },
    refused: {
      ring_full: n("tx_full"),
      again: n("tx_refused"),
      invalid: n("tx_invalid"),
      launch_missed: n("launch_missed"),
      driver: n("xdp_tx_errors"),
      dropped: near?.tx_dropped ?? 0,
      errors: near?.tx_errors ?? 0,
    },
    doorbells: { count: n("doorbells"), frames: generator.lateness.count },
    pacing: plan.certificate.pacing,
    launch_time: plan.certificate.launchTime,
    tolerances: plan.certificate.tolerances.map((limit) =>
      judge(limit, atReceiver ?? generator.gapErrors, atReceiver === null ? "sender" : "receiver"),
    ),
  };
}

/** By how much the schedule was made later on the TSC, so that it stays true to its clock. */
function correctedNs(plan: Plan, { schedule }: GeneratorFindings, { clockDrift }: ArrivalFindings): number {
  // The program in the kernel goes by the very clock that stamps the arrivals.
  return plan.generator.io.backend === "xdp_live" ? -clockDrift : schedule.correctedNs;
}

/** Of a replay: as its captures, and what was asked for, give it; of ticks, where it is they that are counted. */
function plannedRate(replay: ReplayFindings, sent: number, skipped: number): number {
  const { files, frames, span_ns, sent_span_ns, complete } = replay;
  const taken = files.reduce((sum, file) => sum + file.taken, 0);
  const [planned, over_ns] = complete || skipped > 0 ? [taken, span_ns] : [frames, sent_span_ns];
  if (planned < 2 || over_ns === 0) return 0;
  return ((planned - 1) / (over_ns / 1e9)) * (sent / Math.max(1, frames));
}

/** Why the schedule was not held as it had to be. */
export function certificateFaults({ tolerances: limits, pauses }: Certificate): string[] {
  const faults = limits
    .filter(({ met }) => !met)
    .map((limit) =>
      limit.value_ns === null
        ? `no gap was seen by the ${limit.by}, so ${toleranceText(limit)} is not met`
        : `the gap error as seen by the ${limit.by} is ${formatNs(limit.value_ns)}, over ${toleranceText(limit)}`,
    );
  if (limits.length > 0 && pauses.count + pauses.clock_back + pauses.clock_steps > 0)
    faults.push("the schedule had to be moved, so no tolerance is met");
  return faults;
}

/** Why frames did not leave when the NIC was to launch them, or why that is not sure. */
export function launchFaults({ generator: { launchLeadNs } }: Plan, counters: Counters): string[] {
  const { launch_missed = 0, launch_clock_off_ns = 0 } = counters;
  const faults: string[] = [];
  if (launchLeadNs > 0 && launch_missed > 0)
    faults.push(`${launch_missed} frames were not sent: their launch time was over when the qdisc had them`);
  if (launchLeadNs > 0 && launch_clock_off_ns > launchLeadNs / 4)
    faults.push(
      `the NIC's clock, which launches, was ${formatNs(launch_clock_off_ns)} off CLOCK_TAI at the end, more than a quarter of the lead: frames may have left late`,
    );
  return faults;
}

/** What happened to the schedule that no figure shows. */
export function certificateNotes({ pauses }: Certificate): string[] {
  const times = (number: number) => (number === 1 ? "" : `, ${number} times in all`);
  const notes: string[] = [];
  if (pauses.count > 0)
    notes.push(
      `the process did not run for ${formatNs(pauses.paused_ns)}${times(pauses.count)}: the schedule was moved, nothing was caught up`,
    );
  if (pauses.clock_back > 0)
    notes.push(`the clock went backwards${times(pauses.clock_back)}: the schedule was moved with it`);
  if (pauses.clock_steps > 0)
    notes.push(
      `the schedule's clock was set, by ${formatNs(pauses.clock_stepped_ns)}${times(pauses.clock_steps)}: the schedule was moved along, nothing was caught up`,
    );
  return notes;
}

/** "2 µs at p99" */
export function toleranceText({ percentile, limit_ns }: Tolerance): string {
  return `${formatNs(limit_ns)} at ${percentile === 100 ? "max" : `p${percentile}`}`;
}

function judge(limit: Tolerance, gaps: HistogramData, by: "sender" | "receiver"): ToleranceResult {
  const value_ns = gaps.count === 0 ? null : valueAt(gaps, limit.percentile);
  return { ...limit, by, value_ns, met: value_ns !== null && value_ns <= limit.limit_ns };
}

function gapError(data: HistogramData): GapError {
  const { count, min_ns, mean_ns, max_ns, percentiles } = summarize(data);
  return { count, min_ns, mean_ns, max_ns, percentiles };
}

function gapsOf(found: ArrivalFindings): HistogramData {
  return {
    counts: found.gapCounts,
    count: Math.max(0, found.ticks - 1),
    min: found.gapMin,
    max: found.gapMax,
    sum: found.gapSum,
    sumOfSquares: 0, // the program in the kernel does not keep it: no deviation is told
  };
}

/**
 * What an XDP program at the receiving end saw.
 * @param moved_ns how long the schedule stood still meanwhile: a rate is without that
 * @param corrected_ns by how much it was made later on the TSC, after a clock that is not the TSC
 */
export function receiverView(found: ArrivalFindings, moved_ns: number, corrected_ns: number): ReceiverView {
  return {
    ticks: found.ticks,
    rate_pps: Math.max(0, found.ticks - 1) / Math.max(1e-9, (found.elapsed - moved_ns) / 1e9),
    gap_error: gapError(gapsOf(found)),
    drift_ns: drift(found.firstErrors, found.lastErrors, found.clockDrift + corrected_ns),
    raw_drift_ns: drift(found.firstErrors, found.lastErrors, 0),
    clock_drift_ns: found.clockDrift,
  };
}

function drift(first: Float64Array, last: Float64Array, clock_ns: number): number | null {
  return first.length === 0 ? null : median(last) - median(first) - clock_ns;
}

function median(values: Float64Array): number {
  const sorted = values.toSorted();
  return (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
}
