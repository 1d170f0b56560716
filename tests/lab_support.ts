/** What the tests of the lab share: labs that go in any case, programs beside this one, datagrams across. */

import { type ChildProcess, execFileSync, spawn, spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { missingCapabilities } from "../lab/capability.js";
import { createLab, type Lab, type LabOptions, namespaceName } from "../lab/lab.js";
import { CaromError } from "../native/error.js";

export const MAIN = fileURLToPath(new URL("../cli/main.js", import.meta.url));
export const MODULE = new URL("../lab/lab.js", import.meta.url).href;
export const PREFIX = `t${process.pid}`; // of the labs' names: other tests may run at the same time
/** Before a command: runs it as an ordinary user. */
export const NOBODY = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups"];
/** Before a command: takes every privilege away, but not the right to read this checkout, wherever it is. */
export const UNPRIVILEGED = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all", "--"] as const;

const TIMEOUT_MS = 180_000; // far beyond what any command takes, also where other programs have the machine

const lacking = missingCapabilities(["CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_NET_RAW"]);

export const isPrivileged = lacking.length === 0;

/** A test that needs a lab; skipped, with the reason, where there can be none. */
export function labTest(name: string, action: () => void | Promise<void>): void {
  if (lacking.length === 0) test(name, action);
  else test.skip(`${name} (this process lacks ${lacking.join(" and ")})`);
}

/** A test that takes another program; skipped where that is not installed. */
export function programTest(
  program: string,
  name: string,
  action: () => void | Promise<void>,
  make = test as Make,
): void {
  const isThere = spawnSync(program, ["--version"]).error === undefined;
  if (isThere) make(name, action);
  else test.skip(`${name} (${program} is not installed)`);
}

type Make = (name: string, action: () => void | Promise<void>) => void;

const readableByOthers = spawnSync(NOBODY[0]!, [...NOBODY.slice(1), "test", "-r", MAIN]).status === 0;

/** A test that runs carom as an ordinary user; skipped where such a one can't read this checkout. */
export function ordinaryUserTest(name: string, action: () => void | Promise<void>): void {
  if (readableByOthers) labTest(name, action);
  else test.skip(`${name} (this checkout is not readable for others)`);
}

export const recordPath = (lab: string) => `/run/carom/labs/${lab}.json`;
export const hasNamespace = (name: string) => existsSync(`/run/netns/${name}`);
export const sleep = (time_ms: number) => new Promise((resolve) => setTimeout(resolve, time_ms));

const LOOK_MS = 50; // where a look starts a program
const HALT_MS = 100; // far longer than test:stress stops anything

export const PATIENCE_MS = 180_000; // far beyond what anything takes, also where other programs have the machine

/** Stops a process, until it is told to go on. Twice: the first stop may come while test:stress has stopped it, too. */
export async function halt(pid: number): Promise<void> {
  process.kill(pid, "SIGSTOP");
  await sleep(HALT_MS);
  process.kill(pid, "SIGSTOP");
}

/** Waits until something holds: nothing here expects that it does after some time. */
export async function until(
  what: string,
  holds: () => boolean | Promise<boolean>,
  step_ms = 10,
): Promise<void> {
  for (const end = performance.now() + PATIENCE_MS; !(await holds()); await sleep(step_ms))
    assert.ok(performance.now() < end, `${what}, within ${PATIENCE_MS / 1000} s`);
}

/** Whether there is a namespace with the far end of a lab in it. */
function hasLink(namespace: string): boolean {
  const look = ["ip", "link", "show", "dev", "dut0"];
  return spawnSync("nsenter", [`--net=${namespace}`, ...look], { stdio: "ignore" }).status === 0;
}

/** How many frames the far end of a lab has received. */
export function framesIn(namespace: string): number {
  const [shown] = ip(namespace, "-s", "link", "show", "dev", "dut0");
  return (shown as { stats64: { rx: { packets: number } } }).stats64.rx.packets;
}

/** Waits until the far end of a lab has received that many frames; the lab may not be there yet. */
export async function arrivedIn(lab: string, count: number): Promise<void> {
  const namespace = namespaceName(lab, "responder");
  const path = `/run/netns/${namespace}`;
  await until(`${namespace} is there`, () => existsSync(path) && hasLink(path), LOOK_MS);
  await until(`${count} frames have arrived in ${namespace}`, () => framesIn(path) >= count, LOOK_MS);
}

const namespaces = (lab: string) => [`carom-${lab}-gen`, `carom-${lab}-dut`];

export function assertGone(lab: string, when: string): void {
  for (const name of namespaces(lab)) assert.not.ok(hasNamespace(name), `${name} is gone ${when}`);
  assert.not.ok(existsSync(recordPath(lab)), `the file of ${lab} is gone ${when}`);
}

/** The processes that watch over one of carom's. */
export function watchersOf(owner: number): number[] {
  const children = readFileSync(`/proc/${owner}/task/${owner}/children`, "utf8").trim().split(" ");
  return children.filter((pid) => commandOf(pid) === "carom-watcher").map(Number);
}

/** The name that a process has in ps; "" when it has ended. */
function commandOf(pid: string | number): string {
  try {
    const [, name = "", state = ""] =
      /^\d+ \((.*)\) (.)/.exec(readFileSync(`/proc/${pid}/stat`, "latin1")) ?? [];
    return state === "Z" || state === "X" ? "" : name;
  } catch {
    return "";
  }
}

export const isEnded = (pid: number) => commandOf(pid) === "";

export function assertThere(lab: string): void {
  for (const name of namespaces(lab)) assert.ok(hasNamespace(name), `${name} is there`);
  assert.ok(existsSync(recordPath(lab)), `the file of ${lab} is there`);
}

/** A lab for all tests of a file, which goes after them; undefined where there can be none. */
export function labForTests(options: LabOptions): Lab | undefined {
  if (lacking.length > 0) return undefined;
  const lab = createLab(options);
  test.after(() => lab.down());
  return lab;
}

/** Runs an action with a lab that goes whatever happens. */
export async function withLab(
  options: LabOptions,
  action: (lab: Lab) => void | Promise<void>,
): Promise<void> {
  const lab = createLab(options);
  try {
    await action(lab);
  } finally {
    lab.down();
  }
}

/** Runs carom's command line to its end. */
export function carom(...args: string[]) {
  const options = { encoding: "utf8", maxBuffer: 1 << 26, timeout: TIMEOUT_MS } as const;
  const { status, stdout, stderr } = spawnSync(process.execPath, [MAIN, ...args], options);
  return { status, stdout, stderr };
}

/** What ip says of a namespace. */
export function ip(namespace: string, ...args: string[]): Record<string, unknown>[] {
  const text = execFileSync("nsenter", [`--net=${namespace}`, "ip", "-json", ...args], { encoding: "utf8" });
  return JSON.parse(text === "" ? "[]" : text) as Record<string, unknown>[];
}

/** The CaromError that an action must throw. */
export function thrown(action: () => unknown): CaromError {
  try {
    action();
  } catch (error) {
    assert.instance(error, CaromError, String(error));
    return error as CaromError;
  }
  assert.unreachable("nothing was thrown");
  throw new Error();
}

/** A program that runs beside the test. */
export interface Program {
  readonly child: ChildProcess;
  readonly firstLine: Promise<string>; // "" when it printed none
  readonly end: Promise<{ readonly status: number | null; readonly output: string }>;
}

/** Starts a program, listening from the first moment, so that a short one is not missed. */
export function launch(command: readonly string[], stderr: "inherit" | "ignore" = "inherit"): Program {
  const [file = "", ...args] = command;
  const child = spawn(file, args, { stdio: ["ignore", "pipe", stderr] });
  let output = "";
  const end = new Promise<{ status: number | null; output: string }>((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, output }));
  });
  const firstLine = new Promise<string>((resolve) => {
    child.stdout.on("data", (data: Buffer) => {
      output += data.toString();
      if (output.includes("\n")) resolve(output.slice(0, output.indexOf("\n")));
    });
    child.on("close", () => resolve(output));
  });
  return { child, firstLine, end };
}

