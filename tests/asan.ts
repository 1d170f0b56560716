/**
 * Everything native under AddressSanitizer and UndefinedBehaviorSanitizer: the tests of native/test, and
 * whole runs in the lab with an addon that was built with both. npm run test:asan
 *
 * Exit status: 0 all passed, 1 otherwise.
 */

import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pc from "picocolors";
import { missingCapabilities } from "../lab/capability.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const TREE = join(ROOT, "native/build/asan"); // a second checkout, for dist/ finds the addon beside itself
const ADDON = join(TREE, "native/build/Release/carom.node");
const REPORTS = join(TREE, "reports");
const SANITIZE = "-fsanitize=address,undefined -fno-sanitize-recover=all";
const TIMEOUT_MS = 10 * 60_000;

interface Outcome {
  readonly status: number | null;
  readonly output: string;
}

const counts = { passed: 0, failed: 0, skipped: 0 };

function run(command: readonly string[], extra: NodeJS.ProcessEnv = {}): Outcome {
  const [file = "", ...args] = command;
  const env = { ...process.env, NO_COLOR: "1", ...extra };
  const options = { cwd: ROOT, env, encoding: "utf8", timeout: TIMEOUT_MS, maxBuffer: 1 << 26 } as const;
  const { status, signal, error, stdout, stderr } = spawnSync(file, args, options);
  const end = error?.message ?? (signal === null ? "" : `it ended with ${signal}`);
  return { status, output: `${stdout ?? ""}${stderr ?? ""}${end}` };
}

/** One test: an action that says what is wrong, or "". */
function check(name: string, action: () => string): void {
  process.stdout.write(`${name} … `);
  const began = performance.now();
  const wrong = action();
  const time_s = ((performance.now() - began) / 1000).toFixed(1);
  if (wrong === "") counts.passed++;
  else counts.failed++;
  process.stdout.write(wrong === "" ? `ok, ${time_s} s\n` : `${pc.red("FAILED")}, ${time_s} s\n${wrong}\n`);
}

function skip(name: string, reason: string): void {
  counts.skipped++;
  process.stdout.write(`${name} … ${pc.yellow("skipped")}: ${reason}\n`);
}

/** What is wrong with an outcome: its status, or a sanitizer's report, wherever that was written. */
function complaint({ status, output }: Outcome): string {
  const reports = existsSync(REPORTS) ? readdirSync(REPORTS).map((name) => join(REPORTS, name)) : [];
  const texts = reports.map((file) => readFileSync(file, "utf8"));
  for (const file of reports) rmSync(file);
  const isReported = texts.length > 0 || /AddressSanitizer|runtime error:/.test(output);
  if (status === 0 && !isReported) return "";
  return [...texts, output, `status ${status}`].join("\n");
}

function nativeTests(): void {
  const program = join(ROOT, "native/build/test-asan/carom-test");
  const jobs = `-j${availableParallelism()}`;
  check("native/test is built with sanitizers", () =>
    complaint(run(["make", "-s", "-C", join(ROOT, "native/test"), jobs, "../build/test-asan/carom-test"])),
  );
  // Were they not at work, everything below would pass.
  check("what reads beyond its memory is found", () => {
    const { status, output } = run([program, "--overread"]);
    const isFound = status !== 0 && output.includes("heap-buffer-overflow");
    return isFound ? "" : `status ${status}\n${output}`;
  });
  check("what overflows is found", () => {
    const { status, output } = run([program, "--overflow"]);
    const isFound = status !== 0 && output.includes("signed integer overflow");
    return isFound ? "" : `status ${status}\n${output}`;
  });
  for (const name of run([program, "--list"]).output.split("\n")) {
    if (name !== "") check(name, () => complaint(run([program, name])));
  }
}

