/**
 * How a schedule drifts against the system's clock, by a meter that shares nothing with carom: an XDP program at the
 * far end of a lab, which knows the period of the ticks and counts them. The slope of the earliest arrivals of all
 * windows is the drift.
 */

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { createLab, type Lab } from "../lab/lab.js";
import { CaromError } from "../native/error.js";
import { carom, compile, compileBpf, execute } from "./program.js";
import { atMost, type Goal, type SuiteResult, spread, spreadText } from "./spread.js";

const RATE = 10_000; // ticks a second
const PERIOD_NS = 1e9 / RATE;
const WINDOWS = 100;
const WARMUP_S = 1; // the meter begins with the first tick, of the warm-up: by then the schedule is at its clock
const BACKENDS = ["af_xdp", "udp", "xdp_live"] as const;
const DRIFT_NS = 200;

export interface DriftFigures {
  readonly seconds: number;
  /** By backend, of each round: how much later than by CLOCK_MONOTONIC the last ticks came. */
  readonly drift_ns: Readonly<Record<string, readonly number[]>>;
}

export async function drifting(
  rounds: number,
  seconds: number,
  say: (line: string) => void,
): Promise<SuiteResult> {
  const program = compile("drift_meter", ["core/thread.cpp"], ["-lbpf"]);
  const object = compileBpf("drift_meter");
  const drift_ns: Record<string, number[]> = Object.fromEntries(BACKENDS.map((name) => [name, []]));
  const lab = createLab();
  try {
    for (let round = 0; round < rounds; round++) {
      for (const backend of BACKENDS)
        drift_ns[backend]!.push(await driftOf([program, object], lab, backend, seconds));
    }
  } finally {
    lab.down();
  }
  const goals: Goal[] = [];
  for (const [backend, values] of Object.entries(drift_ns)) {
    say(
      `  drift of ${backend} against CLOCK_MONOTONIC after ${seconds} s, ns: ${spreadText(spread(values), 0)}`,
    );
    const { median } = spread(values.map(Math.abs));
    goals.push(
      atMost(`${backend}, drift after ${seconds} s by an independent meter, median, ns`, median, DRIFT_NS),
    );
  }
  return { suite: "drift", figures: { seconds, drift_ns }, goals };
}

/** Over `seconds`, in ns. */
async function driftOf(
  [program, object]: readonly [string, string],
  { name, responder: { namespace, interfaceName } }: Lab,
  backend: string,
  seconds: number,
): Promise<number> {
  const windowTicks = Math.floor((seconds * RATE) / WINDOWS);
  const given = [namespace, interfaceName, object, String(PERIOD_NS), String(windowTicks)];
  const child = spawn(program, given, { stdio: ["pipe", "pipe", "inherit"] });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const next = async () => {
    const { value, done } = await lines.next();
    if (done === true) throw new CaromError("environment", "measure the drift", "the meter has ended");
    return value as string;
  };
  try {
    await next(); // attached
    const options = ["--lab", name, "--backend", backend, "--arrivals", "off", "--rate", String(RATE)];
    const time = ["--warmup", `${WARMUP_S}s`, "--duration", `${seconds}s`];
    const { status, stdout, stderr } = await execute(carom("generate", ...options, ...time, "--json"));
    if (status !== 0) throw new CaromError("environment", "carom generate", stderr.trim() || stdout);
    child.stdin.end();
    const { ticks, earliest_ns } = JSON.parse(await next()) as { ticks: number; earliest_ns: number[] };
    const sent = (seconds + WARMUP_S) * RATE;
    if (ticks !== sent)
      // one that is missing would move all that follow
      throw new CaromError("environment", "measure the drift", `${ticks} of ${sent} ticks came`);
    const measured = earliest_ns.slice(Math.ceil((WARMUP_S * RATE) / windowTicks));
    return slope(measured) * WINDOWS;
  } finally {
    const closed = new Promise((resolve) => child.on("close", resolve));
    child.stdin.end();
    await closed;
  }
}

/** Per window: the median of the slopes of all pairs (Theil and Sen), which no single stop of the machine moves. */
function slope(values: readonly number[]): number {
  const slopes = values.flatMap((value, index) =>
    values.slice(index + 1).map((later, behind) => (later - value) / (behind + 1)),
  );
  return spread(slopes).median;
}
