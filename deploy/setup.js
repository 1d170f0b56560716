/**
 * Makes a checkout ready to run: Debian packages, npm packages, the native core with its eBPF programs, and
 * the TypeScript. What is there already is left alone; with nothing to do it says nothing.
 *
 * node deploy/setup.js [--test] [--bench]
 *
 * Plain JavaScript that needs nothing but Node, because nothing else is there yet. It writes to standard error
 * only. Exit status: 0 ready, 3 this machine can't do it.
 */

import { spawnSync } from "node:child_process";
import { accessSync, constants, lchownSync, openSync, readdirSync, statSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildNative, compileTypeScript, lookAtNative, lookAtTypeScript } from "./setup/build.js";
import { installDebian, lookAtDebian, needsText } from "./setup/debian.js";
import { buildNpm, installNpm, lookAtNpm } from "./setup/npm.js";
import { SetupError, say } from "./setup/step.js";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const MADE = ["dist", "native/build", "node_modules"];
const COMPILERS = ["g++", "make", "python3"]; // what native packages of npm are built with
const LOCK_WAIT_S = 1800;
const NODE_MIN = 20;

async function main(args) {
  const purpose = { test: args.includes("--test"), bench: args.includes("--bench") };
  requireMachine();
  // Looked at first without the lock: mostly there is nothing to do, and then nobody is disturbed.
  if (isReady(purpose)) return;
  const began = performance.now();
  const lock = takeLock();
  requireWritable();
  await makeAll(purpose, lock);
  giveToOwner();
  say(`carom set-up: ready after ${((performance.now() - began) / 1000).toFixed(1)} s`);
}

/** Side by side, each as soon as what it takes is there: most of it is compiled, and one compiler fills one core. */
async function makeAll(purpose, lock) {
  const { missing, isDebian } = lookAtDebian(purpose);
  if (!isDebian) say(`carom set-up: no Debian packages here; what they bring must be there: ${needsText()}`);
  const debian = missing.length > 0 ? installDebian(missing) : undefined;
  const packages = lookAtNpm(ROOT);
  const npm = packages === "install" ? installNpm(ROOT, lock) : undefined;
  const hasCompiler = !missing.some((name) => COMPILERS.includes(name));
  await allOf([
    after([npm, hasCompiler ? undefined : debian], async () => {
      if (packages !== "") await buildNpm(ROOT, lock);
    }),
    after([npm, debian], async () => {
      const native = lookAtNative(ROOT, lookAtDebian(purpose).versions);
      if (native !== undefined) await buildNative(ROOT, native, lock);
    }),
    after([npm], async () => {
      const typeScript = lookAtTypeScript(ROOT);
      if (typeScript !== undefined) await compileTypeScript(ROOT, typeScript, lock);
    }),
  ]);
}

async function after(steps, action) {
  await Promise.all(steps);
  await action();
}

/** As Promise.all, but when one fails, the others are waited for: nothing works on behind an error's back. */
async function allOf(steps) {
  const failed = (await Promise.allSettled(steps)).find(({ status }) => status === "rejected");
  if (failed !== undefined) throw failed.reason;
}

function isReady(purpose) {
  const { missing, versions } = lookAtDebian(purpose);
  if (missing.length > 0 || lookAtNpm(ROOT) !== "") return false;
  return lookAtNative(ROOT, versions) === undefined && lookAtTypeScript(ROOT) === undefined;
}

function requireMachine() {
  const [major] = process.versions.node.split(".").map(Number);
  if (major < NODE_MIN) {
    throw new SetupError(`this is Node ${process.versions.node}`, [`carom needs Node ${NODE_MIN} or newer.`]);
  }
  if (process.platform !== "linux" || process.arch !== "x64") {
    const detail = `this is ${process.platform} on ${process.arch}`;
    throw new SetupError(detail, ["carom needs Linux on a 64-bit x86 processor."]);
  }
}

function requireWritable() {
  try {
    accessSync(ROOT, constants.W_OK);
    for (const folder of ["native", ...MADE]) {
      if (statSync(join(ROOT, folder), { throwIfNoEntry: false }) !== undefined) {
        accessSync(join(ROOT, folder), constants.W_OK);
      }
    }
  } catch (error) {
    const { uid } = statSync(error.path ?? ROOT);
    throw new SetupError(`${error.path ?? ROOT} is not writable for this user; it belongs to user ${uid}`, [
      "run the same command as that user or as root, or clone carom to a folder of your own.",
    ]);
  }
}

/** What root made in somebody else's folder would be in that user's way the next time. */
function giveToOwner() {
  const { uid, gid } = statSync(ROOT);
  if (process.getuid() !== 0 || uid === 0) return;
  for (const folder of MADE) {
    const path = join(ROOT, folder);
    if (statSync(path, { throwIfNoEntry: false }) === undefined) continue;
    lchownSync(path, uid, gid);
    const entries = readdirSync(path, { recursive: true, withFileTypes: true });
    for (const entry of entries) lchownSync(join(entry.parentPath ?? entry.path, entry.name), uid, gid);
  }
}

/**
 * Waits until no other set-up works in this folder. The lock is on the folder itself, for a file would have to be
 * somewhere that the set-up may remove. The kernel lets go of it however this process ends, but not before the
 * programs that it started have ended, too.
 * @returns {number} the descriptor that holds it
 */
function takeLock() {
  const descriptor = openSync(ROOT, constants.O_RDONLY | constants.O_DIRECTORY);
  const flock = (...options) =>
    spawnSync("flock", [...options, "3"], { stdio: ["ignore", "ignore", "ignore", descriptor] });
  const first = flock("--exclusive", "--nonblock");
  if (first.error !== undefined)
    throw new SetupError("flock is missing", ["install the package util-linux."]);
  if (first.status === 0) return descriptor;
  say("carom set-up: another set-up works in this folder; waiting for it");
  if (flock("--exclusive", "--timeout", String(LOCK_WAIT_S)).status === 0) return descriptor;
  throw new SetupError(`another set-up has been working for more than ${LOCK_WAIT_S / 60} minutes`, [
    "see what it does; it has this folder open.",
  ]);
}

try {
  await main(process.argv.slice(2));
} catch (error) {
  if (!(error instanceof SetupError)) throw error;
  say(`carom set-up: ${error.message}`);
  for (const line of error.next) say(`  ${line}`);
  process.exitCode = 3;
}
