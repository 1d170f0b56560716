/** What may be at the responder's end of a lab: carom's responder, or a program that only swaps addresses. */

import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import type { Lab } from "../lab/lab.js";
import { CaromError } from "../native/error.js";
import { ask, isAnswered } from "../responder/control.js";
import { chooseCores } from "../run/cores.js";
import { carom, compile, compileBpf } from "./program.js";

const START_MS = 5000;
const POLL_MS = 20;
const SETTLED_MS = 1500; // af_xdp reads what the kernel counted once a second, when it has nothing to do

export interface Cores {
  readonly near: number; // sends and measures
  readonly far: number;
}

/** @throws CaromError (environment) when there are no two */
export function twoCores(): Cores {
  const { generator, responder } = chooseCores(1);
  if (generator < 0)
    throw new CaromError("environment", "choose a core for each end", "there is only one", "it takes two");
  return { near: generator, far: responder[0]! };
}

export interface Responder {
  readonly name: string;
  /** What it has counted, once nothing comes in any more. */
  counters(): Promise<Readonly<Record<string, number>>>;
}

/**
 * carom respond in a lab while the action lasts. It ends with the bench, however that ends: so it does not run
 * in the background, but as its child.
 */
export async function withResponder<T>(
  lab: Lab,
  backend: string,
  cpu: number,
  action: (responder: Responder) => Promise<T>,
): Promise<T> {
  const name = `bench-${process.pid}`;
  const options = ["--lab", lab.name, "--backend", backend, "--cpu", String(cpu), "--name", name];
  const command = ["setpriv", "--pdeathsig", "KILL", ...carom("respond", ...options)];
  return await alongside(
    `start carom respond --backend ${backend}`,
    command,
    () => isAnswered(name),
    () => action({ name, counters: () => countersOf(name) }),
  );
}

async function countersOf(name: string) {
  await sleep(SETTLED_MS);
  const { counters } = (await ask(name, "stats")) as { counters: Record<string, number> };
  return counters;
}

export type WithSwap = <T>(lab: Lab, action: () => Promise<T>) => Promise<T>;

/** Builds an XDP program that only swaps the addresses: in a lab, while the action lasts. */
export function buildSwap(): WithSwap {
  const program = compile("attach", ["core/thread.cpp"], ["-lbpf"]);
  const object = compileBpf("swap");
  return async ({ responder: { namespace, interfaceName } }, action) =>
    await alongside(
      "attach the program that swaps addresses",
      [program, namespace, interfaceName, object, "swap"],
      (output) => output.includes("attached"),
      action,
    );
}

/** Runs a program beside an action, which begins when the program is ready; then ends it. */
async function alongside<T>(
  operation: string,
  command: readonly string[],
  isReady: (output: string) => boolean | Promise<boolean>,
  action: () => Promise<T>,
): Promise<T> {
  const [file = "", ...args] = command;
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let complaint = "";
  child.stdout.on("data", (data: Buffer) => (output += data.toString()));
  child.stderr.on("data", (data: Buffer) => (complaint += data.toString()));
  const closed = new Promise<void>((resolve) => child.on("close", () => resolve()));
  child.on("error", (error) => (complaint += error.message));
  const isOver = () => child.exitCode !== null || child.signalCode !== null || child.pid === undefined;
  try {
    for (const end = performance.now() + START_MS; !(await isReady(output)); await sleep(POLL_MS)) {
      if (isOver() || performance.now() > end)
        throw new CaromError("environment", operation, complaint.trim() || "it does not get ready");
    }
    return await action();
  } finally {
    if (!isOver()) child.kill("SIGTERM");
    await closed;
  }
}
