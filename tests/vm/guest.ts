/** One guest: QEMU with a kernel and network devices in pairs, and what it says, until it ends or has to be ended. */

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Backend, Cell } from "./cells.js";
import { writeInitramfs } from "./initramfs.js";
import type { Kernel, Kit } from "./kit.js";
import { parseLine } from "./results.js";

const INIT = fileURLToPath(new URL("../../../tests/vm/init", import.meta.url));
const INSIDE = fileURLToPath(new URL("./inside/main.js", import.meta.url));
const SHARED = "/run/vm"; // where the guest has the folder
const MEMORY_MB = 3072; // its file systems for what is written are in it
const BOOT_LIMIT_MS = 120_000; // ready after 4 s on a quiet machine
const POLL_MS = 500;
const GRACE_MS = 3000; // from the signal that asks QEMU to end to the one that ends it
/** What the host's tree and the guest's own devices take; the rest is named by a guest's drivers. */
const ALWAYS = ["virtio_pci", "9p", "9pnet_virtio", "overlay", "veth"];

/** A driver whose device QEMU has. */
export interface Hardware {
  readonly device: string; // as QEMU calls it
  readonly module: string; // as the kernel does
}

export interface GuestPlan {
  readonly name: string; // of its folder
  readonly kernel: Kernel;
  readonly hardware: readonly Hardware[];
  readonly modules: readonly string[]; // more that are loaded
  readonly task: GuestTask;
  readonly limit_ms: number; // for all of it
  readonly silence_ms: number; // for the time in which nothing new is in its file of results
  /** Is told each line of that file. */
  readonly onLine: (line: object) => void;
}

export interface GuestEnd {
  readonly problem: string; // "": it ended of its own accord
  readonly time_s: number;
  readonly console: string;
}

/** The MAC addresses by which a guest knows the two ends of a pair. */
export function pairMacs(pair: number): [string, string] {
  const mac = (end: number) => `52:54:00:ca:${pair.toString(16).padStart(2, "0")}:0${end}`;
  return [mac(1), mac(2)];
}

/** The folder that a guest and this program share; the guest has it in /run/vm. */
export function guestFolder(root: string, name: string): string {
  return join(root, "native/build/vm", name);
}

export const RESULTS = "results.jsonl";
export const TASK = "task.json";

/** What a guest is told to do. */
export interface GuestTask {
  readonly cells: readonly Cell[];
  readonly drivers: readonly string[]; // the place of a name is that of its pair
  readonly backends: readonly Backend[];
  readonly module?: { readonly file: string; readonly busybox: string };
}

const CONSOLE = "console.log";

/** The two devices of each driver, with a wire between them. A root port each: igb does without none. */
export function networkArguments(hardware: readonly Hardware[]): string[] {
  return hardware.flatMap(({ device }, pair) =>
    pairMacs(pair).flatMap((mac, end) => {
      const id = `n${pair}e${end}`;
      return [
        ...["-netdev", `hubport,id=${id},hubid=${pair}`],
        ...["-device", `pcie-root-port,id=r${id},chassis=${pair * 2 + end + 1},slot=${pair * 2 + end + 1}`],
        ...["-device", `${device},netdev=${id},mac=${mac},bus=r${id}`],
      ];
    }),
  );
}

const running = new Set<ChildProcess>();

/** Ends every guest, now. */
export function endGuests(): void {
  for (const child of running) child.kill("SIGKILL");
}

