/**
 * Runs the tests: the lint step and each test file in a process of its own, several at a time, for none of them needs
 * a quiet machine; and at the end, that nothing is left behind.
 *
 * node dist/tests/main.js [TEXT…]   only those with one of the texts in their names
 *
 * Exit status: 0 all passed, 1 otherwise.
 */

import { spawn } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { stripVTControlCharacters } from "node:util";
import picocolors from "picocolors";
import { endProcesses, hasLivingOwner, processesWith, traces } from "./leftovers.js";

const pc = picocolors.createColors(process.stdout.isTTY === true && process.env.NO_COLOR === undefined);
const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const COMPILED = fileURLToPath(new URL(".", import.meta.url));
const TIMEOUT_MS = 15 * 60_000; // for one file
const GRACE_MS = 5000; // between the signal that asks a program to end and the one that ends it
let isEnding = false; // by a signal
const STATE = mkdtempSync(join(tmpdir(), "carom-state-")); // the tests' runs are in no history of anybody's
const MARK = "CAROM_TEST_RUN";
const RUN = `${MARK}=${process.pid}-${Date.now()}.`; // begins what is in the environment of all that this starts
const NAME_WIDTH = 24;
/** Those that take long, the longest first: started at the end, one of them would be waited for alone. */
const LONG = [
  "native",
  "cli_limit",
  "impairment",
  "check_command",
  "streams",
  "cli_respond",
  "cli_run",
  "control",
  "certificate",
  "cli",
  "check_device",
  "bench",
  "lint",
  "queues",
  "tui_journey",
  "replay",
  "doctor",
];
/** Who makes a lab removes what dead owners left of theirs: it looks at that, so others that make labs wait for it. */
const LABLESS = ["lint", "native"];
const ALONE_WITH_LABS = "lab_end";
/** Most of a test is waiting: for a run's end, for a process to start. */
const LANES = 1 + availableParallelism();

