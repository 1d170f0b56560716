/** Whose fault a delay is said to be, held against those who made it (bench/attribution.cpp). */

import { readdirSync } from "node:fs";
import { CaromError } from "../native/error.js";
import { CAUSES, type Cause } from "../native/index.js";
import { compile, execute, FILTER_LIBRARIES, FILTER_SOURCES, LOOP_SOURCES, ROOT } from "./program.js";
import { atLeast, atMost, type Goal, type SuiteResult } from "./spread.js";

const DELAYS = 1000; // of each kind
const KINDS = ["carom", "link", "machine"] as const;

type Names = Readonly<Record<Cause | "unseen" | "stopped" | "baseless", number>>;

interface Found extends Readonly<Record<(typeof KINDS)[number], Names>> {
  readonly idle: Readonly<Record<Cause | "seconds", number>>;
  readonly interrupts: string;
}

const SOURCES = [
  ...LOOP_SOURCES,
  ...FILTER_SOURCES,
  ...readdirSync(`${ROOT}native/capture`)
    .filter((name) => name.endsWith(".cpp"))
    .map((name) => `capture/${name}`),
  "loop/run_capture.cpp",
  "generate/arrival.cpp",
  "generate/feed.cpp",
  "generate/ledger.cpp",
  "generate/ledger_judge.cpp",
  "generate/replay.cpp",
  "io/interruptions.cpp",
  "io/socket.cpp",
];

export async function attribution(say: (line: string) => void): Promise<SuiteResult> {
  const program = compile("attribution", SOURCES, [...FILTER_LIBRARIES, "-lbpf", "-lz", "-lzstd"]);
  const { status, stdout, stderr } = await execute(["taskset", "-c", "1", program, String(DELAYS)]);
  if (status !== 0) throw new CaromError("internal", "run the bench of attribution", stderr.trim());
  const found = JSON.parse(stdout) as Found;
  say(`  interrupts: ${found.interrupts}`);
  for (const kind of KINDS) {
    const names = found[kind];
    const shown = CAUSES.map((cause) => `${cause} ${names[cause]}`).join(", ");
    say(
      `  ${DELAYS} delays of ${kind}: called ${shown}; stopped by the machine for longer than they lasted ${names.stopped}, not seen ${names.unseen}`,
    );
  }
  const { seconds, ...idle } = found.idle;
  const turns = CAUSES.reduce((sum, cause) => sum + idle[cause], 0);
  say(`  idle for ${seconds} s, slow turns: ${CAUSES.map((cause) => `${cause} ${idle[cause]}`).join(", ")}`);
  const goals: Goal[] = [
    // On a busy machine some delays are stopped for longer than they last: those are nobody's but the machine's.
    ...KINDS.map((kind) =>
      atLeast(`${kind}: right, share of ${DELAYS}`, found[kind][kind] / (DELAYS - found[kind].stopped), 0.95),
    ),
    atMost("carom's, called machine without evidence", found.carom.baseless, 0),
    atMost("idle turns called carom", idle.carom, 0),
    atLeast(
      "idle turns called machine or unexplained, share",
      (idle.machine + idle.unexplained) / Math.max(1, turns),
      0.9,
    ),
  ];
  return { suite: "attribution", figures: { found }, goals };
}
