/** What is compiled: the native core with the eBPF programs that it carries, and the TypeScript. */

import { existsSync, readFileSync, rmSync, statSync } from "node:fs";
import { join, relative } from "node:path";
import { filesBelow, hashFiles, hashText, identityOf, isSame, readStamp, writeStamp } from "./inputs.js";
import { nodeGyp } from "./node_gyp.js";
import { FailedProgram, runStep, SetupError, showOutput } from "./step.js";

const ADDON = "native/build/Release/carom.node";
const NATIVE_STAMP = "native/build/.carom-stamp";
const BUILD_PACKAGES = [
  "clang",
  "g++",
  "libasmjit-dev",
  "libbpf-dev",
  "libpcap-dev",
  "libzstd-dev",
  "linux-libc-dev",
];

/**
 * What the native core would be built from now; undefined when it was built from just that.
 * @param {Record<string, string>} versions of the Debian packages
 */
export function lookAtNative(root, versions) {
  const isSource = (name) => /\.(c|cc|cpp|h|js|gyp|gypi)$/.test(name);
  const files = filesBelow(join(root, "native"), isSource, (name) => !name.startsWith("build"));
  const now = {
    files: hashFiles(root, files),
    tools: [process.versions.modules, process.arch, ...BUILD_PACKAGES.map((name) => versions[name] ?? "")],
    lock: hashText(readFileSync(join(root, "package-lock.json"))), // node-addon-api and node-gyp
  };
  const { addon, ...then } = readStamp(join(root, NATIVE_STAMP));
  const isReady = addon !== undefined && addon === identityOf(join(root, ADDON)) && isSame(then, now);
  return isReady ? undefined : now;
}

/** @throws {SetupError} */
export async function buildNative(root, inputs, inherited) {
  refuseForMake(root);
  const stamp = join(root, NATIVE_STAMP);
  const then = readStamp(stamp);
  rmSync(stamp, { force: true });
  // make goes by the times of files; what it can't see by them is built from nothing.
  if (!isVisibleToMake(root, then, inputs))
    rmSync(join(root, "native/build"), { recursive: true, force: true });
  const command = nodeGyp(root, join(root, "native"), ["configure", "build"]);
  try {
    await runStep("native core", command, { cwd: root, inherited });
  } catch (error) {
    if (!(error instanceof FailedProgram)) throw error;
    showOutput(error.output);
    throw new SetupError("the native core could not be built", [
      "see what the compiler says above.",
      "If it is about something that was only half built: rm -r native/build, then the same command again.",
    ]);
  }
  writeStamp(stamp, { ...inputs, addon: identityOf(join(root, ADDON)) });
}

/** Whether every file that changed since the last build is newer than it, and nothing else changed. */
function isVisibleToMake(root, then, now) {
  const built = statSync(join(root, ADDON), { throwIfNoEntry: false });
  if (built === undefined) return true; // whatever is there of it was cut short
  if (then.files === undefined) return true; // built by hand, by make's own rules
  if (!isSame(then.tools, now.tools) || then.lock !== now.lock) return false;
  const changed = Object.keys(now.files).filter((file) => then.files[file] !== now.files[file]);
  return changed.every((file) => statSync(join(root, file)).mtimeMs > built.mtimeMs);
}

/** Characters that a folder's path can't have, found out by trying: make and the shell take them for their own. */
function refuseForMake(root) {
  const bad = /[\s'"`()&;|<>#$\\]/.exec(root)?.[0];
  if (bad === undefined) return;
  const what = /\s/.test(bad) ? "a space" : bad;
  throw new SetupError(`the native core can't be built in a folder with ${what} in its path: ${root}`, [
    "move this checkout to a folder without, or clone it again there.",
  ]);
}

const OUTPUT = "dist";
const SCRIPT_STAMP = "dist/.carom-stamp";
const NOT_OURS = ["node_modules", "build", OUTPUT, ".git"];

/** What the TypeScript would be compiled from now; undefined when it was compiled from just that. */
export function lookAtTypeScript(root) {
  const now = { files: hashFiles(root, [...scripts(root), join(root, "tsconfig.json")]), lock: "" };
  now.lock = hashText(readFileSync(join(root, "package-lock.json")));
  const isReady = isSame(readStamp(join(root, SCRIPT_STAMP)), now) && missingOutputs(root).length === 0;
  return isReady ? undefined : now;
}

/** @throws {SetupError} */
export async function compileTypeScript(root, inputs, inherited) {
  const stamp = join(root, SCRIPT_STAMP);
  rmSync(stamp, { force: true });
  // The compiler goes by its notes of what it wrote, and does not look whether it is still there.
  if (missingOutputs(root).length > 0) rmSync(join(root, OUTPUT, ".tsbuildinfo"), { force: true });
  const command = [process.execPath, join(root, "node_modules/typescript/bin/tsc"), "--pretty", "false"];
  try {
    await runStep("TypeScript", command, { cwd: root, inherited });
  } catch (error) {
    if (!(error instanceof FailedProgram)) throw error;
    showOutput(error.output);
    throw new SetupError("the TypeScript could not be compiled", ["see what the compiler says above."]);
  }
  removeStrays(root);
  writeStamp(stamp, inputs);
}

function scripts(root) {
  const isScript = (name) => /\.tsx?$/.test(name);
  return filesBelow(root, isScript, (name) => !NOT_OURS.includes(name) && !name.startsWith("."));
}

function missingOutputs(root) {
  const outputs = scripts(root)
    .filter((file) => !file.endsWith(".d.ts"))
    .map((file) => join(root, OUTPUT, relative(root, file).replace(/\.tsx?$/, ".js")));
  return outputs.filter((file) => !existsSync(file));
}

/** What was compiled from files that are gone: a test among them would still be run. */
function removeStrays(root) {
  const isOutput = (name) => /\.js(\.map)?$/.test(name);
  for (const file of filesBelow(join(root, OUTPUT), isOutput)) {
    const source = join(root, relative(join(root, OUTPUT), file).replace(/\.js(\.map)?$/, ".ts"));
    if (!existsSync(source) && !existsSync(`${source}x`)) rmSync(file);
  }
}