/** The sources, with their times, so that make builds only what changed; and all that dist/ looks for. */
function makeTree(): void {
  const native = join(TREE, "native");
  mkdirSync(native, { recursive: true });
  for (const name of readdirSync(native)) {
    if (name !== "build") rmSync(join(native, name), { recursive: true });
  }
  for (const name of readdirSync(join(ROOT, "native"))) {
    if (name === "build") continue;
    cpSync(join(ROOT, "native", name), join(native, name), { recursive: true, preserveTimestamps: true });
  }
  for (const name of ["dist", "check/scripts", "package.json", "reports"]) {
    rmSync(join(TREE, name), { recursive: true, force: true });
    if (name !== "reports") cpSync(join(ROOT, name), join(TREE, name), { recursive: true });
  }
  mkdirSync(REPORTS);
  if (!existsSync(join(TREE, "node_modules")))
    symlinkSync(join(ROOT, "node_modules"), join(TREE, "node_modules"));
}

async function buildAddon(): Promise<string> {
  makeTree();
  const helper = new URL("../../deploy/setup/node_gyp.js", import.meta.url).href;
  const { nodeGyp } = (await import(helper)) as {
    nodeGyp(root: string, directory: string, actions: readonly string[]): string[];
  };
  const { status, output } = run(nodeGyp(ROOT, join(TREE, "native"), ["configure", "build"]), {
    CXXFLAGS: `-g -O1 ${SANITIZE}`,
    LDFLAGS: SANITIZE,
  });
  if (status !== 0) return output;
  return readFileSync(ADDON).includes("__asan_init") ? "" : "it does not use the sanitizer's library";
}

/** carom in the second tree. Node itself has no sanitizer, so its library must be loaded before all others. */
function carom(...args: string[]): Outcome {
  const library = run(["g++", "-print-file-name=libasan.so"]).output.trim();
  const common = `log_path=${join(REPORTS, "report")}`;
  return run([process.execPath, join(TREE, "dist/cli/main.js"), ...args], {
    LD_PRELOAD: library,
    // Node does not free everything at its end, and raw-socket, which is not ours, deletes its objects as if
    // they were smaller ones.
    ASAN_OPTIONS: `${common}:detect_leaks=0${args[0] === "check" ? ":new_delete_type_mismatch=0" : ""}`,
    UBSAN_OPTIONS: `${common}:print_stacktrace=1`,
  });
}

const CLOSED = ["run", "--count", "3000", "--window", "4", "--warmup", "20ms", "--timeout", "5s"];
const OPEN = ["run", "--rate", "2k", "--duration", "1s", "--warmup", "20ms", "--timeout", "5s"];
const RUNS: readonly (readonly string[])[] = [
  [...CLOSED, "--backend", "af_xdp"],
  [...CLOSED, "--backend", "af_packet"],
  [...CLOSED, "--backend", "udp"],
  [...CLOSED, "--backend", "af_xdp", "--timestamps", "kernel", "--match", "price"],
  [...CLOSED, "--backend", "af_packet", "--timestamps", "kernel", "--vlan", "100"],
  [...CLOSED, "--backend", "udp", "--timestamps", "kernel", "--match", "fifo"],
  [...CLOSED, "--backend", "af_xdp", "--responder-backend", "xdp"],
  [...CLOSED, "--backend", "af_packet", "--multicast-group", "ff02::1:1"],
  [...OPEN, "--backend", "af_xdp", "--responder-backend", "udp"],
  ["check"],
  ["doctor"],
];

function wholeRuns(): void {
  const missing = missingCapabilities(["CAP_NET_ADMIN", "CAP_SYS_ADMIN", "CAP_NET_RAW"]);
  for (const args of RUNS) {
    const name = `carom ${args.join(" ")}`;
    if (missing.length > 0) skip(name, `this process lacks ${missing.join(" and ")}`);
    else check(name, () => complaint(carom(...args)));
  }
}

nativeTests();
const wrong = await buildAddon();
check("the addon is built with sanitizers", () => wrong);
if (wrong === "") wholeRuns();
const skipped = counts.skipped > 0 ? `, ${counts.skipped} skipped` : "";
process.stdout.write(`\n${counts.passed} passed, ${counts.failed} failed${skipped}\n`);
process.exitCode = counts.failed === 0 ? 0 : 1;