/** Runs a guest to its end, whatever that is. What it found is in its folder. */
export async function runGuest(root: string, kit: Kit, plan: GuestPlan): Promise<GuestEnd> {
  const folder = guestFolder(root, plan.name);
  mkdirSync(folder, { recursive: true });
  for (const name of [RESULTS, CONSOLE]) writeFileSync(join(folder, name), "");
  const initramfs = join(folder, "initramfs");
  writeInitramfs(initramfs, {
    busybox: kit.busybox,
    init: INIT,
    modules: plan.kernel.modules,
    load: [...ALWAYS, ...plan.modules, ...plan.hardware.map(({ module }) => module)],
    command: `exec </dev/null && cd ${quoted(root)} && exec ${[process.execPath, INSIDE, SHARED].map(quoted).join(" ")}\n`,
  });
  writeFileSync(join(folder, TASK), JSON.stringify(plan.task));
  const log = openSync(join(folder, CONSOLE), "a");
  const began = performance.now();
  const child = spawn(kit.qemu.program, qemuArguments(kit, plan, initramfs, folder), {
    env: { ...process.env, ...kit.qemu.environment },
    stdio: ["ignore", log, log],
  });
  closeSync(log);
  running.add(child);
  let hasEnded = false;
  const ended = new Promise<string>((resolve) => {
    child.on("error", (error) => resolve(`QEMU could not be started: ${error.message}`));
    child.on("exit", (status, signal) =>
      resolve(status === 0 ? "" : `QEMU ended with ${signal ?? `status ${status}`}`),
    );
  }).then((how) => {
    hasEnded = true;
    running.delete(child);
    return how;
  });
  const read = (name: string) => {
    const file = join(folder, name);
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  };
  let heard = 0; // characters of the results
  const results = () => {
    const text = read(RESULTS);
    const whole = text.slice(heard, text.lastIndexOf("\n") + 1);
    for (const line of whole.split("\n")) {
      const found = parseLine(line);
      if (found !== undefined) plan.onLine(found);
    }
    heard += whole.length;
    return text.length;
  };
  const tooLong = await watch(plan, () => hasEnded, { results, console: () => read(CONSOLE) });
  if (tooLong !== "") {
    child.kill("SIGTERM");
    setTimeout(() => child.kill("SIGKILL"), GRACE_MS).unref();
  }
  const how = await ended;
  results();
  const text = read(CONSOLE).replaceAll("\r", "");
  const isWhole = text.includes("guest: ended with status 0");
  const problem = tooLong || how || (isWhole ? "" : "it ended before all was done");
  return { problem, time_s: (performance.now() - began) / 1000, console: text };
}

interface Signs {
  results(): number; // bytes
  console(): string;
}

/** @returns what takes too long, or "" when the guest has ended */
async function watch(plan: GuestPlan, hasEnded: () => boolean, signs: Signs): Promise<string> {
  const began = performance.now();
  let [size, since] = [0, began];
  let isReady = false;
  while (!hasEnded()) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    const now = performance.now();
    isReady ||= signs.console().includes("guest: ready");
    if (!isReady && now - began > BOOT_LIMIT_MS) return `it was not ready after ${BOOT_LIMIT_MS / 1000} s`;
    if (now - began > plan.limit_ms) return `it was not done after ${plan.limit_ms / 1000} s`;
    const written = signs.results();
    if (written !== size) [size, since] = [written, now];
    if (isReady && now - since > plan.silence_ms)
      return `it has said nothing for ${plan.silence_ms / 1000} s`;
  }
  return "";
}

function qemuArguments(kit: Kit, plan: GuestPlan, initramfs: string, folder: string): string[] {
  const shared = (id: string, path: string, more: string) => [
    ...["-fsdev", `local,id=${id},path=${path},security_model=none${more}`],
    ...["-device", `virtio-9p-pci,fsdev=${id},mount_tag=${id}`],
  ];
  return [
    ...kit.qemu.arguments,
    ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-serial", "stdio"],
    ...["-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max"],
    ...["-smp", "2", "-m", String(MEMORY_MB)],
    ...["-kernel", plan.kernel.image, "-initrd", initramfs],
    ...["-append", "console=ttyS0 quiet panic=-1 nokaslr mitigations=off"],
    ...shared("host", "/", ",readonly=on,multidevs=remap"),
    ...shared("results", folder, ""),
    ...networkArguments(plan.hardware),
  ];
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
