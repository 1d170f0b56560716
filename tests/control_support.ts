/** What the tests of control share: a responder in a lab of its own, and runs against it. */

import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { rmSync } from "node:fs";
import * as assert from "uvu/assert";
import { createLab, type Lab } from "../lab/lab.js";
import { isAnswered, socketPath } from "../responder/control.js";
import { caromHere } from "./cli_support.js";
import { MAIN, until } from "./lab_support.js";

let number = 0;

interface Fixture {
  readonly lab: Lab;
  readonly name: string;
  readonly process: ChildProcess;
}

export function carom(...args: string[]) {
  return spawnSync(process.execPath, [MAIN, ...args], { encoding: "utf8" });
}

export async function withResponder(
  backend: string,
  action: (fixture: Fixture) => Promise<void>,
  extra: string[] = [],
) {
  const name = `t${process.pid}-${++number}`;
  const lab = createLab({ name });
  const args = [
    "respond",
    "--namespace",
    lab.responder.namespace,
    "--interface",
    "dut0",
    "--backend",
    backend,
    "--name",
    name,
  ];
  const child = spawn(process.execPath, [MAIN, ...args, ...extra], { stdio: "ignore" });
  try {
    await until("the responder answers on its socket", () => child.exitCode !== null || isAnswered(name));
    assert.is(child.exitCode, null);
    await action({ lab, name, process: child });
  } finally {
    child.kill("SIGKILL");
    lab.down();
    rmSync(socketPath(name), { force: true }); // what a killed responder leaves for the next of its name
  }
}

/** A run against the responder; what its report says. */
export async function run(
  lab: Lab,
  ...args: string[]
): Promise<{
  status: number | null;
  verdicts: Record<string, number>;
  ticks: { sent: number };
  notes: string[];
}> {
  const where = ["--namespace", lab.generator.namespace, "--interface", "gen0"];
  const { status, stdout, stderr } = await caromHere("run", ...where, "--warmup", "0", "--json", ...args);
  assert.is.not(stdout, "", stderr);
  return { status, ...JSON.parse(stdout) };
}
