/**
 * The programs that configure the network: found, run without a shell, and their refusals made into errors.
 */

import { type SpawnSyncReturns, spawnSync } from "node:child_process";
import { accessSync, constants, statfsSync, statSync } from "node:fs";
import { join } from "node:path";
import { CaromError } from "../native/error.js";

/** The Debian package of each program that carom runs. */
const PACKAGES: Readonly<Record<string, string>> = {
  ip: "iproute2",
  tc: "iproute2",
  ethtool: "ethtool",
  sh: "dash",
  flock: "util-linux",
  nsenter: "util-linux",
  setpriv: "util-linux",
  unshare: "util-linux",
  mount: "mount",
};

// An ordinary user's PATH lacks the directories where Debian keeps ip and ethtool.
const DIRECTORIES = [...(process.env.PATH ?? "").split(":"), "/usr/sbin", "/usr/bin", "/sbin", "/bin"].filter(
  (directory) => directory.startsWith("/"),
);

/**
 * The environment for a program that is run for its output: everything in English, nothing missing from
 * PATH.
 */
export const TOOL_ENVIRONMENT = { ...process.env, PATH: DIRECTORIES.join(":"), LC_ALL: "C" };

const NAMESPACE_DIRECTORY = "/run/netns"; // where iproute2 keeps named namespaces

/** The path of a named network namespace. */
export function namespacePath(name: string): string {
  return join(NAMESPACE_DIRECTORY, name);
}

const NSFS_MAGIC = 0x6e736673; // linux/magic.h

/** Whether a path is a namespace: after a restart, an empty file may be all that is left of one. */
export function isNamespace(path: string): boolean {
  try {
    return statfsSync(path).type === NSFS_MAGIC;
  } catch {
    return false;
  }
}

/** What to put before a command so that it runs in a network namespace; nothing for "", carom's own. */
export function namespaceArguments(namespace: string): string[] {
  // Not `ip netns exec`: that mounts /sys again, which containers refuse and which hides bpffs.
  return namespace === "" ? [] : ["nsenter", `--net=${namespace}`, "--"];
}

/** The file of a program, or undefined when it is not installed. */
export function findTool(tool: string): string | undefined {
  return DIRECTORIES.map((directory) => join(directory, tool)).find((file) => {
    try {
      accessSync(file, constants.X_OK);
      return statSync(file).isFile();
    } catch {
      return false;
    }
  });
}

/** @throws CaromError (environment) that names the first program that is not installed, and its package */
export function requireTools(operation: string, tools: readonly string[]): void {
  const missing = tools.find((tool) => findTool(tool) === undefined);
  if (missing !== undefined) throw notInstalled(operation, missing);
}

function notInstalled(operation: string, tool: string): CaromError {
  const hint = `install the Debian package ${PACKAGES[tool] ?? tool}`;
  return new CaromError("environment", operation, `${tool} is not installed`, hint);
}

export interface RunOptions {
  /** What the program reads on standard input. */
  readonly input?: string;
}

/** The number under which programs find the descriptor that they inherit. */
export const INHERITED = 3;

let inherited: number | undefined;

/** Has every program that is run from now on inherit a file descriptor; undefined ends it. */
export function inheritDescriptor(descriptor: number | undefined): void {
  inherited = descriptor;
}

/**
 * Runs a program to its end, whatever its exit status.
 * @throws CaromError (environment) when it is not installed
 */
export function tryRun(
  operation: string,
  command: readonly string[],
  options: RunOptions = {},
): SpawnSyncReturns<string> {
  const [file = "", ...args] = command;
  const result = spawnSync(file, args, {
    encoding: "utf8",
    env: TOOL_ENVIRONMENT,
    input: options.input ?? "",
    maxBuffer: 16 << 20,
    stdio: ["pipe", "pipe", "pipe", ...(inherited === undefined ? [] : [inherited])], // the 4th is INHERITED
  });
  const { code } = (result.error ?? {}) as NodeJS.ErrnoException;
  if (code === "ENOENT") throw notInstalled(operation, file);
  // EPIPE only says that it ended before it had read everything: its own words are more to the point.
  if (code !== undefined && code !== "EPIPE")
    throw new CaromError("environment", operation, `${file}: ${code}`);
  return result;
}

/**
 * Runs a program that must succeed.
 * @returns its standard output
 * @throws CaromError (environment) with its words
 */
export function run(operation: string, command: readonly string[], options: RunOptions = {}): string {
  const result = tryRun(operation, command, options);
  if (result.status === 0) return result.stdout;
  throw new CaromError("environment", operation, complaint(command, result, options.input ?? ""));
}

/** What a failed program said, with the line of an ip batch at which it stopped. */
function complaint(command: readonly string[], result: SpawnSyncReturns<string>, input: string): string {
  const words = result.stderr.trim().split("\n");
  const failed = /^Command failed -:(\d+)$/.exec(words.at(-1) ?? "");
  if (failed !== null) words.splice(-1, 1, `at "ip ${input.split("\n")[Number(failed[1]) - 1]}"`);
  const text = words.filter((line) => line !== "").join("; ");
  if (text !== "") return text;
  const end = result.signal === null ? `ended with status ${result.status}` : `was ended by ${result.signal}`;
  return `${command.join(" ")} ${end}`;
}
