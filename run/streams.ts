/** What a run found of each stream: its figures alone, and where it went. */

import { type Distribution, summarize } from "../native/histogram.js";
import type { Measurement } from "./measure.js";
import type { Plan } from "./plan.js";
import type { Report } from "./report.js";

export interface StreamReport {
  readonly name: string; // "" when it is the only one, and not from a file
  readonly thread: number; // that sent it
  readonly address: string; // of its first line
  readonly port: number;
  readonly vlan: number; // -1: untagged
  readonly dscp: number;
  readonly seed: string;
  readonly profile: string | null;
  readonly rate_pps: number | null; // asked for, on average; null in the closed loop
  readonly ticks: {
    readonly sent: number;
    readonly answered: number;
    readonly quiet: number;
    readonly withheld: number;
    readonly reordered: number;
  };
  readonly verdicts: Report["verdicts"]; // an unexpected order that answers no tick is of no stream
  readonly latency: { readonly planned: Distribution; readonly actual: Distribution } | null;
}

export function streamReports(plan: Plan, found: Measurement): StreamReport[] {
  return plan.streams.map(({ name, thread, feed }, index) => {
    const { lines, ticks } = plan.generator.streams[index]!;
    const { latencyPlanned, latencyActual, ...counts } = found.generator.streams[index]!;
    const { sent, quiet, withheld, reordered, correct, wrong, missing, duplicate, unexpected, late } = counts;
    const line = lines[0]!;
    return {
      name,
      thread,
      address: line.destinationAddress,
      port: line.destinationPort,
      vlan: line.vlan,
      dscp: line.dscp,
      seed: ticks.seed.toString(),
      profile: feed.profile?.name ?? null,
      rate_pps: plan.generator.mode === "open" ? feed.rate_pps : null,
      ticks: { sent, answered: correct + wrong + late, quiet, withheld, reordered },
      verdicts: { correct, wrong, missing, duplicate, unexpected, late },
      latency: plan.generator.io.receives
        ? { planned: summarize(latencyPlanned, missing), actual: summarize(latencyActual, missing) }
        : null,
    };
  });
}