/** A process that runs a script with createLab at hand, up to the first line that it prints. */
export async function start(
  script: string,
  before: readonly string[] = [],
  stderr: "inherit" | "ignore" = "inherit",
): Promise<{ program: Program; line: string }> {
  const source = `import { createLab } from ${JSON.stringify(MODULE)};\n${script}`;
  const program = launch([...before, process.execPath, "--input-type=module", "-e", source], stderr);
  return { program, line: await program.firstLine };
}

/**
 * Sends a text across a lab with plain sockets.
 * @returns what arrived at the responder's end, and from whom
 */
export async function sendAcross(lab: Lab, family: 4 | 6, to: string, text: string): Promise<string> {
  const isGroup = /^(239|ff)/.test(to);
  const join = family === 4 ? `"${to}", "198.18.0.2"` : `"${to}", "::%dut0"`;
  const receiver = `
    const socket = require("node:dgram").createSocket("udp${family}");
    socket.on("message", (data, from) => { console.log(data + " from " + from.address); process.exit(); });
    socket.bind(8080, () => { ${isGroup ? `socket.addMembership(${join});` : ""} console.log("ready"); });
    setTimeout(() => process.exit(1), ${PATIENCE_MS});`;
  const sender = `
    const socket = require("node:dgram").createSocket("udp${family}");
    socket.send(${JSON.stringify(text)}, 8080, "${to}", (error) => { if (error) throw error; socket.close(); });`;
  const exec = (role: string, script: string) =>
    [
      process.execPath,
      MAIN,
      "lab",
      "exec",
      "--name",
      lab.name,
      role,
      "--",
      process.execPath,
      "-e",
      script,
    ] as const;
  const program = launch(exec("responder", receiver));
  assert.is(await program.firstLine, "ready");
  assert.is((await launch(exec("generator", sender)).end).status, 0, `${to} was sent to`);
  const { status, output } = await program.end;
  assert.is(status, 0, `something arrived for ${to}`);
  return output.replace("ready\n", "").trim();
}
