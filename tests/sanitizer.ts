/** What the programs that run everything native under a sanitizer share: tests by name, counted, and native/test. */

import { spawnSync } from "node:child_process";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pc from "picocolors";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const TIMEOUT_MS = 10 * 60_000;
const BUILD_TIMEOUT_MS = 30 * 60_000;

export interface Outcome {
  readonly status: number | null;
  readonly output: string;
}

const counts = { passed: 0, failed: 0, skipped: 0 };

export function run(
  command: readonly string[],
  extra: NodeJS.ProcessEnv = {},
  timeout = TIMEOUT_MS,
): Outcome {
  const [file = "", ...args] = command;
  const env = { ...process.env, NO_COLOR: "1", ...extra };
  const options = { cwd: ROOT, env, encoding: "utf8", timeout, maxBuffer: 1 << 26 } as const;
  const { status, signal, error, stdout, stderr } = spawnSync(file, args, options);
  const end = error?.message ?? (signal === null ? "" : `it ended with ${signal}`);
  return { status, output: `${stdout ?? ""}${stderr ?? ""}${end}` };
}

/** One test: an action that says what is wrong, or "". */
export function check(name: string, action: () => string): void {
  process.stdout.write(`${name} … `);
  const began = performance.now();
  const wrong = action();
  const time_s = ((performance.now() - began) / 1000).toFixed(1);
  if (wrong === "") counts.passed++;
  else counts.failed++;
  process.stdout.write(wrong === "" ? `ok, ${time_s} s\n` : `${pc.red("FAILED")}, ${time_s} s\n${wrong}\n`);
}

export function skip(name: string, reason: string): void {
  counts.skipped++;
  process.stdout.write(`${name} … ${pc.yellow("skipped")}: ${reason}\n`);
}

export interface SanitizedProgram {
  readonly name: string; // of a program in native/build, as native/test/Makefile has it
  readonly prefix?: readonly string[]; // of its command
  /** What it does wrong when it is told to, and what the sanitizer must then say. */
  readonly faults: readonly (readonly [option: string, what: string, report: string])[];
  /** What is wrong with an outcome, or "". */
  readonly complaint: (outcome: Outcome) => string;
}

/** Builds a program of native/test, sees that the sanitizer is at work, and runs each of its tests. */
export function nativeTests({ name, prefix = [], faults, complaint }: SanitizedProgram): void {
  const program = [...prefix, join(ROOT, "native/build", name)];
  const make = [
    "make",
    "-s",
    "-C",
    join(ROOT, "native/test"),
    `-j${availableParallelism()}`,
    `../build/${name}`,
  ];
  check(`${name} is built`, () => complaint(run(make, {}, BUILD_TIMEOUT_MS)));
  // Were the sanitizer not at work, everything below would pass.
  for (const [option, what, report] of faults) {
    check(`what ${what} is found`, () => {
      const { status, output } = run([...program, option]);
      return status !== 0 && output.includes(report) ? "" : `status ${status}\n${output}`;
    });
  }
  for (const test of run([...program, "--list"]).output.split("\n")) {
    if (test !== "") check(test, () => complaint(run([...program, test])));
  }
}

/** Prints the last line and sets the exit status: 0 all passed, 1 otherwise. */
export function end(): void {
  if (counts.skipped > 0) process.stdout.write(`\n${counts.skipped} skipped\n`);
  process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed\n`);
  process.exitCode = counts.failed === 0 ? 0 : 1;
}
