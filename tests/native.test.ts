/** The native core without a network: builds the programs of native/test, and runs each of their tests. */

import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";

const SOURCES = fileURLToPath(new URL("../../native/test", import.meta.url));
const PROGRAM = fileURLToPath(new URL("../../native/build/test/carom-test", import.meta.url));
const TIMEOUT_MS = 600_000; // for one test, should it hang; the time is what the tests of networks leave

function run(file: string, ...args: string[]): { readonly isGood: boolean; readonly output: string } {
  const options = { encoding: "utf8", timeout: TIMEOUT_MS, killSignal: "SIGKILL" } as const;
  const { status, signal, error, stdout, stderr } = spawnSync(file, args, options);
  const end = error?.message ?? (signal === null ? "" : `it ended with ${signal}`);
  return { isGood: status === 0, output: `${stdout ?? ""}${stderr ?? ""}${end}` };
}

// Built here and not in a test, for the program itself knows what tests it has.
const jobs = `-j${availableParallelism()}`;
const built = run("make", "-s", "-C", SOURCES, jobs, "../build/test/carom-test");

test("native/test builds, without a warning", () => {
  assert.ok(built.isGood, built.output);
  assert.not.match(built.output, /warning:/);
});

const names = built.isGood
  ? run(PROGRAM, "--list")
      .output.split("\n")
      .filter((name) => name !== "")
  : [];

for (const name of names) {
  test(name, () => {
    const { isGood, output } = run(PROGRAM, name);
    assert.ok(isGood, output);
  });
}

test("what one thread hands to another has no race: npm run test:tsan, its quick part", () => {
  const target = "../build/test-tsan/carom-test-threads";
  const { isGood: isBuilt, output: said } = run("make", "-s", "-C", SOURCES, jobs, target);
  assert.ok(isBuilt, said);
  const sanitized = (...args: string[]) =>
    run(
      "setarch",
      "--addr-no-randomize",
      fileURLToPath(new URL(`../../native/test/${target}`, import.meta.url)),
      ...args,
    );
  assert.match(sanitized("--race").output, /WARNING: ThreadSanitizer: data race/); // it is at work
  const { isGood, output } = sanitized();
  assert.ok(isGood && !output.includes("WARNING: ThreadSanitizer"), output);
});

// node-addon-api knows its own exceptions alone: any other that a function throws ends the process.
test("whatever JavaScript calls in the addon goes through addon/entry.h, which knows all exceptions", () => {
  const folder = fileURLToPath(new URL("../../native/addon", import.meta.url));
  const files = readdirSync(folder).filter((name) => name !== "entry.h");
  assert.ok(files.length >= 10);
  for (const name of files) {
    const source = readFileSync(`${folder}/${name}`, "utf8");
    assert.not.match(source, /Napi::Function::New\(|InstanceMethod\(|InstanceAccessor|StaticMethod/, name);
  }
});

test.run();
