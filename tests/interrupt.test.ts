/** Ctrl-C, SIGTERM and SIGHUP end every command that waits for a filter, a pipe or a file, and leave nothing behind. */

import { spawn, spawnSync } from "node:child_process";
import {
  closeSync,
  constants,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { listLabs } from "../lab/lab.js";
import { ask } from "../responder/control.js";
import { type Ended, startCarom } from "./cli_support.js";
import { labForTests, labTest, MAIN, PREFIX, sleep } from "./lab_support.js";
import { read } from "./measuring_support.js";

const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;
const AT_ONCE_MS = 20_000; // what is waited for here never comes, or takes longer than this
const QUIET_MS = 300; // without any CPU time: it waits
const BUSY_MS = 800; // of CPU time: it compiles

const directory = mkdtempSync(join(tmpdir(), "carom-interrupt-"));
test.after(() => rmSync(directory, { recursive: true }));

const lab = labForTests({});

/** libpcap takes a minute for it. */
const SLOW = `vlan and (${Array.from({ length: 6000 }, (_, i) => `host 198.18.${i >> 8}.${i & 255}`).join(" or ")})`;
const slowFile = join(directory, "slow.conf");
writeFileSync(slowFile, `filter=${SLOW}\n`);

/** Every process of this one's and its children's: CPU time in ms. */
function cpuOf(pid: number): number {
  const fields = read(`/proc/${pid}/stat`).split(") ")[1]?.split(" ") ?? [];
  return 10 * (Number(fields[11] ?? 0) + Number(fields[12] ?? 0));
}

function treeOf(pid: number): number[] {
  const children = read(`/proc/${pid}/task/${pid}/children`).split(" ").filter(Boolean).map(Number);
  return [pid, ...children.flatMap(treeOf)];
}

const cpuOfTree = (pid: number) => treeOf(pid).reduce((sum, one) => sum + cpuOf(one), 0);

/** Until it does nothing more. */
async function waits(pid: number): Promise<void> {
  let [last, since] = [-1, performance.now()];
  while (performance.now() - since < QUIET_MS) {
    const now = cpuOfTree(pid);
    if (now !== last) [last, since] = [now, performance.now()];
    await sleep(20);
  }
}

/** Until it has been at work for longer than anything but a filter takes. */
async function compiles(pid: number): Promise<void> {
  const end = performance.now() + AT_ONCE_MS;
  while (Math.max(...treeOf(pid).map(cpuOf)) < BUSY_MS && performance.now() < end) await sleep(20);
}

/** Until the lab that it made is gone again: then it writes what it found. */
async function writes(pid: number): Promise<void> {
  const hasLab = () => listLabs().some((lab) => lab.pid === pid);
  const end = performance.now() + AT_ONCE_MS;
  for (const wanted of [true, false]) while (hasLab() !== wanted && performance.now() < end) await sleep(20);
}

interface Row {
  readonly what: string;
  readonly args: (pipe: string) => readonly string[];
  readonly content: Buffer | undefined; // of the pipe
  readonly until: (pid: number) => Promise<void>;
}

const capture = readFileSync("pcaps/opening.pcap");
const section = Buffer.alloc(30); // the first 30 bytes of a section header of 100
section.writeUInt32LE(0x0a0d0d0a, 0);
section.writeUInt32LE(100, 4);
section.writeUInt32LE(0x1a2b3c4d, 8);
section.writeUInt16LE(1, 12);

const other = "pcaps/opening.pcap";
const script = join(directory, "script.yaml");
writeFileSync(script, "cases: [{ name: one, send: [{ tick: { price: 1 } }], expect: [{ order: {} }] }]\n");
const full = Buffer.alloc(1 << 16); // as much as a pipe takes
const where = () => ["--namespace", lab!.responder.namespace, "--interface", "dut0", "--backend", "udp"];

const capturing = () => ["capture", "--namespace", lab!.responder.namespace, "--interface", "dut0"];
const briefly = ["run", "--backend", "udp", "--warmup", "0", "--duration", "50ms", "--no-history"];

const compiling: readonly (readonly [what: string, args: () => readonly string[]])[] = [
  ["filter: a slow filter", () => ["filter", SLOW, other]],
  ["inspect: a slow filter", () => ["inspect", other, "--config", slowFile]],
  ["inspect --compare: a slow filter", () => ["inspect", "--compare", other, other, "--filter", SLOW]],
  [
    "capture: a slow filter",
    () => [...capturing(), "--write", join(directory, "none.pcapng"), "--filter", SLOW],
  ],
  ["replay: a slow filter", () => ["replay", other, "--filter", SLOW]],
  ["respond: a slow filter", () => ["respond", ...where(), "--name", `${PREFIX}-slow`, "--filter", SLOW]],
  [
    "respond --detach: a slow filter",
    () => ["respond", "--detach", ...where(), "--name", `${PREFIX}-away`, "--filter", SLOW],
  ],
];

/** Nobody writes to the pipe. */
const waiting: readonly (readonly [what: string, args: (pipe: string) => readonly string[]])[] = [
  ["inspect of a pipe", (pipe) => ["inspect", pipe]],
  ["inspect --compare of a pipe", (pipe) => ["inspect", "--compare", other, pipe]],
  ["inspect --decode of a pipe", (pipe) => ["inspect", "--decode", pipe]],
  ["filter of a pipe", (pipe) => ["filter", "udp", pipe]],
  ["compare with a pipe", (pipe) => ["compare", pipe, other]],
  ["replay of a pipe", (pipe) => ["replay", pipe]],
  ["check of a pipe", (pipe) => ["check", pipe]],
  ["run --profile of a pipe", (pipe) => ["run", "--profile", pipe]],
  ["run --streams of a pipe", (pipe) => ["run", "--streams", pipe]],
  ["--config of a pipe", (pipe) => ["run", "--config", pipe]],
];

/** There is something in the pipe, and it stays open: its writer has stopped, or nobody reads what is in it. */
const stopped: readonly (readonly [
  what: string,
  args: (pipe: string) => readonly string[],
  content: Buffer,
])[] = [
  ["inspect of a section's beginning", (pipe) => ["inspect", pipe], section],
  ["inspect - of a header", () => ["inspect", "-"], capture.subarray(0, 24)],
  [
    "inspect --compare - of a header and more",
    () => ["inspect", "--compare", other, "-"],
    capture.subarray(0, 30),
  ],
  ["replay of a header", (pipe) => ["replay", pipe], capture.subarray(0, 24)],
  ["replay - of a header and more", () => ["replay", "-"], capture.subarray(0, 30)],
  ["replay - of a section's beginning", () => ["replay", "-"], section],
  ["run --profile of a beginning", (pipe) => ["run", "--profile", pipe], Buffer.from("name: a\n")],
  ["run --hlog into a full pipe", (pipe) => [...briefly, "--hlog", pipe], full],
  ["check --junit into a full pipe", (pipe) => ["check", script, "--backend", "udp", "--junit", pipe], full],
];

const rows: readonly Row[] = [
  ...compiling.map(([what, args]) => ({ what, args, content: undefined, until: compiles })),
  ...waiting.map(([what, args]) => ({ what, args, content: undefined, until: waits })),
  ...stopped.map(([what, args, content]) => ({
    what,
    args,
    content,
    until: content === full ? writes : waits,
  })),
];

async function interrupted(row: Row, signal: NodeJS.Signals): Promise<void> {
  const pipe = join(directory, `${row.what.replace(/[^a-z0-9]+/g, "-")}-${signal}`);
  assert.is(spawnSync("mkfifo", [pipe]).status, 0);
  // Held open for both, so that it neither ends nor keeps anybody waiting who writes to it here.
  const held = row.content === undefined ? -1 : openSync(pipe, constants.O_RDWR);
  if (row.content !== undefined) writeSync(held, row.content);
  const args = row.args(pipe);
  const child = spawn(process.execPath, [MAIN, ...args], {
    stdio: [args.includes("-") ? held : "ignore", "ignore", "pipe"],
    env: { ...process.env, HOME: directory },
  });
  let said = "";
  child.stderr!.on("data", (data: Buffer) => (said += data.toString()));
  const ended = new Promise<string>((resolve) =>
    child.on("close", (status, by) => resolve(String(by ?? status))),
  );
  const name = `${row.what}, ${signal}`;
  try {
    await Promise.race([row.until(child.pid!), ended]);
    const tree = treeOf(child.pid!);
    assert.is(child.exitCode, null, `${name}: it is not there any more: ${said}`);
    child.kill(signal);
    const how = await Promise.race([ended, sleep(AT_ONCE_MS).then(() => "later")]);
    assert.is.not(how, "later", `${name}: it goes on: ${said}`);
    assert.is.not(how, "0", `${name}: it ends well: ${said}`);
    for (const pid of tree) {
      const end = performance.now() + AT_ONCE_MS;
      while (/^\d+ \(.*\) [^ZX]/.test(read(`/proc/${pid}/stat`)) && performance.now() < end) await sleep(20);
      assert.not.match(read(`/proc/${pid}/stat`), /^\d+ \(.*\) [^ZX]/, `${name}: a process of it is left`);
    }
    assert.equal(
      listLabs().filter(({ pid }) => pid === child.pid),
      [],
      `${name}: a lab is left`,
    );
  } finally {
    if (child.exitCode === null && child.signalCode === null) child.kill("SIGKILL");
    if (held >= 0) closeSync(held);
  }
}

/** So many at a time: most of them do nothing but wait. */
const AT_A_TIME = 6;

labTest("signals end whatever waits for a filter, a pipe or a file", async () => {
  const todo = rows.flatMap((row, index) => {
    const ending = SIGNALS[1 + (index % 2)]!; // both go the same way
    const each = row.until === compiles ? [SIGNALS[index % 3]!] : (["SIGINT", ending] as const);
    return each.map((signal) => ({ row, signal }));
  });
  const failures: string[] = [];
  const work = async () => {
    for (let next = todo.shift(); next !== undefined; next = todo.shift()) {
      await interrupted(next.row, next.signal).catch((error) => failures.push((error as Error).message));
    }
  };
  await Promise.all(Array.from({ length: AT_A_TIME }, work));
  assert.equal(failures, []);
});

labTest("a trace whose filter takes long keeps neither its responder nor whoever asks", async () => {
  const name = `${PREFIX}-trace`;
  const responder = startCarom("respond", ...where(), "--name", name);
  await responder.said("answering ticks to");
  const trace = startCarom("trace", "--name", name, "--filter", SLOW);
  await compiles(responder.child.pid!);
  const status = (await ask(name, "status")) as { name: string };
  assert.is(status.name, name, "it answers meanwhile");
  trace.child.kill("SIGINT");
  assert.is((await trace.end).signal, "SIGINT");
  responder.child.kill("SIGTERM");
  const ended = await Promise.race([responder.end, sleep(AT_ONCE_MS)]);
  assert.ok(ended, "it goes on");
  assert.is((ended as Ended).status, 0, (ended as Ended).stderr);
});

test.run();
