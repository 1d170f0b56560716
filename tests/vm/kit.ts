/** What guests are made of: QEMU, busybox, and kernels with their modules and headers, in a folder that is kept. */

import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { homedir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { CaromError } from "../../native/error.js";
import { Apt, debianCodename, type Package, runProgram } from "./apt.js";

/** A kernel of Debian's: the newest whose version begins so. */
export interface KernelChoice {
  readonly name: string; // in the table, and for --only
  readonly prefix: string; // "": the newest of its suites
  readonly suites: readonly string[];
  readonly isForeign?: true; // its build programs want a newer C library than this machine may have
}

export const KERNELS: readonly KernelChoice[] = [
  { name: "6.1", prefix: "6.1.", suites: ["bookworm", "bookworm-security"] },
  { name: "6.12", prefix: "6.12.", suites: ["bookworm-backports"] },
  { name: "newest", prefix: "", suites: ["trixie", "trixie-backports"], isForeign: true },
];

export interface Kernel {
  readonly name: string;
  readonly release: string; // as uname -r says it
  readonly image: string;
  readonly modules: string; // what is /lib/modules/RELEASE elsewhere
  readonly headers: string; // where its packages are unpacked, to build a module with
}

export interface Kit {
  readonly qemu: Qemu;
  readonly busybox: string;
  readonly ptp4l: string;
  readonly kernels: readonly Kernel[];
}

export interface Qemu {
  readonly program: string;
  readonly version: string;
  readonly arguments: readonly string[]; // where its firmware is
  readonly environment: Readonly<Record<string, string>>;
}

const BUILD_MODULE = fileURLToPath(new URL("../../../tests/vm/module/build.sh", import.meta.url));
const STAMPS = join(dirname(BUILD_MODULE), "../stamps.c");
const INSTALLED_PTP4L = "/usr/sbin/ptp4l";
const MULTIARCH = "x86_64-linux-gnu";
const STATE = "carom.json"; // in the folder of what was unpacked: what it is

/** Downloads are kept here; removing it costs the time to fetch them again. */
export function cacheFolder(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "carom/vm");
}

/**
 * Fetches what is not there yet.
 * @param isFresh fetches everything anew, and so the newest
 * @throws CaromError (environment) when Debian's packages can't be had
 */
export function makeKit(
  kernels: readonly KernelChoice[],
  say: (line: string) => void,
  isFresh = false,
  folder = cacheFolder(),
): Kit {
  const place = (name: string) => join(folder, name);
  const isMissing = (name: string) => isFresh || !existsSync(join(place(name), STATE));
  const wanted = kernels.filter(({ name }) => isMissing(`kernel-${name}`));
  const lacksPtp = isMissing("linuxptp") && !existsSync(INSTALLED_PTP4L);
  if (wanted.length > 0 || isMissing("qemu") || lacksPtp) {
    const codename = debianCodename();
    const backports = `${codename}-backports`; // QEMU there has igb, which that of Debian 12 itself lacks
    const suites = [codename, backports, ...wanted.flatMap((kernel) => kernel.suites)];
    say(`fetching Debian's packages into ${folder}`);
    mkdirSync(folder, { recursive: true });
    const apt = new Apt(place("apt"), codename, [...new Set(suites)]);
    if (isMissing("qemu")) {
      const packages = apt.closureOf(["qemu-system-x86", "busybox-static", "kmod"], backports);
      const version = packages.find(({ name }) => name === "qemu-system-x86")?.version ?? "of this machine";
      apt.unpack(packages, place("qemu"), (made) => note(made, { version }));
      say(`QEMU ${version}`);
    }
    if (lacksPtp)
      apt.unpack(apt.closureOf(["linuxptp"], codename), place("linuxptp"), (made) => note(made, {}));
    for (const kernel of wanted) {
      const image = newest(apt, "linux-image-amd64", kernel);
      const headers = newest(apt, "linux-headers-amd64", kernel);
      const isPart = (name: string) => /^linux-(image|binary|modules|base|headers|kbuild)-.*\d/.test(name);
      const library = kernel.isForeign === true ? apt.versionsOf("libc6").slice(0, 1) : [];
      const packages = [...[image, headers].flatMap((one) => apt.withDependencies(one, isPart)), ...library];
      const release = packages
        .map(({ name }) => /^linux-image-(\d.*)$/.exec(name)?.[1])
        .find((found) => found !== undefined);
      if (release === undefined) throw noKernel(kernel, `${image.name} ${image.version} needs no kernel`);
      apt.unpack(packages, place(`kernel-${kernel.name}`), (made, final) => {
        if (library.length > 0) wrapPrograms(made, final);
        note(made, { release });
      });
      say(`kernel ${release}`);
    }
  }
  return {
    qemu: qemuIn(place("qemu")),
    busybox: fileOf("busybox", [join(place("qemu"), "bin/busybox"), "/bin/busybox"]),
    ptp4l: fileOf("ptp4l", [join(place("linuxptp"), "usr/sbin/ptp4l"), INSTALLED_PTP4L]),
    kernels: kernels.map((kernel) => kernelIn(kernel.name, place(`kernel-${kernel.name}`))),
  };
}

