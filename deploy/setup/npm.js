/** The npm packages: as package-lock.json has them, and those with native code built for this Node. */

import { spawnSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { filesBelow, hashText, isSame, readStamp, writeStamp } from "./inputs.js";
import { nodeGyp } from "./node_gyp.js";
import { FailedProgram, runStep, SetupError, showOutput } from "./step.js";

const STAMP = "node_modules/.carom-stamp";

/** What is to be done: "" nothing, "build" at most what is native, "install" everything. */
export function lookAtNpm(root) {
  if (isSame(readStamp(join(root, STAMP)), stampOf(root))) return "";
  return isInstalled(root) ? "build" : "install"; // installed, but not by the set-up
}

/**
 * Builds what is native of the packages that are there.
 * @throws {SetupError}
 */
export async function buildNpm(root, inherited) {
  for (const directory of nativePackages(root)) {
    if (isUsable(directory)) continue;
    const name = directory.slice(directory.lastIndexOf("node_modules/") + "node_modules/".length);
    await build(name, directory, root, inherited);
  }
  writeStamp(join(root, STAMP), stampOf(root));
}

/** @throws {SetupError} */
export async function installNpm(root, inherited) {
  const npm = process.env.npm_execpath;
  const program = npm?.endsWith(".js") === true ? [process.execPath, npm] : ["npm"];
  // Without scripts: no package may run one, and what they would build is built here.
  const command = [
    ...program,
    "ci",
    "--ignore-scripts",
    "--no-audit",
    "--no-fund",
    "--fetch-retry-maxtimeout=15000",
  ];
  try {
    await runStep("npm packages", command, { cwd: root, inherited });
  } catch (error) {
    if (!(error instanceof FailedProgram)) throw error;
    showOutput(error.output);
    throw new SetupError("the npm packages could not be installed", [
      "see what npm says above: it needs the npm registry, or a cache in which all packages are.",
      "If it says that package.json and package-lock.json do not agree, run npm install once.",
    ]);
  }
}

/** Hardly optimised: that takes twice as long for SQLite, and neither package is anywhere near a hot path. */
const FLAGS = { CFLAGS: process.env.CFLAGS ?? "-O1", CXXFLAGS: process.env.CXXFLAGS ?? "-O1" };

async function build(name, directory, root, inherited) {
  const command = nodeGyp(root, directory, ["rebuild"]);
  try {
    await runStep(`native code of ${name}`, command, { cwd: root, env: FLAGS, inherited });
  } catch (error) {
    if (!(error instanceof FailedProgram)) throw error;
    showOutput(error.output);
    throw new SetupError(`${name} could not be built`, ["see what the compiler says above."]);
  }
}

/** Only what decides about node_modules: the scripts in package.json do not. */
function stampOf(root) {
  const { dependencies, devDependencies, overrides } = JSON.parse(readText(root, "package.json"));
  return {
    lock: hashText(readText(root, "package-lock.json")),
    wanted: hashText(JSON.stringify([dependencies, devDependencies, overrides])),
    node: process.versions.modules, // changes when native code has to be built again
  };
}

/** Whether every package of package-lock.json is there in its version, but those for other machines. */
function isInstalled(root) {
  let there;
  try {
    there = JSON.parse(readText(root, "node_modules/.package-lock.json")).packages;
  } catch {
    return false;
  }
  return Object.entries(locked(root)).every(([path, { version, optional }]) => {
    if (there[path] === undefined) return optional === true;
    return there[path].version === version && existsSync(join(root, path));
  });
}

/** The folders of the packages that have native code. */
function nativePackages(root) {
  const withScript = Object.entries(locked(root)).filter(
    ([, { hasInstallScript }]) => hasInstallScript === true,
  );
  return withScript.map(([path]) => {
    const directory = join(root, path);
    if (existsSync(directory) && !existsSync(join(directory, "binding.gyp"))) {
      throw new SetupError(`${path} wants to run an install script that the set-up does not know`, [
        "see what it does, and add it to deploy/setup/npm.js.",
      ]);
    }
    return directory;
  });
}

/** Whether the native code of a package is built, and for this Node. */
function isUsable(directory) {
  const output = join(directory, "build/Release");
  if (!existsSync(output)) return false;
  const [addon] = filesBelow(
    output,
    (name) => name.endsWith(".node"),
    () => false,
  );
  if (addon === undefined) return false;
  const script = "process.dlopen({ exports: {} }, process.argv[1])";
  return spawnSync(process.execPath, ["-e", script, addon], { stdio: "ignore" }).status === 0;
}

function locked(root) {
  const { packages } = JSON.parse(readText(root, "package-lock.json"));
  return Object.fromEntries(Object.entries(packages).filter(([path]) => path !== ""));
}

function readText(root, file) {
  return readFileSync(join(root, file), "utf8");
}
