/**
 * Debian's packages, downloaded by apt with a configuration of its own, so that neither the lists nor the packages of
 * this machine change. apt checks every signature, as always.
 */

import { spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { CaromError } from "../../native/error.js";
import { type Dependency, deriveSources, parseDepends, parseSources } from "./sources.js";

const LIMIT_MS = 600_000; // for one program
const OUTPUT_MAX = 1 << 26;
const HINT = "guests are made of Debian's packages: npm run vm needs apt, and a source that can be reached";

/** A package in one version. */
export interface Package {
  readonly name: string;
  readonly version: string;
  readonly depends: readonly Dependency[];
}

/** Runs a program to its end. @throws CaromError (environment) with the end of what it said */
export function runProgram(operation: string, command: readonly string[], directory?: string): string {
  const [file = "", ...args] = command;
  const { status, stdout, stderr, error } = spawnSync(file, args, {
    encoding: "utf8",
    env: { ...process.env, LC_ALL: "C.UTF-8", DEBIAN_FRONTEND: "noninteractive" },
    maxBuffer: OUTPUT_MAX,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: LIMIT_MS,
    ...(directory === undefined ? {} : { cwd: directory }),
  });
  if (error === undefined && status === 0) return stdout;
  const said = `${stdout}${stderr}`.trim().split("\n").slice(-4).join("; ");
  const detail = error === undefined ? `${file} ended with status ${status}: ${said}` : error.message;
  throw new CaromError("environment", operation, detail, HINT);
}

/** The codename of this machine's Debian. @throws CaromError (environment) where it is no Debian */
export function debianCodename(): string {
  const text = readFileSync("/etc/os-release", "utf8");
  const field = (name: string) => new RegExp(`^${name}="?([^"\n]*)"?$`, "m").exec(text)?.[1] ?? "";
  if (field("ID") === "debian" && field("VERSION_CODENAME") !== "") return field("VERSION_CODENAME");
  const detail = `this is ${field("PRETTY_NAME") || "no Debian"}`;
  throw new CaromError("environment", "make virtual machines", detail, HINT);
}

export class Apt {
  private readonly options: readonly string[];

  /**
   * Fetches the lists of some suites.
   * @param folder for apt's lists and what it downloads
   * @throws CaromError (environment) when they can't be had
   */
  constructor(folder: string, codename: string, suites: readonly string[]) {
    for (const name of ["lists/partial", "archives/partial", "sources"])
      mkdirSync(join(folder, name), { recursive: true });
    const { text, missing } = deriveSources(machineSources(), codename, suites);
    if (missing.length > 0) {
      const detail = `apt's sources here have no main of ${codename}, from which to derive ${missing.join(", ")}`;
      throw new CaromError("environment", "fetch Debian's packages", detail, HINT);
    }
    writeFileSync(join(folder, "sources/derived.sources"), text);
    const settings = {
      "Dir::State::Lists": join(folder, "lists"),
      "Dir::Cache": folder,
      "Dir::Etc::SourceList": "/dev/null",
      "Dir::Etc::SourceParts": join(folder, "sources"),
      "Dir::Etc::Preferences": "/dev/null",
      "Dir::Etc::PreferencesParts": "/dev/null",
      "APT::Update::Post-Invoke-Success::": "",
      "APT::Sandbox::User": "root", // the folder is this user's
      "Debug::NoLocking": "true", // nothing of dpkg's is changed
      "Acquire::Languages": "none",
      "Acquire::Retries": "2",
      "Acquire::http::Timeout": "20",
    };
    this.options = Object.entries(settings).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
    runProgram("fetch the lists of Debian's packages", [
      "apt-get",
      ...this.options,
      "-q",
      "--error-on=any",
      "update",
    ]);
  }

  /** Every version of a package that there is, the newest first. */
  versionsOf(name: string): Package[] {
    const { stdout } = spawnSync("apt-cache", [...this.options, "show", name], {
      encoding: "utf8",
      maxBuffer: OUTPUT_MAX,
    });
    return (stdout ?? "").split(/\n\n+/).flatMap((stanza) => {
      const field = (key: string) => new RegExp(`^${key}: (.*)$`, "m").exec(stanza)?.[1] ?? "";
      if (field("Package") === "") return [];
      return [{ name, version: field("Version"), depends: parseDepends(field("Depends")) }];
    });
  }

  /** What of a package, and of all that it needs, is not installed here. */
  closureOf(names: readonly string[], suite: string): Package[] {
    const install = ["install", "--simulate", "--no-install-recommends", "--target-release", suite, ...names];
    const text = runProgram(`see what ${names.join(", ")} needs`, ["apt-get", ...this.options, ...install]);
    const found = [...text.matchAll(/^Inst (\S+) (?:\[[^\]]*\] )?\((\S+) /gm)];
    return found.map(([, name = "", version = ""]) => ({ name, version, depends: [] }));
  }

  /** A package, with those that it depends on whose names are wanted. */
  withDependencies(first: Package, isWanted: (name: string) => boolean): Package[] {
    const found = new Map([[first.name, first]]);
    const visit = ({ depends }: Package) => {
      for (const { name, version } of depends) {
        if (found.has(name) || !isWanted(name)) continue;
        const all = this.versionsOf(name);
        const one = version === undefined ? all[0] : all.find((candidate) => candidate.version === version);
        if (one === undefined) continue;
        found.set(name, one);
        visit(one);
      }
    };
    visit(first);
    return [...found.values()];
  }

  /**
   * Downloads packages and unpacks them into a new folder, which is there whole or not at all.
   * @param finish what else is to be done to the folder, which is still elsewhere
   * @throws CaromError (environment)
   */
  unpack(packages: readonly Package[], folder: string, finish: (made: string, final: string) => void): void {
    const making = `${folder}.${process.pid}`;
    const debs = join(making, "debs");
    mkdirSync(debs, { recursive: true });
    try {
      // Of what is installed here nothing is to be fetched.
      const wanted = packages.map(({ name, version }) => `${name}=${version}`);
      const download = ["apt-get", ...this.options, "-q", "download", ...wanted];
      if (wanted.length > 0)
        runProgram(`fetch ${packages[0]?.name} and ${packages.length - 1} more`, download, debs);
      for (const file of readdirSync(debs)) {
        runProgram(`unpack ${file}`, ["dpkg-deb", "--extract", join(debs, file), making]);
        rmSync(join(debs, file));
      }
      rmSync(debs, { recursive: true });
      finish(making, folder);
      rmSync(folder, { recursive: true, force: true });
      renameSync(making, folder);
    } finally {
      rmSync(making, { recursive: true, force: true });
    }
  }
}

function machineSources() {
  const folder = "/etc/apt/sources.list.d";
  const files = ["/etc/apt/sources.list", ...listed(folder).map((name) => join(folder, name))];
  return files.flatMap((file) => {
    try {
      return parseSources(file, readFileSync(file, "utf8"));
    } catch {
      return []; // there need not be one, and not everybody may read every one
    }
  });
}

function listed(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => /\.(list|sources)$/.test(name));
  } catch {
    return [];
  }
}
