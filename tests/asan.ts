/**
 * Everything native under AddressSanitizer and UndefinedBehaviorSanitizer: the tests of native/test, and
 * whole runs in the lab with an addon that was built with both. npm run test:asan
 *
 * Exit status: 0 all passed, 1 otherwise.
 */

import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import { missingCapabilities } from "../lab/capability.js";
import { check, end, nativeTests, type Outcome, ROOT, run, skip } from "./sanitizer.js";

const TREE = join(ROOT, "native/build/asan"); // a second checkout, for dist/ finds the addon beside itself
const ADDON = join(TREE, "native/build/Release/carom.node");
const REPORTS = join(TREE, "reports");
const SANITIZE = "-fsanitize=address,undefined -fno-sanitize-recover=all";

/** What is wrong with an outcome: its status, or a sanitizer's report, wherever that was written. */
function complaint({ status, output }: Outcome): string {
  const reports = existsSync(REPORTS) ? readdirSync(REPORTS).map((name) => join(REPORTS, name)) : [];
  const texts = reports.map((file) => readFileSync(file, "utf8"));
  for (const file of reports) rmSync(file);
  const isReported = texts.length > 0 || /AddressSanitizer|runtime error:/.test(output);
  if (status === 0 && !isReported) return "";
  return [...texts, output, `status ${status}`].join("\n");
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

nativeTests({
  name: "test-asan/carom-test",
  faults: [
    ["--overread", "reads beyond its memory", "heap-buffer-overflow"],
    ["--overflow", "overflows", "signed integer overflow"],
  ],
  complaint,
});
const wrong = await buildAddon();
check("the addon is built with sanitizers", () => wrong);
if (wrong === "") wholeRuns();
end();
