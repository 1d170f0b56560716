/** What the list of runs says of each: enough to know it again. */

import type { Outcome } from "../run/command.js";
import { type Description, describePlan } from "../run/text.js";

export interface Summary extends Description {
  readonly elapsed_s: number;
  readonly sent: number;
  readonly p50_ns: number | null; // of the round trip from the actual send; null: nothing was answered
  readonly p99_ns: number | null;
  readonly faults: number; // 0: all as expected
}

/** When a run started, as a clock on the wall shows it: 2026-03-01 14:05:09. */
export function localTime(iso: string): string {
  const date = new Date(iso);
  const two = (value: number) => String(value).padStart(2, "0");
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
  return `${day} ${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(":")}`;
}

export function summaryOf({ report, plan }: Outcome): Summary {
  const actual = report.latency?.actual;
  const percentile = (wanted: number) =>
    actual?.percentiles.find(({ percentile: p }) => p === wanted)?.value_ns ?? null;
  return {
    ...describePlan(plan),
    elapsed_s: report.elapsed_s,
    sent: report.ticks.sent,
    p50_ns: percentile(50),
    p99_ns: percentile(99),
    faults: report.faults.length,
  };
}
