/** The round trip of a tick while the responder is traced, beside the same while it is not, in turn. */

import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { formatTable } from "../cli/table.js";
import { createLab } from "../lab/lab.js";
import { CaromError } from "../native/error.js";
import { twoCores, withResponder } from "./far_end.js";
import { measureTicks, type TickSample } from "./kernel.js";
import { carom, compile } from "./program.js";
import { atMost, type SuiteResult, spread, spreadText } from "./spread.js";

const BACKENDS = ["af_xdp", "xdp"] as const;
const START_MS = 5000;
const POLL_MS = 20;

interface Traced {
  readonly shown: number;
  readonly received: number;
}

/** @param seconds how long each contestant is measured in each round */
export async function traced(
  rounds: number,
  seconds: number,
  say: (line: string) => void,
): Promise<SuiteResult> {
  const { near, far } = twoCores();
  const program = compile("tick_ping", ["core/clock.cpp", "core/thread.cpp"], ["-lbpf"]);
  const lab = createLab();
  const samples = new Map<string, TickSample[]>();
  const totals = new Map<string, Traced>();
  const keep = (name: string, sample: TickSample) =>
    samples.set(name, [...(samples.get(name) ?? []), sample]);
  try {
    for (let round = 1; round <= rounds; round++) {
      for (const backend of BACKENDS) {
        await withResponder(lab, backend, far, async ({ name }) => {
          const ping = () => measureTicks(program, lab, near, seconds, "order");
          const off = async () => keep(backend, await ping());
          const on = async () => {
            const found = await withTrace(name, async () => keep(`${backend}, traced`, await ping()));
            const { shown, received } = totals.get(backend) ?? { shown: 0, received: 0 };
            totals.set(backend, { shown: shown + found.shown, received: received + found.received });
          };
          // Neither always goes first.
          for (const contestant of round % 2 === 0 ? [on, off] : [off, on]) await contestant();
        });
      }
      const shown = [...samples].map(([name, all]) => `${name} ${(all.at(-1)!.p50_ns / 1000).toFixed(2)}`);
      say(`  round ${round} of ${rounds}, p50 in µs: ${shown.join("; ")}`);
    }
  } finally {
    lab.down();
  }
  return conclude(samples, totals, say);
}

/** carom trace at its default rate while the action lasts, its lines thrown away. Says how many there were. */
async function withTrace(name: string, action: () => Promise<unknown>): Promise<Traced> {
  const [file = "", ...args] = [
    "setpriv",
    "--pdeathsig",
    "KILL",
    ...carom("trace", "--name", name, "--json"),
  ];
  const child = spawn(file, args, { stdio: ["ignore", "ignore", "pipe"] });
  let text = "";
  child.stderr.on("data", (data: Buffer) => (text += data.toString()));
  child.on("error", (error) => (text += error.message));
  const closed = new Promise<void>((resolve) => child.on("close", () => resolve()));
  const isOver = () => child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
  try {
    for (const end = performance.now() + START_MS; !text.includes("tracing"); await sleep(POLL_MS)) {
      if (isOver() || performance.now() > end)
        throw new CaromError("environment", "start carom trace", text.trim() || "it does not get ready");
    }
    await action();
  } finally {
    if (!isOver()) child.kill("SIGINT");
    await closed;
  }
  const [, shown, received] = /([\d,]+) of ([\d,]+) packets shown/.exec(text) ?? [];
  const count = (number = "0") => Number(number.replaceAll(",", ""));
  if (count(shown) === 0) throw new CaromError("internal", "trace a responder", `nothing was shown: ${text}`);
  return { shown: count(shown), received: count(received) };
}

function conclude(
  samples: ReadonlyMap<string, readonly TickSample[]>,
  totals: ReadonlyMap<string, Traced>,
  say: (line: string) => void,
): SuiteResult {
  const ratio = (backend: string, key: "p50_ns" | "p99_ns") => {
    const off = samples.get(backend)!;
    return spread(samples.get(`${backend}, traced`)!.map((sample, round) => sample[key] / off[round]![key]));
  };
  const rows = [["", "p50 µs", "p99 µs", "p50 / untraced", "p99 / untraced"]];
  for (const backend of BACKENDS) {
    for (const name of [backend, `${backend}, traced`]) {
      const times = (["p50_ns", "p99_ns"] as const).map((key) =>
        spreadText(spread(samples.get(name)!.map((sample) => sample[key] / 1000))),
      );
      const isTraced = name !== backend;
      const ratios = (["p50_ns", "p99_ns"] as const).map((key) =>
        isTraced ? spreadText(ratio(backend, key)) : "",
      );
      rows.push([name, ...times, ...ratios]);
    }
  }
  for (const line of formatTable(rows)) say(`  ${line}`);
  const n = (value: number) => value.toLocaleString("en-US");
  for (const [backend, { shown, received }] of totals)
    say(`  ${backend}: ${n(shown)} lines for ${n(received)} packets`);
  const goals = BACKENDS.map((backend) =>
    atMost(`${backend} p50, traced / untraced`, ratio(backend, "p50_ns").median, 1.05),
  );
  return {
    suite: "trace",
    figures: { ...Object.fromEntries(samples), lines: Object.fromEntries(totals) },
    goals,
  };
}
