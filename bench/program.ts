/** Builds and runs the small C++ programs of the bench, and other tools' commands. */

import { execFileSync, spawn } from "node:child_process";
import { mkdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { CaromError } from "../native/error.js";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const BUILD = `${ROOT}native/build/bench`;
const CAROM = `${ROOT}dist/cli/main.js`;
/** What programs need that use filters. */
export const FILTER_SOURCES = [
  "expression",
  "filter",
  "graph_builder",
  "graph_text",
  "head",
  "interpret",
  "jit",
  "language",
  "lower",
  "machine_code",
  "market_terms",
  "packet_filter",
  "program",
  "simd",
  "simplify",
  "symbol_set",
].map((name) => `filter/${name}.cpp`);
/** And those that run the responder's loop. */
export const LOOP_SOURCES = [
  "core/clock.cpp",
  "core/evidence.cpp",
  "core/privileges.cpp",
  "core/thread.cpp",
  "core/turn_watch.cpp",
  "io/nic_timestamping.cpp",
  "io/socket.cpp",
  "io/timestamping.cpp",
  "io/watcher.cpp",
  "loop/respond.cpp",
  "loop/role.cpp",
];
export const FILTER_LIBRARIES = ["-lpcap", "-lasmjit"];
const FLAGS = [
  "-std=c++20",
  "-O3",
  "-DNDEBUG",
  "-Wall",
  "-Wextra",
  "-Wno-missing-field-initializers",
  `-I${ROOT}native`,
];

/**
 * Compiles a program of bench/ and links it with what it needs of native/: the very objects that carom's own core was
 * built of; those of bench/ are compiled with it. Returns its path. @throws CaromError
 */
export function compile(name: string, sources: readonly string[], libraries: readonly string[] = []): string {
  mkdirSync(BUILD, { recursive: true });
  const output = `${BUILD}/${name}`;
  const fileOf = (source: string) =>
    source.startsWith("../")
      ? `${ROOT}native/${source}`
      : `${ROOT}native/build/Release/obj.target/carom/${source.replace(/\.cpp$/, ".o")}`;
  const files = [`${ROOT}bench/${name}.cpp`, ...[...new Set(sources)].map(fileOf)];
  try {
    execFileSync("g++", [...FLAGS, ...files, ...libraries, "-lpthread", "-o", output], {
      stdio: ["ignore", "inherit", "inherit"],
    });
  } catch {
    throw new CaromError("environment", `compile bench/${name}.cpp`, "g++ failed", "its messages are above");
  }
  return output;
}

/** Compiles an eBPF program of bench/. Returns the path of the object. @throws CaromError */
export function compileBpf(name: string): string {
  mkdirSync(BUILD, { recursive: true });
  const output = `${BUILD}/${name}.bpf.o`;
  try {
    const multiarch = execFileSync("gcc", ["-print-multiarch"], { encoding: "utf8" }).trim();
    // -g makes the BTF by which maps are described.
    const flags = ["-O2", "-g", "-Wall", "-Werror", "-target", "bpf", `-I/usr/include/${multiarch}`];
    execFileSync("clang", [...flags, "-c", `${ROOT}bench/${name}.bpf.c`, "-o", output], {
      stdio: ["ignore", "inherit", "inherit"],
    });
  } catch {
    throw new CaromError(
      "environment",
      `compile bench/${name}.bpf.c`,
      "clang failed",
      "its messages are above",
    );
  }
  return output;
}

export interface Finished {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end, without a shell; the bench itself sleeps meanwhile. */
export function execute(
  command: readonly string[],
  onSpawn?: (pid: number) => void,
  input?: Uint8Array,
): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const [file = "", ...args] = command;
    const child = spawn(file, args, { stdio: ["pipe", "pipe", "pipe"] });
    child.stdin.on("error", () => {}); // it ended before it had read everything: its status says why
    child.stdin.end(input);
    let stdout = "";
    let stderr = "";
    child.stdout.on("data", (data: Buffer) => (stdout += data.toString()));
    child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, stdout, stderr }));
    if (child.pid !== undefined) onSpawn?.(child.pid);
  });
}

/** carom's command line, as a user calls it; but the bench's runs are in nobody's history. */
export function carom(...args: string[]): string[] {
  const keepsRuns = args[0] === "run" || args[0] === "generate";
  return [process.execPath, CAROM, ...args, ...(keepsRuns ? ["--no-history"] : [])];
}