function note(folder: string, what: Readonly<Record<string, string>>): void {
  writeFileSync(join(folder, STATE), JSON.stringify(what));
}

function noted(folder: string): Record<string, string> {
  return JSON.parse(readFileSync(join(folder, STATE), "utf8")) as Record<string, string>;
}

function newest(apt: Apt, name: string, kernel: KernelChoice): Package {
  const found = apt.versionsOf(name).find(({ version }) => version.startsWith(kernel.prefix));
  if (found === undefined) throw noKernel(kernel, `there is no ${name} ${kernel.prefix}*`);
  return found;
}

function noKernel({ name, suites }: KernelChoice, detail: string): CaromError {
  const hint = `suites looked into: ${suites.join(", ")}`;
  return new CaromError("environment", `fetch the kernel ${name}`, detail, hint);
}

/** Runs what modules are built with under the C library that was unpacked beside it. */
function wrapPrograms(made: string, final: string): void {
  const folders = [`usr/lib/${MULTIARCH}`, `lib/${MULTIARCH}`];
  const library = folders.find((folder) => existsSync(join(made, folder, "libc.so.6")))!;
  const loader = join(final, library, "ld-linux-x86-64.so.2");
  const search = [join(final, library), `/usr/lib/${MULTIARCH}`].join(":");
  const tools = join(made, "usr/lib");
  for (const entry of readdirSync(tools, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath ?? entry.path, entry.name);
    if (!entry.isFile() || !/\/linux-kbuild-/.test(path) || !isProgram(path)) continue;
    renameSync(path, `${path}.elf`);
    const own = join(final, path.slice(made.length), "..", `${entry.name}.elf`);
    writeFileSync(
      path,
      `#!/bin/sh\nexec '${loader}' --argv0 "$0" --library-path '${search}' '${own}' "$@"\n`,
      { mode: 0o755 },
    );
  }
}

function isProgram(path: string): boolean {
  const isElf = readFileSync(path).subarray(0, 4).toString("latin1") === "\x7fELF";
  return isElf && (statSync(path).mode & 0o111) !== 0;
}

function kernelIn(name: string, folder: string): Kernel {
  const { release = "" } = noted(folder);
  const either = (path: string) => [join(folder, path), join(folder, "usr", path)];
  return {
    name,
    release,
    image: fileOf(`kernel ${name}`, [
      ...either(`boot/vmlinuz-${release}`),
      ...either(`lib/modules/${release}/vmlinuz`),
    ]),
    modules: fileOf(
      `modules of ${name}`,
      either(`lib/modules/${release}`).filter((path) => existsSync(join(path, "kernel"))),
    ),
    headers: folder,
  };
}

function qemuIn(folder: string): Qemu {
  const program = "usr/bin/qemu-system-x86_64";
  const unpacked = join(folder, program);
  if (!existsSync(unpacked)) {
    // It was installed here, so that there was nothing to fetch.
    const own = fileOf("QEMU", [`/${program}`]);
    return { program: own, version: noted(folder).version ?? "", arguments: [], environment: {} };
  }
  const firmware = ["usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"];
  const libraries = [`usr/lib/${MULTIARCH}`, `lib/${MULTIARCH}`].map((path) => join(folder, path));
  return {
    program: unpacked,
    version: noted(folder).version ?? "",
    arguments: firmware.flatMap((path) => ["-L", join(folder, path)]),
    environment: { LD_LIBRARY_PATH: libraries.join(":") },
  };
}

function fileOf(what: string, candidates: readonly string[]): string {
  const found = candidates.find((path) => existsSync(path));
  if (found !== undefined) return found;
  const detail = `there is none of ${candidates.join(", ")}`;
  throw new CaromError("environment", `find ${what}`, detail, `remove ${cacheFolder()}, and try again`);
}

/**
 * Builds the project's kernel module.
 * @param folder where
 * @returns its file
 * @throws CaromError (environment)
 */
export function buildModule({ headers, release }: Kernel, folder: string): string {
  const built = join(folder, "carom_nic.ko");
  const source = dirname(BUILD_MODULE);
  const made_ms = statSync(built, { throwIfNoEntry: false })?.mtimeMs ?? 0;
  if (readdirSync(source).every((name) => statSync(join(source, name)).mtimeMs < made_ms)) return built;
  runProgram(`build the kernel module for ${release}`, ["sh", BUILD_MODULE, headers, release, folder]);
  return built;
}

/** Builds the program that reads stamps by itself. @throws CaromError (environment) */
export function buildStamps(folder: string): void {
  const program = join(folder, "stamps");
  mkdirSync(folder, { recursive: true });
  runProgram("build tests/vm/stamps.c", ["gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program, STAMPS]);
}
