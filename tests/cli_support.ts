/** What the tests of the command line share: carom as a child process, and programs at either end of a lab. */

import { type ChildProcess, spawn } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { buildCommand, type CommandSpec } from "../cli/command.js";
import { missingCapabilities } from "../lab/capability.js";
import { createLab, resolveLink } from "../lab/lab.js";
import { asCaromError } from "../native/error.js";
import { attachXdpPass, type BackendProbe, probeBackends } from "../native/index.js";
import type { Report } from "../run/report.js";
import { labTest, MAIN, PREFIX } from "./lab_support.js";

const TIMEOUT_MS = 180_000; // far beyond what any of these commands takes, also where other programs have the machine

export interface Ended {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** A program that runs, what it has said so far, and its end. */
export interface Running {
  readonly child: ChildProcess;
  readonly end: Promise<Ended>;
  /** Resolves when it has said this, on either stream; rejects when it ends without. */
  said(text: string | RegExp): Promise<void>;
  /** Resolves when it has printed so many lines; rejects when it ends before. */
  printed(lines: number): Promise<void>;
}

export function launch(command: readonly string[]): Running {
  const [file = "", ...args] = command;
  const child = spawn(file, args, { stdio: ["ignore", "pipe", "pipe"] });
  let [stdout, stderr] = ["", ""];
  let onText = () => {};
  child.stdout.on("data", (data: Buffer) => {
    stdout += data.toString();
    onText();
  });
  child.stderr.on("data", (data: Buffer) => {
    stderr += data.toString();
    onText();
  });
  const timer = setTimeout(() => child.kill("SIGKILL"), TIMEOUT_MS);
  const end = new Promise<Ended>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status, signal) => {
      clearTimeout(timer);
      resolve({ status, signal, stdout, stderr });
    });
  });
  const until = (what: string, holds: () => boolean) =>
    new Promise<void>((resolve, reject) => {
      onText = () => {
        if (holds()) resolve();
      };
      onText();
      const complain = () => reject(new Error(`it ended without ${what}: ${stdout}${stderr}`));
      end.then(complain, reject);
    });
  const said = (text: string | RegExp) => {
    const isIn = (words: string) => (typeof text === "string" ? words.includes(text) : text.test(words));
    return until(String(text), () => isIn(stdout) || isIn(stderr));
  };
  const printed = (lines: number) => until(`${lines} lines`, () => stdout.split("\n").length > lines);
  return { child, end, said, printed };
}

let nameless = 0;

/**
 * A run waits for its answers far longer than any machine takes for them, where a test does not say how long; and a
 * responder has a name of its own, for others may run beside it.
 */
function prepared(given: readonly string[]): readonly string[] {
  const [command, ...args] = given;
  const has = (...options: string[]) => options.some((option) => args.includes(option));
  if (command === "run" && !has("--timeout", "--match", "--config"))
    return [command, "--timeout", "20s", ...args];
  if (command === "respond" && !has("--name", "--help"))
    return [command, "--name", `${PREFIX}-${++nameless}`, ...args];
  return given;
}

/** Starts carom's command line. */
export function startCarom(...args: string[]): Running {
  return launch([process.execPath, MAIN, ...prepared(args)]);
}

/** Runs carom's command line to its end. */
export function carom(...args: string[]): Promise<Ended> {
  return startCarom(...args).end;
}

/** A command to a responder that runs. */
async function controls(name: string): Promise<readonly CommandSpec[]> {
  return [(await import("../cli/control.js")).commands.get(name)!];
}

const COMMANDS: Readonly<Record<string, () => Promise<readonly CommandSpec[]>>> = {
  run: async () => [(await import("../cli/run.js")).command],
  calibrate: async () => [(await import("../cli/calibrate.js")).command],
  generate: async () => [(await import("../cli/generate.js")).command],
  replay: async () => [(await import("../cli/replay.js")).command],
  compare: async () => [(await import("../cli/compare.js")).command],
  join: async () => [(await import("../cli/join.js")).command],
  history: async () => (await import("../cli/history.js")).commands,
};

/**
 * The same in this process, without the time that another one takes to start: for what depends neither on how carom
 * starts or ends nor on what else runs.
 */
export async function caromHere(name: string, ...given: string[]): Promise<Ended> {
  const args = prepared([name, ...given]).slice(1);
  const specs = await (COMMANDS[name] ?? (() => controls(name)))();
  const inner = specs.find((spec) => spec.name === `${name} ${args[0]}`);
  const spec = inner ?? specs[0]!;
  const texts = { stdout: "", stderr: "" };
  const writes = { stdout: process.stdout.write, stderr: process.stderr.write };
  const take = (stream: "stdout" | "stderr") =>
    ((text: string | Uint8Array) => {
      texts[stream] += text.toString();
      return true;
    }) as typeof process.stdout.write;
  const directory = process.cwd();
  let status: number | null = null;
  try {
    process.stdout.write = take("stdout");
    process.stderr.write = take("stderr");
    const command = buildCommand(spec, (value) => {
      status = value;
    });
    await command.exitOverride().parseAsync(inner === undefined ? args : args.slice(1), { from: "user" });
  } catch (error) {
    const failure = asCaromError(error, "carom");
    status = failure.exitStatus;
    texts.stderr += `carom: ${failure.message}\n`;
  } finally {
    process.stdout.write = writes.stdout;
    process.stderr.write = writes.stderr;
    process.chdir(directory);
  }
  return { status, signal: null, ...texts };
}