interface Counts {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

interface Ended {
  readonly output: string;
  readonly end: string; // "" for status 0, otherwise what happened
}

interface Job {
  readonly name: string;
  run(): Promise<{ readonly counts: Counts; readonly output: string }>;
}

async function main(wanted: readonly string[]): Promise<number> {
  const before = traces();
  const jobs = [lintJob(), ...fileJobs()].filter(
    ({ name }) => wanted.length === 0 || wanted.some((text) => name.includes(text)),
  );
  if (jobs.length === 0) process.stdout.write(`no test has ${wanted.join(" or ")} in its name\n`);
  const all: Counts[] = jobs.length === 0 ? [{ passed: 0, failed: 1, skipped: 0 }] : [];
  const left: string[] = [];
  const runAll = async (queue: Job[]) => {
    for (let job = queue.shift(); job !== undefined && !isEnding; job = queue.shift()) {
      const began = performance.now();
      const { counts, output } = await job.run();
      const time_s = (performance.now() - began) / 1000;
      const name = job.name.padEnd(NAME_WIDTH);
      process.stdout.write(`${name} ${countsText(counts)}  ${pc.dim(`${time_s.toFixed(1)} s`)}\n`);
      if (counts.failed > 0) process.stdout.write(`${indent(output)}\n`);
      else for (const line of skipLines(output)) process.stdout.write(`    ${pc.yellow(line)}\n`);
      for (const what of await endProcesses(markOf(job.name))) left.push(`${what}, by ${job.name}`);
      all.push(counts);
    }
  };
  const first = jobs.filter(({ name }) => name === ALONE_WITH_LABS);
  const labless = inOrder(jobs.filter(({ name }) => LABLESS.includes(name)));
  const others = inOrder(jobs.filter((job) => !first.includes(job) && !labless.includes(job)));
  const beside = Promise.all(labless.map((job) => runAll([job])));
  await runAll(first);
  const lanes = Array.from({ length: LANES - 1 }, () => runAll(others));
  await Promise.all([...lanes, beside.then(() => runAll(others))]);
  left.push(...(await newTraces(before)));
  process.stdout.write(`${"nothing is left behind".padEnd(NAME_WIDTH)} `);
  process.stdout.write(left.length === 0 ? "passed\n" : `${pc.red("failed")}\n${indent(left.join("\n"))}\n`);
  all.push({ passed: left.length === 0 ? 1 : 0, failed: left.length === 0 ? 0 : 1, skipped: 0 });
  const sum = (key: keyof Counts) => all.reduce((total, counts) => total + counts[key], 0);
  if (sum("skipped") > 0) process.stdout.write(`\n${sum("skipped")} skipped, each for the reason above\n`);
  process.stdout.write(`\n${sum("passed")} passed, ${sum("failed")} failed\n`);
  return sum("failed") === 0 ? 0 : 1;
}

function inOrder(jobs: readonly Job[]): Job[] {
  const place = ({ name }: Job) => (LONG.includes(name) ? LONG.indexOf(name) : LONG.length);
  return [...jobs].sort((a, b) => place(a) - place(b));
}

function lintJob(): Job {
  return {
    name: "lint",
    async run() {
      const { output, end } = await runProgram("lint", [join(ROOT, "deploy/lint.js")]);
      return { counts: { passed: end === "" ? 1 : 0, failed: end === "" ? 0 : 1, skipped: 0 }, output };
    },
  };
}

function fileJobs(): Job[] {
  const files = readdirSync(COMPILED).filter((name) => name.endsWith(".test.js"));
  const skips = pathToFileURL(join(COMPILED, "show_skips.js")).href;
  return files.sort().map((file) => {
    const name = file.replace(/\.test\.js$/, "");
    const run = async () => {
      const { output, end } = await runProgram(name, ["--import", skips, join(COMPILED, file)]);
      const counts = countsOf(output);
      const isEmpty = counts.passed + counts.failed + counts.skipped === 0;
      const isBad = end !== "" || isEmpty;
      // It ended badly although every test passed, or before it could say so, or it has no test at all.
      const failed = isBad && counts.failed === 0 ? 1 : counts.failed;
      const why = end || (isEmpty ? "it has no test" : "");
      return { counts: { ...counts, failed }, output: isBad ? `${output}\n${why}` : output };
    };
    return { name, run };
  });
}

/** What uvu says at the end of a file. */
function countsOf(text: string): Counts {
  const count = (name: string) => Number(new RegExp(`^ *${name}: +(\\d+)$`, "m").exec(text)?.[1] ?? 0);
  const [total, passed] = [count("Total"), count("Passed")];
  return { passed, failed: total - passed, skipped: count("Skipped") };
}

/** What is in the environment of everything that a job starts. */
function markOf(job: string): string {
  return `${RUN}${job}.`;
}

/** Runs a script of Node's to its end, or to the end of its time. */
async function runProgram(job: string, args: readonly string[]): Promise<Ended> {
  const { FORCE_COLOR: _, ...rest } = process.env;
  const environment = {
    ...rest,
    [MARK]: markOf(job).slice(MARK.length + 1),
    NO_COLOR: "1",
    XDG_STATE_HOME: STATE,
  };
  // In a group of its own, so that all of it can be ended.
  const child = spawn(process.execPath, args, {
    cwd: ROOT,
    detached: true,
    env: environment,
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => {
      output += text;
    });
  }
  let isTooLong = false;
  const timers = [
    setTimeout(() => {
      isTooLong = true;
      signalProcess(-child.pid!, "SIGTERM");
    }, TIMEOUT_MS),
    setTimeout(() => signalProcess(-child.pid!, "SIGKILL"), TIMEOUT_MS + GRACE_MS),
  ];
  const end = await new Promise<string>((resolve) => {
    const tell = (status: number | null, signal: string | null) =>
      resolve(status === 0 ? "" : `it ended with ${signal === null ? `status ${status}` : signal}`);
    child.on("error", (error) => resolve(error.message));
    child.on("close", tell);
    // A program that it left behind may hold its output open.
    child.on("exit", (status, signal) => setTimeout(() => tell(status, signal), GRACE_MS).unref());
  });
  timers.forEach(clearTimeout);
  const text = stripVTControlCharacters(output);
  return { output: text, end: isTooLong ? `it took more than ${TIMEOUT_MS / 60_000} minutes` : end };
}

/** @param pid less than 0 for a group */
function signalProcess(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {} // it has ended
}

/** What is there now and was not before; looked at twice, because others may use carom at the same time. */
async function newTraces(before: ReadonlySet<string>): Promise<string[]> {
  const look = async () => {
    const found = [...traces()].filter((trace) => !before.has(trace));
    const owned = await Promise.all(found.map(hasLivingOwner));
    return found.filter((_, index) => !owned[index]);
  };
  const first = await look();
  if (first.length === 0) return [];
  await new Promise((resolve) => setTimeout(resolve, GRACE_MS));
  return (await look()).filter((trace) => first.includes(trace));
}

function countsText({ passed, failed, skipped }: Counts): string {
  const parts = [`${passed} passed`];
  if (failed > 0) parts.push(pc.red(`${failed} failed`));
  if (skipped > 0) parts.push(`${skipped} skipped`);
  return parts.join(", ");
}

function skipLines(output: string): string[] {
  return output.split("\n").filter((line) => line.startsWith("skipped: "));
}

function indent(text: string): string {
  return text
    .trimEnd()
    .split("\n")
    .map((line) => `    ${line}`)
    .join("\n");
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, async () => {
    if (isEnding) return;
    isEnding = true;
    // Not by the groups alone: a test's programs may have left them.
    for (const { pid } of processesWith(RUN)) signalProcess(pid, "SIGTERM");
    await endProcesses(RUN);
    process.stdout.write("\n");
    process.exit(130);
  });
}

process.on("exit", () => rmSync(STATE, { recursive: true, force: true }));

process.exitCode = await main(process.argv.slice(2));
