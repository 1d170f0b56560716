/** The certificate for people: what sender and receiver saw, side by side, and what to make of it. */

import pc from "picocolors";
import { formatNs } from "../config/values.js";
import { CAUSES } from "../native/index.js";
import { type Certificate, type PacingView, type ReceiverView, toleranceText } from "./certificate.js";
import { overRunText, scheduleClockText } from "./clock.js";
import { causesText } from "./interference.js";
import { count, rateText, row } from "./lines.js";
import type { Report } from "./report.js";

/** @param unit what is counted: ticks, or the frames of a replay */
export function certificateLines(report: Certified, unit: string): string[] {
  const { certificate } = report;
  if (certificate === null) return [];
  return [
    ...viewLines(certificate, unit),
    ...scheduleLines(report),
    ...causeLines(certificate),
    ...toleranceLines(certificate),
    "",
  ];
}

/** What of a report tells how the schedule was held. */
type Certified = Pick<Report, "certificate" | "clock" | "schedule_clock">;

/** What the schedule went by, and how far the clocks may be believed. */
function scheduleLines({ clock, schedule_clock }: Certified): string[] {
  return [
    ...(schedule_clock === null ? [] : [row("schedule", scheduleClockText(schedule_clock))]),
    row("clocks", overRunText(clock.over_run)),
  ];
}

function viewLines(
  { requested_pps, sender, receiver, receiver_reason }: Certificate,
  unit: string,
): string[] {
  const views: PacingView[] = receiver === null ? [sender] : [sender, receiver];
  const line = (name: string, pick: (view: PacingView) => string) =>
    `  ${name.padEnd(16)}${views.map((view) => pick(view).padStart(14)).join("")}`;
  const gap = (index: number) => (view: PacingView) => {
    const { value_ns, few } = view.gap_error.percentiles[index]!;
    return value_ns === null ? "–" : `${formatNs(value_ns)}${few ? "*" : ""}`;
  };
  const rate = (value: number) => (value > 0 ? rateText(value) : "–");
  const rawDrift = (view: PacingView | ReceiverView) =>
    "raw_drift_ns" in view && view.raw_drift_ns !== null ? formatNs(view.raw_drift_ns) : "–";
  return [
    pc.dim(
      `  ${"certificate".padEnd(16)}${["sender", "receiver"]
        .slice(0, views.length)
        .map((name) => name.padStart(14))
        .join("")}`,
    ),
    line(unit, ({ ticks }) => count(ticks)),
    line(`${unit}/s`, ({ rate_pps }) => rate(rate_pps)) + pc.dim(`  of ${rate(requested_pps)}`),
    ...sender.gap_error.percentiles.map(({ percentile }, index) =>
      line(`gap error p${percentile}`, gap(index)),
    ),
    line("gap error max", ({ gap_error }) => (gap_error.count === 0 ? "–" : formatNs(gap_error.max_ns))),
    line("drift", ({ drift_ns }) => (drift_ns === null ? "–" : formatNs(drift_ns))),
    ...(receiver === null ? [] : [line("raw drift", rawDrift)]),
    row(receiver === null ? "no receiver" : "receiver", receiver_reason),
  ];
}

const POLICIES = {
  "catch-up": "sent as soon as possible, the schedule stayed",
  skip: "left out when seen in time",
  slip: "the schedule moved",
} as const;

function causeLines({ late, refused, doorbells, launch_time, pacing }: Certificate): string[] {
  const lines: string[] = [];
  const parts = [
    `${count(late.sends)} sent`,
    ...(late.policy === "skip" ? [`${count(late.skipped)} skipped`] : []),
    ...(late.policy === "slip" ? [`${count(late.slips)} slips of ${formatNs(late.slipped_ns)} in all`] : []),
  ];
  lines.push(
    row(
      "late",
      `by more than ${formatNs(late.threshold_ns)}: ${parts.join(", ")} (${late.policy}: ${POLICIES[late.policy]})`,
    ),
  );
  if (CAUSES.some((cause) => late[cause] > 0)) {
    lines.push(row("", `where the time before went: ${causesText((cause) => count(late[cause]))}`));
  }
  const asked = [
    [refused.ring_full, "no room in the ring"],
    [refused.again, "not taken, tried again"],
    [refused.invalid, "refused for good"],
    [refused.launch_missed, "too late to be launched"],
    [refused.driver, "not taken by the driver"],
    [refused.dropped, "dropped by the interface"],
    [refused.errors, "errors of the interface"],
  ] as const;
  const told = asked.filter(([number]) => number > 0).map(([number, what]) => `${what} ${count(number)}`);
  lines.push(row("refused", told.length === 0 ? "no frame" : told.join(", ")));
  const single = doorbells.count === doorbells.frames && doorbells.count > 0;
  const share = (doorbells.frames / Math.max(1, doorbells.count)).toFixed(2);
  const rung = single
    ? "one a frame"
    : doorbells.count === 0
      ? "none"
      : `${count(doorbells.count)} for ${count(doorbells.frames)} frames, ${share} each: what is due goes as one batch`;
  lines.push(row("doorbells", rung));
  lines.push(row("pacing", `${pacing}; launch time: ${launch_time}`));
  return lines;
}

function toleranceLines({ tolerances }: Certificate): string[] {
  return tolerances.map((limit, index) => {
    const value = limit.value_ns === null ? "no gap" : formatNs(limit.value_ns);
    const mark = limit.met ? pc.green("✓") : pc.red("✗ not met");
    return row(
      index === 0 ? "tolerance" : "",
      `${toleranceText(limit)}: ${value} by the ${limit.by} ${mark}`,
    );
  });
}