/** The one JSON object that a command printed with --json. */
export function jsonOf({ stdout, stderr }: Ended): Record<string, unknown> {
  assert.is(stdout.trimEnd().split("\n").length, 1, `one line on standard output: ${stdout}${stderr}`);
  const value: unknown = JSON.parse(stdout);
  assert.ok(typeof value === "object" && value !== null && !Array.isArray(value), stdout);
  return value as Record<string, unknown>;
}

/** The report of a run or generate with --json, whose balances all hold. */
export function reportOf(ended: Ended): Report {
  const report = jsonOf(ended) as unknown as Report;
  assert.is(report.schema, "carom.report", `${ended.stdout}${ended.stderr}`);
  assert.is(report.version, 1);
  assert.ok(report.balances.length >= 2, "balances are checked");
  for (const { holds, equation } of report.balances) assert.ok(holds, equation);
  return report;
}

/** Runs a script of Node's in a network namespace. */
export function launchIn(namespace: string, script: string): Running {
  return launch(["nsenter", `--net=${namespace}`, "--", process.execPath, "-e", script]);
}

/** A program for the lab's far end: it receives until it is told to stop, and prints the hex of each datagram. */
export const LISTENER = `
  const socket = require("node:dgram").createSocket({ type: "udp4", recvBufferSize: 2 ** 22 });
  socket.on("message", (data) => process.stdout.write(data.toString("hex") + "\\n"));
  socket.bind(8080, () => { socket.addMembership("239.1.1.1", "198.18.0.2"); console.log("ready"); });
  process.on("SIGTERM", () => socket.close());`;

/** Which backends work in a lab on this machine; where there can be no lab, all of them with the reason. */
function probe(): readonly BackendProbe[] {
  const lacking = missingCapabilities(["CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_NET_RAW", "CAP_BPF"]);
  if (lacking.length > 0) {
    const reason = `this process lacks ${lacking.join(" and ")}`;
    return probeBackends(resolveLink("lo"), 0, true).map((entry) => ({ ...entry, reason }));
  }
  const lab = createLab();
  const detach = attachXdpPass(lab.responder);
  try {
    return probeBackends(lab.generator, 0, true);
  } finally {
    detach();
    lab.down();
  }
}

const probes = probe();

/** The names of the backends that have a role, usable here or not: a loop over them makes tests in any case. */
export function backendsOf(role: "generator" | "responder"): string[] {
  assert.ok(probes.length >= 5, `${probes.length} backends`);
  return probes.filter(({ roles }) => roles.includes(role)).map(({ name }) => name);
}

/** Those that send any feed: several streams and lines, packed, impaired. */
export const FEED_BACKENDS = backendsOf("generator").filter((name) => name !== "xdp_live");

/** A test that needs a lab and some backends; skipped, with the reason, where there are none. */
export function backendTest(
  name: string,
  backends: readonly string[],
  action: () => void | Promise<void>,
): void {
  const unusable = probes.find((entry) => backends.includes(entry.name) && entry.reason !== "");
  if (unusable === undefined) labTest(name, action);
  else test.skip(`${name} (${unusable.name}: ${unusable.reason})`);
}

// Rings that hold what comes while a core is taken away for long: other programs may run beside the tests.
export const ROOMY = ["--ring-size", "16384", "--json"];

/** Everything that had to be answered was, rightly, and nothing else. */
export function assertAllRight(report: Report): void {
  const { verdicts, ticks, faults } = report;
  assert.equal(faults, []);
  assert.ok(ticks.sent > 0 && verdicts.correct > 0, `${ticks.sent} were sent, ${verdicts.correct} correct`);
  assert.equal(verdicts, {
    correct: ticks.answered,
    wrong: 0,
    missing: 0,
    duplicate: 0,
    unexpected: 0,
    late: 0,
  });
  assert.is(ticks.sent, ticks.answered + ticks.quiet);
  assert.is(ticks.unsent, 0);
}

/** The figures of a report agree with each other. */
export function assertFigures(report: Report): void {
  const { latency, lateness, ticks, interference } = report;
  assert.ok(latency !== null);
  for (const { count, missing, min_ns, mean_ns, max_ns, jitter_ns, percentiles } of [
    latency!.planned,
    latency!.actual,
  ]) {
    assert.is(count, ticks.answered);
    assert.is(missing, 0);
    assert.ok(min_ns > 100 && min_ns <= mean_ns && mean_ns <= max_ns, `${min_ns} to ${max_ns} ns`);
    assert.is(jitter_ns, max_ns - min_ns);
    assert.equal(
      percentiles.map(({ percentile }) => percentile),
      [50, 90, 95, 99, 99.9, 99.99],
    );
    const values = percentiles.map(({ value_ns }) => value_ns ?? Number.NaN);
    const ordered = [min_ns, ...values, max_ns];
    for (const [index, value] of values.entries()) assert.ok(value >= ordered[index]!, `${ordered} ascend`);
  }
  assert.ok(latency!.planned.mean_ns >= latency!.actual.mean_ns, "a tick is never sent before its time");
  assert.is(lateness.count, ticks.sent);
  assert.is(interference.slowest.examined, Math.min(1000, ticks.answered));
  for (const { role, count, share } of interference.cores) {
    assert.ok(role === "generator" || role === "responder");
    assert.ok(count >= 0 && share >= 0 && share <= 1);
  }
}
