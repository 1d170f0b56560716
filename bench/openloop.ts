/** A minute of 200,000 ticks a second: nothing lost, on time, and no memory taken on the way. */

import { readFileSync } from "node:fs";
import { formatNs } from "../config/values.js";
import { causesText } from "../run/interference.js";
import type { Report } from "../run/report.js";
import { carom, execute } from "./program.js";
import { atMost, type SuiteResult } from "./spread.js";

const SAMPLE_MS = 1000;
const SETTLED_S = 5; // after this, memory must not grow

export async function openLoop(
  rate: string,
  seconds: number,
  say: (line: string) => void,
): Promise<SuiteResult> {
  const memory_kib: number[] = [];
  let timer: NodeJS.Timeout | undefined;
  const command = carom("run", "--rate", rate, "--duration", `${seconds}s`, "--json");
  const { stdout, stderr } = await execute(command, (pid) => {
    timer = setInterval(() => {
      const resident = residentKib(pid);
      if (resident !== undefined) memory_kib.push(resident);
    }, SAMPLE_MS);
  });
  clearInterval(timer);
  if (stdout === "") throw new Error(stderr);
  const report = JSON.parse(stdout) as Report;
  const { lateness, ticks, verdicts } = report;
  const value = (percentile: number) =>
    lateness.percentiles.find((p) => p.percentile === percentile)?.value_ns ?? 0;
  const settled = memory_kib[Math.min(SETTLED_S, memory_kib.length - 1)] ?? 0;
  const grown_kib = (memory_kib.at(-2) ?? settled) - settled;
  const lost = verdicts.missing + ticks.unsent;
  const share = (part: number) => `${((100 * part) / Math.max(1, ticks.sent)).toFixed(3)} %`;
  say(
    `  sent ${ticks.sent}, correct ${verdicts.correct}, lost ${lost}, wrong ${verdicts.wrong}, late ${verdicts.late}`,
  );
  say(
    `  send lateness p50 ${formatNs(value(50))}, p90 ${formatNs(value(90))}, p99 ${formatNs(value(99))}, max ${formatNs(lateness.max_ns)}`,
  );
  const causes = causesText((cause) => `${lateness.by_cause[cause]} (${share(lateness.by_cause[cause])})`);
  say(
    `  later than ${formatNs(lateness.threshold_ns)}: ${lateness.late_sends} (${share(lateness.late_sends)}): ${causes}`,
  );
  for (const core of report.interference.cores) {
    say(
      `  ${core.role}'s core ${core.cpu}: ${core.count} slow turns, ${(100 * core.share).toFixed(2)} % of the time, longest ${formatNs(core.max_ns)}`,
    );
  }
  say(`  resident memory after ${SETTLED_S} s ${settled} KiB, at the end ${settled + grown_kib} KiB`);
  const goals = [
    atMost("ticks lost", lost, 0),
    atMost("p50 send lateness, ns", value(50), 500),
    atMost("p90 send lateness, ns", value(90), 3000),
    atMost(
      "late sends of carom's own, share of all",
      lateness.by_cause.carom / Math.max(1, ticks.sent),
      0.001,
    ),
    atMost("growth of resident memory, KiB", grown_kib, 1024),
  ];
  return { suite: "openloop", figures: { report, memory_kib }, goals };
}

function residentKib(pid: number): number | undefined {
  try {
    return Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
  } catch {
    return undefined; // it has just ended
  }
}
