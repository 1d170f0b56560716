/** carom in a guest: its commands in this process where that is the same, for it takes seconds to start another. */

import { type ChildProcess, spawn } from "node:child_process";
import { buildCommand, type CommandSpec } from "../../../cli/command.js";
import { resolveValues } from "../../../config/file.js";
import { asCaromError } from "../../../native/error.js";
import { attachXdpPass } from "../../../native/index.js";
import { responderConfig, responderOptions } from "../../../responder/config.js";
import { openResponder } from "../../../responder/threads.js";
import { measure, type RunningRoles } from "../../../run/measure.js";
import { planRun, runOptions } from "../../../run/plan.js";
import { makeReport, type Report } from "../../../run/report.js";
import type { Pair } from "./pair.js";

export const MAIN = "dist/cli/main.js";

/** What is sent in a run: a guest takes far longer for it than a machine does. */
const LITTLE = { rate: "100", count: "150", warmup: "0", timeout: "20s", ringSize: "1024" };

export function texts(values: Readonly<Record<string, string>>) {
  return new Map(Object.entries(values).map(([name, text]) => [name, { text, place: `--${name}` }]));
}

/** Has a responder answer at the far end while something is done. */
export async function withResponder<T>(pair: Pair, backend: string, action: () => Promise<T>): Promise<T> {
  const values = resolveValues(responderOptions, texts({ backend, ringSize: "1024" }));
  const responder = openResponder(responderConfig(pair.far, values));
  let ended: unknown = null;
  const detach = pair.lab === null ? () => {} : attachXdpPass(pair.near);
  try {
    responder.start((error) => {
      ended = error;
    });
    await pair.ready();
    const done = await action();
    if (ended !== null) throw asCaromError(ended, "the responder");
    return done;
  } finally {
    detach();
    responder.close();
  }
}

export interface RunOptions {
  readonly over?: Readonly<Record<string, string>>;
  readonly during?: (roles: RunningRoles) => Promise<void>;
}

/** A run of a pair, in this process; in a lab with its responder, elsewhere with one of its own. */
export async function runPair(
  pair: Pair,
  generator: string,
  responder: string,
  { over = {}, during }: RunOptions = {},
): Promise<Report> {
  const run = async (where: Readonly<Record<string, string>>) => {
    const values = resolveValues(runOptions, texts({ ...LITTLE, ...where, backend: generator, ...over }));
    const plan = await planRun(values, true, { lab: pair.lab ?? undefined });
    try {
      let done: Promise<void> | undefined;
      const found = await measure(plan, {
        onRunning: (roles) => {
          done = during?.(roles);
        },
      });
      await done;
      return makeReport("run", plan, found);
    } finally {
      plan.release();
    }
  };
  if (pair.lab !== null) return run({ responderBackend: responder });
  const { interfaceName, namespace } = pair.near;
  return withResponder(pair, responder, () =>
    run({ interface: interfaceName, ...(namespace === "" ? {} : { namespace }) }),
  );
}

export interface Said {
  readonly status: number | null;
  readonly json: Record<string, unknown> | undefined;
  readonly text: string; // what it said besides
}

/** A command of carom's, with --json, in this process. */
export async function command(spec: CommandSpec, ...args: string[]): Promise<Said> {
  let [stdout, stderr] = ["", ""];
  let status: number | null = null;
  const writes = { stdout: process.stdout.write, stderr: process.stderr.write };
  process.stdout.write = ((text: string | Uint8Array) => {
    stdout += text.toString();
    return true;
  }) as typeof process.stdout.write;
  process.stderr.write = ((text: string | Uint8Array) => {
    stderr += text.toString();
    return true;
  }) as typeof process.stderr.write;
  try {
    const built = buildCommand(spec, (value) => {
      status = value;
    });
    await built.exitOverride().parseAsync([...args, "--json"], { from: "user" });
  } finally {
    Object.assign(process.stdout, { write: writes.stdout });
    Object.assign(process.stderr, { write: writes.stderr });
  }
  return { status, json: parsed(stdout), text: stderr };
}

/** carom as a process of its own, its end, and what it has said so far but for its result. */
export interface Running {
  readonly child: ChildProcess;
  readonly end: Promise<Said>;
  text(): string;
}

export function start(...args: string[]): Running {
  const child = spawn(process.execPath, [MAIN, ...args, "--json"], { stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (data: Buffer) => {
    stdout += data.toString();
  });
  child.stderr.on("data", (data: Buffer) => {
    stderr += data.toString();
  });
  const end = new Promise<Said>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, json: parsed(stdout), text: stderr }));
  });
  return { child, end, text: () => stderr };
}

function parsed(text: string): Record<string, unknown> | undefined {
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined;
  }
}

/** A deed that did not come out as it has to. */
export class Wrong extends Error {}

export function demand(holds: boolean, what: string): asserts holds {
  if (!holds) throw new Wrong(what);
}

/** Everything that had to be answered was, and rightly, and every balance holds. */
export function allRight({ faults, balances, verdicts, ticks }: Report): void {
  const broken = balances.filter(({ holds }) => !holds).map(({ equation }) => equation);
  const told = [...faults, ...broken.filter((equation) => !faults.some((fault) => fault.includes(equation)))];
  demand(told.length === 0, told.join("; "));
  demand(
    verdicts.correct > 0 && verdicts.correct === ticks.answered,
    `${ticks.sent} sent, ${verdicts.correct} correct of ${ticks.answered}`,
  );
}

/** An answer for the table: a refusal that says why, or something that is wrong. */
export function saidOf(error: unknown): {
  readonly isRefusal: boolean;
  readonly isUsage: boolean; // of the options, on whatever machine
  readonly said: string;
} {
  if (error instanceof Wrong) return { isRefusal: false, isUsage: false, said: error.message };
  const { code, message } = asCaromError(error, "tests/vm");
  return { isRefusal: code !== "internal", isUsage: code === "usage", said: message };
}
