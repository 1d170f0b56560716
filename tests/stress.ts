/**
 * The tests on a machine that others use, too: runs them several times, each beside a busy program for each core, and
 * some of the times with stops of 5 ms of whatever the tests have started. Sums up which of them failed, and how often.
 *
 * npm run test:stress -- [--runs 6] [--stops 2] [TEXT…]   only files with one of the texts in their names
 *
 * Exit status: 0 every run was green, 1 otherwise.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { appendFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const MAIN = fileURLToPath(new URL("main.js", import.meta.url));
const LOGS = join(ROOT, "native/build/stress"); // git ignores it
const STOP_MS = 5;
const BETWEEN_MS = 100;

const { values, positionals } = parseArgs({
  options: { runs: { type: "string", default: "6" }, stops: { type: "string", default: "2" } },
  allowPositionals: true,
});
const [runs, stops] = [Number(values.runs), Number(values.stops)];

const sleep = (time_ms: number) => new Promise((resolve) => setTimeout(resolve, time_ms));

interface Process {
  readonly pid: number;
  readonly parent: number;
  readonly state: string;
}

function processOf(pid: number): Process | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const [state = "", parent = ""] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return { pid, parent: Number(parent), state };
  } catch {
    return undefined; // it has ended
  }
}

/** All processes of this machine. */
function processes(): Process[] {
  return readdirSync("/proc").flatMap((entry) => {
    const pid = Number(entry);
    return Number.isInteger(pid) ? (processOf(pid) ?? []) : [];
  });
}

/** What the test files have started. */
function startedBy(suite: number): number[] {
  const all = processes();
  const childrenOf = (parents: readonly Process[]) => {
    const pids = new Set(parents.map(({ pid }) => pid));
    return all.filter(({ parent }) => pids.has(parent));
  };
  const found: Process[] = [];
  const files = childrenOf(all.filter(({ pid }) => pid === suite));
  for (let next = childrenOf(files); next.length > 0; next = childrenOf(next)) found.push(...next);
  return found.map(({ pid }) => pid);
}

/** Stops them; not those that a test has stopped itself, which would be let go. */
function stop(pids: readonly number[]): number[] {
  return pids.filter((pid) => {
    // Looked at in the moment itself: a test may have stopped it since the others were looked at.
    const { state = "Z" } = processOf(pid) ?? {};
    if (state !== "T" && state !== "Z") signal([pid], "SIGSTOP");
    return state !== "T" && state !== "Z";
  });
}

function signal(pids: readonly number[], name: NodeJS.Signals): void {
  for (const pid of pids) {
    try {
      process.kill(pid, name);
    } catch {} // it has ended
  }
}

/** Stops them now and then, until the suite has ended. */
async function disturb(suite: ChildProcess): Promise<void> {
  while (suite.exitCode === null && suite.signalCode === null) {
    const pids = stop(startedBy(suite.pid!));
    try {
      await sleep(STOP_MS);
    } finally {
      signal(pids, "SIGCONT");
    }
    await sleep(BETWEEN_MS);
  }
}

/** The tests that failed, by their names: those of a file that ended badly by the file's. */
function failuresIn(output: string): string[] {
  const failures: string[] = [];
  let file = "";
  let isTold = true;
  for (const line of output.split("\n")) {
    const [, name, counts] = /^(\S.{23}) (\d+ passed.*|failed)$/.exec(line) ?? [];
    if (name !== undefined) {
      if (!isTold) failures.push(file);
      file = name.trim();
      isTold = !/failed/.test(counts!);
    }
    const [, test] = /^ +FAIL +"(.*)"$/.exec(line) ?? [];
    if (test === undefined) continue;
    failures.push(`${file}: ${test}`);
    isTold = true;
  }
  return isTold ? failures : [...failures, file];
}

async function once(number: number, isDisturbed: boolean): Promise<string[]> {
  const suite = spawn(process.execPath, [MAIN, ...positionals], { stdio: ["ignore", "pipe", "inherit"] });
  running = suite;
  const log = join(LOGS, `run-${number}.log`);
  writeFileSync(log, "");
  let output = "";
  suite.stdout.on("data", (data: Buffer) => {
    output += data.toString();
    appendFileSync(log, data);
  });
  const ended = new Promise<number | null>((resolve) => suite.on("close", resolve));
  const began = performance.now();
  const [status] = await Promise.all([ended, isDisturbed ? disturb(suite) : undefined]);
  const found = failuresIn(output);
  const failures = status === 0 || found.length > 0 ? found : [`the suite ended with status ${status}`];
  const closing = output.trimEnd().split("\n").at(-1) ?? "";
  const time_s = ((performance.now() - began) / 1000).toFixed(0);
  process.stdout.write(
    `run ${number}${isDisturbed ? ", with stops" : ""}: ${closing}, ${time_s} s, ${log}\n`,
  );
  for (const failure of failures) process.stdout.write(`    ${failure}\n`);
  return failures;
}

mkdirSync(LOGS, { recursive: true });
const burners = Array.from({ length: availableParallelism() }, () =>
  spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" }),
);
let running: ChildProcess | undefined;
process.on("exit", () => {
  for (const { pid } of burners) signal([pid!], "SIGKILL");
});
for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(name, () => {
    // The suite ends what its tests have started, and those that are stopped go on meanwhile.
    running?.on("close", () => process.exit(130)).kill("SIGTERM");
    if (running === undefined) process.exit(130);
  });
}

const counts = new Map<string, number>();
let green = 0;
for (let number = 1; number <= runs; number++) {
  const failures = await once(number, number <= stops);
  if (failures.length === 0) green++;
  for (const failure of new Set(failures)) counts.set(failure, (counts.get(failure) ?? 0) + 1);
}
for (const [failure, count] of [...counts].sort(([, a], [, b]) => b - a))
  process.stdout.write(`${count} of ${runs}: ${failure}\n`);
process.stdout.write(`${green} of ${runs} runs were green\n`);
process.exitCode = green === runs ? 0 : 1;
