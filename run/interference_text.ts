/** Slow turns and what they did, for people. */

import { formatNs } from "../config/values.js";
import { CAUSES } from "../native/index.js";
import { type CoreTurns, causesText, type Overlap } from "./interference.js";
import { count, row } from "./lines.js";
import type { Report } from "./report.js";

export function interferenceLines(report: Report): string[] {
  const { cores, slowest, latest, refreshes } = report.interference;
  const lines = cores.flatMap((core, index) =>
    coreLines(core).map((line, at) => row(index + at === 0 ? "interference" : "", line)),
  );
  const told = ({ examined, fastest_ns, by_cause }: Overlap, what: string) => {
    const causes = causesText((cause) => {
      const { overlapping, by_chance } = by_cause[cause];
      return `${count(overlapping)} (${count(Math.round(by_chance))})`;
    });
    lines.push(
      row(
        "",
        `of the ${count(examined)} ${what} (${formatNs(fastest_ns)} and more) so many overlapped slow turns,`,
      ),
      row("", `  in brackets what chance alone would give: ${causes}`),
    );
  };
  if (slowest.examined > 0) told(slowest, "slowest round trips");
  const { late_sends, by_cause, threshold_ns } = report.lateness;
  if (late_sends > 0) {
    const causes = causesText((cause) => count(by_cause[cause]));
    lines.push(
      row("", `${count(late_sends)} sends were more than ${formatNs(threshold_ns)} late: ${causes}`),
    );
  }
  if (latest.examined > 0 && late_sends > latest.examined) told(latest, "latest sends");
  if (refreshes !== null) {
    const { count: times, total_ns, max_ns, overlapping, others } = refreshes;
    const figures = ({ count: n, p50_ns, p99_ns }: typeof others) =>
      `${count(n)} round trips, p50 ${ns(p50_ns)}, p99 ${ns(p99_ns)}`;
    const drawn = `the UI was drawn ${count(times)} times, ${formatNs(total_ns)} in all, at most ${formatNs(max_ns)}`;
    lines.push(row("", drawn), row("", `meanwhile ${figures(overlapping)}; else ${figures(others)}`));
  }
  return lines;
}

/** Slow turns of a thread: how many, whose fault, and what could not be seen. */
function coreLines({
  role,
  cpu,
  count: turns,
  share,
  max_ns,
  threshold_ns,
  by_cause,
  evidence,
}: CoreTurns): string[] {
  const where = cpu < 0 ? "not pinned" : `core ${cpu}`;
  const causes = CAUSES.filter((cause) => by_cause[cause].count > 0).map((cause) => {
    const of = by_cause[cause];
    return `${cause} ${count(of.count)} (${(100 * of.share).toFixed(2)} %, longest ${formatNs(of.max_ns)})`;
  });
  const lacks = [
    ...(evidence.interrupts ? [] : [`interrupts (${evidence.why_no_interrupts})`]),
    ...(evidence.run_delay ? [] : ["run delay"]),
    ...(evidence.cpu_time ? [] : ["CPU time"]),
  ];
  return [
    `${role}, ${where}: ${count(turns)} turns over ${formatNs(threshold_ns)}, ${(100 * share).toFixed(2)} % of the time, longest ${formatNs(max_ns)}`,
    ...(causes.length === 0 ? [] : [`  ${causes.join(", ")}`]),
    ...(lacks.length === 0 ? [] : [`  not seen: ${lacks.join(", ")}`]),
  ];
}

function ns(value: number | null): string {
  return value === null ? "–" : formatNs(value);
}
