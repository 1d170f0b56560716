/** One tick through parse, strategy and order bytes, with real frames from memory. */

import { CaromError } from "../native/error.js";
import { compile, execute, FILTER_LIBRARIES, FILTER_SOURCES } from "./program.js";
import { atMost, type SuiteResult } from "./spread.js";

const SOURCES = [
  "core/clock.cpp",
  "core/stall.cpp",
  "core/thread.cpp",
  ...FILTER_SOURCES,
  "loop/respond.cpp",
  "loop/role.cpp",
];

export async function tickPath(say: (line: string) => void): Promise<SuiteResult> {
  const { status, stdout, stderr } = await execute([compile("tick_path", SOURCES, FILTER_LIBRARIES)]);
  if (status !== 0) throw new CaromError("internal", "run the micro-benchmark", stderr.trim());
  const found = JSON.parse(stdout) as { median_ns: number; min_ns: number; max_ns: number; ticks: number };
  say(`  ${found.median_ns} ns a tick (${found.min_ns}–${found.max_ns}) over ${found.ticks} ticks`);
  return { suite: "tick", figures: found, goals: [atMost("ns a tick", found.median_ns, 40)] };
}
