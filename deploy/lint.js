/**
 * Checks the style of everything, or puts it right: TypeScript, JavaScript and JSON with Biome, C++ and C with
 * clang-format; and that package-lock.json is complete.
 *
 * node deploy/lint.js [--write]
 */

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { filesBelow } from "./setup/inputs.js";

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));
const isWriting = process.argv.includes("--write");

/** @returns {boolean} whether the program was content */
function run(name, command) {
  const [file, ...args] = command;
  const { status, error } = spawnSync(file, args, { cwd: ROOT, stdio: ["ignore", "inherit", "inherit"] });
  if (error !== undefined) {
    process.stderr.write(`${name}: ${error.message}; npm test installs what is missing\n`);
    return false;
  }
  process.stdout.write(`${name}: ${status === 0 ? "ok" : "see above; npm run format may put it right"}\n`);
  return status === 0;
}

function biome() {
  const program = join(ROOT, "node_modules/@biomejs/biome/bin/biome");
  const options = isWriting ? ["--write"] : [];
  return run("biome", [process.execPath, program, "check", ...options, "."]);
}

function clangFormat() {
  const isSource = (name) => /\.(c|cpp|h)$/.test(name) && !name.endsWith(".gen.h");
  const isEntered = (name) => !name.startsWith("build") && name !== "node_modules";
  const files = ["native", "bench", "tests/vm"].flatMap((folder) =>
    filesBelow(join(ROOT, folder), isSource, isEntered),
  );
  const options = isWriting ? ["-i"] : ["--dry-run", "--Werror"];
  return run("clang-format", ["clang-format", ...options, ...files.map((file) => relative(ROOT, file))]);
}

/** npm ci refuses a lock file that lacks a package, even one for other machines only. */
function lockFile() {
  const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"));
  const missing = Object.entries(packages).flatMap(([path, entry]) => {
    const wanted = Object.keys({ ...entry.dependencies, ...entry.optionalDependencies });
    return wanted.filter((name) => !isLocked(packages, path, name)).map((name) => `${name} (${path})`);
  });
  for (const name of missing) process.stderr.write(`package-lock.json lacks ${name}\n`);
  process.stdout.write(`package-lock.json: ${missing.length === 0 ? "ok" : "incomplete"}\n`);
  return missing.length === 0;
}

/** As Node looks for a package: beside what wants it, then outwards. */
function isLocked(packages, path, name) {
  for (let at = path; ; at = at.slice(0, Math.max(0, at.lastIndexOf("/node_modules/")))) {
    if (`${at}${at === "" ? "" : "/"}node_modules/${name}` in packages) return true;
    if (at === "") return false;
  }
}

const results = [biome(), clangFormat(), lockFile()];
process.exitCode = results.every((isContent) => isContent) ? 0 : 1;
