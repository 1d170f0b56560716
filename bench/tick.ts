/** One tick through parse, strategy and order bytes, with real frames from memory. */

import { CaromError } from "../native/error.js";
import { compile, execute, FILTER_LIBRARIES, FILTER_SOURCES, LOOP_SOURCES } from "./program.js";
import { atMost, type SuiteResult } from "./spread.js";

export async function tickPath(say: (line: string) => void): Promise<SuiteResult> {
  const { status, stdout, stderr } = await execute([
    compile("tick_path", [...LOOP_SOURCES, ...FILTER_SOURCES], FILTER_LIBRARIES),
  ]);
  if (status !== 0) throw new CaromError("internal", "run the micro-benchmark", stderr.trim());
  const found = JSON.parse(stdout) as { median_ns: number; min_ns: number; max_ns: number; ticks: number };
  say(`  ${found.median_ns} ns a tick (${found.min_ns}–${found.max_ns}) over ${found.ticks} ticks`);
  return { suite: "tick", figures: found, goals: [atMost("ns a tick", found.median_ns, 40)] };
}
