/** What the UI costs a run: the same closed loop without it, and under it at 1, 2, 5 and 10 refreshes a second. */

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { formatTable } from "../cli/table.js";
import { CaromError } from "../native/error.js";
import { carom, execute } from "./program.js";
import { atMost, type SuiteResult, spread, spreadText } from "./spread.js";

const REFRESHES = [1, 2, 5, 10];
const DEFAULT = 2; // cli/ui.ts
const GOAL = 1.03;
const POLL_MS = 100;
const START_MS = 15_000; // beyond the run itself
const DURATION_FIELD = 6; // how far down it is on the screen Run
const DOWN = "\x1b[B";

interface Sample {
  readonly p50_ns: number;
  readonly p99_ns: number;
  readonly othersP99_ns: number; // of the round trips that no refresh overlapped
  readonly overlapping: number; // of all, the part that one did
}

export async function underUi(
  rounds: number,
  seconds: number,
  say: (line: string) => void,
): Promise<SuiteResult> {
  const samples = new Map<string, Sample[]>();
  const names = ["without", ...REFRESHES.map((refresh) => `${refresh} a second`)];
  for (let round = 1; round <= rounds; round++) {
    for (const [index, name] of names.entries()) {
      const refresh = REFRESHES[index - 1];
      const sample = refresh === undefined ? await plainRun(seconds) : await uiRun(refresh, seconds);
      samples.set(name, [...(samples.get(name) ?? []), sample]);
    }
    const shown = names.map((name) => `${name} ${(samples.get(name)!.at(-1)!.p50_ns / 1000).toFixed(2)}`);
    say(`  round ${round} of ${rounds}, p50 in µs: ${shown.join(", ")}`);
  }
  const without = samples.get("without")!;
  const ratio = (name: string, key: keyof Sample) =>
    spread(samples.get(name)!.map((sample, round) => sample[key] / without[round]![key]));
  const rows = names.map((name) => [
    name,
    ...(["p50_ns", "p99_ns"] as const).map((key) =>
      spreadText(spread(samples.get(name)!.map((sample) => sample[key] / 1000))),
    ),
    ...(["p50_ns", "p99_ns", "othersP99_ns"] as const).map((key) => spreadText(ratio(name, key))),
    spreadText(spread(samples.get(name)!.map(({ overlapping }) => 100 * overlapping))),
  ]);
  for (const line of formatTable([
    [
      "refreshes",
      "p50 µs",
      "p99 µs",
      "p50 / without",
      "p99 / without",
      "p99 of the others / without",
      "overlapping %",
    ],
    ...rows,
  ])) {
    say(`  ${line}`);
  }
  const p50 = ratio(`${DEFAULT} a second`, "p50_ns").median;
  return {
    suite: "tui",
    figures: Object.fromEntries(samples),
    goals: [atMost(`p50 under the UI at ${DEFAULT} refreshes a second / without`, p50, GOAL)],
  };
}

async function plainRun(seconds: number): Promise<Sample> {
  const { stdout, stderr } = await execute(carom("run", "--duration", `${seconds}s`, "--json"));
  if (stdout === "") throw new CaromError("environment", "carom run", stderr.trim());
  return sampleOf(JSON.parse(stdout) as Reported);
}

interface Reported {
  readonly latency: {
    readonly actual: {
      readonly percentiles: readonly { readonly percentile: number; readonly value_ns: number }[];
    };
  };
  readonly interference: {
    readonly refreshes: Readonly<
      Record<"overlapping" | "others", { readonly count: number; readonly p99_ns: number }>
    > | null;
  };
}

function sampleOf({ latency, interference: { refreshes } }: Reported): Sample {
  const value = (wanted: number) =>
    latency.actual.percentiles.find(({ percentile }) => percentile === wanted)!.value_ns;
  const [p50_ns, p99_ns] = [value(50), value(99)];
  if (refreshes === null) return { p50_ns, p99_ns, othersP99_ns: p99_ns, overlapping: 0 };
  const { overlapping, others } = refreshes;
  const part = overlapping.count / (overlapping.count + others.count);
  return { p50_ns, p99_ns, othersP99_ns: others.p99_ns, overlapping: part };
}

/** Starts the UI on a terminal of script(1), has it make one run, and takes the figures from the history. */
async function uiRun(refresh: number, seconds: number): Promise<Sample> {
  const state = mkdtempSync(join(tmpdir(), "carom-bench-"));
  const env = { ...process.env, XDG_STATE_HOME: state, TERM: "xterm" };
  const ui = carom("ui", "--refresh", String(refresh)).join(" ");
  const child = spawn("script", ["-qfec", ui, "/dev/null"], { env, stdio: ["pipe", "pipe", "ignore"] });
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
  let shown = "";
  child.stdout.on("data", (data: Buffer) => {
    shown = (shown + data.toString()).slice(-100_000);
  });
  const until = async (text: string, time_ms: number) => {
    for (const end = performance.now() + time_ms; performance.now() < end; await sleep(POLL_MS)) {
      if (shown.includes(text)) return;
    }
    throw new CaromError("environment", "run carom under its UI", `it did not show ${text}`);
  };
  try {
    await until("not running", START_MS);
    child.stdin.write(DOWN.repeat(DURATION_FIELD));
    await sleep(POLL_MS);
    child.stdin.write(`\r${"\x7f".repeat(10)}${seconds}s\r`);
    await sleep(POLL_MS);
    child.stdin.write("s");
    await until("kept as run", 1000 * seconds + START_MS);
    child.stdin.write("q");
    await ended;
    return await keptRun(state);
  } finally {
    child.kill("SIGTERM");
    await ended;
    rmSync(state, { recursive: true, force: true });
  }
}

async function keptRun(state: string): Promise<Sample> {
  const before = process.env.XDG_STATE_HOME;
  process.env.XDG_STATE_HOME = state;
  try {
    const { stdout } = await execute(carom("history", "show", "last", "--json"));
    return sampleOf(JSON.parse(stdout) as Reported);
  } finally {
    if (before === undefined) delete process.env.XDG_STATE_HOME;
    else process.env.XDG_STATE_HOME = before;
  }
}
