/** The native core without a network: builds the programs of native/test, and runs each of their tests. */

import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";

const SOURCES = fileURLToPath(new URL("../../native/test", import.meta.url));
const PROGRAM = fileURLToPath(new URL("../../native/build/test/carom-test", import.meta.url));
// Should one hang; the time is what the other test files leave.
const LIMIT = { timeout: 600_000, killSignal: "SIGKILL" } as const;

function run(file: string, ...args: string[]): { readonly isGood: boolean; readonly output: string } {
  const { status, signal, error, stdout, stderr } = spawnSync(file, args, { encoding: "utf8", ...LIMIT });
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

const said = names.length === 0 ? [] : whatTheySay();

for (const [index, name] of names.entries()) {
  test(name, () => {
    const text = said[index]!;
    assert.ok(/: ok, [\d.]+ s\n(\d+ passed, \d+ failed\n)?$/.test(text), text);
  });
}

/** Runs all of them, in one process: in another one from the next on where a test ends it. What each says. */
function whatTheySay(): string[] {
  const folder = mkdtempSync(join(tmpdir(), "carom-native-"));
  try {
    const texts: string[] = [];
    while (texts.length < names.length)
      texts.push(...whatSay(names.slice(texts.length), join(folder, "said")));
    return texts;
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** … these say, up to the one that ends the process: each names itself first, and they run in the order of --list. */
function whatSay(some: readonly string[], path: string): string[] {
  const file = openSync(path, "w"); // for both streams, so that what they say stays in its order
  const { status, signal, error } = spawnSync(PROGRAM, some, { stdio: ["ignore", file, file], ...LIMIT });
  closeSync(file);
  const text = readFileSync(path, "utf8");
  const begins: number[] = [];
  for (const name of some) {
    const at = text.indexOf(`\n${name}: `, begins.at(-1) ?? 0);
    if (at < 0) break;
    begins.push(at);
  }
  const texts = begins.map((at, index) => text.slice(at + 1, (begins[index + 1] ?? text.length) + 1));
  const isWhole = texts.length === some.length && signal === null;
  if (!isWhole)
    texts.push(`${texts.pop() ?? text}\n${error?.message ?? `it ended with ${signal ?? status}`}`);
  return texts;
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
