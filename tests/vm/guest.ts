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
const READY = "guest: ready"; // as init says it
const POLL_MS = 500;
const GRACE_MS = 3000; // from the signal that asks QEMU to end to the one that ends it
/** What the host's tree and the guest's own devices take; the rest is named by a guest's drivers. */
const ALWAYS = ["virtio_pci", "9p", "9pnet_virtio", "overlay", "veth"];

/** A driver whose device QEMU has. */
export interface Hardware {
  readonly device: string; // as QEMU calls it
  readonly module: string; // as the kernel does
}

/** For the time in which nothing new is in its file of results. */
export interface GuestLimits {
  readonly busy_ms: number; // of its processors
  readonly silent_ms: number; // of the clock
}

export interface GuestPlan {
  readonly name: string; // of its folder
  readonly kernel: Kernel;
  readonly hardware: readonly Hardware[];
  readonly modules: readonly string[]; // more that are loaded
  readonly task: GuestTask;
  readonly limits: GuestLimits;
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
  readonly ptp4l: string; // linuxptp's daemon
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
  const tooLong = await watch(plan, () => hasEnded, {
    results,
    console: () => read(CONSOLE),
    cpuTime_ms: () => cpuTimeOf(child.pid ?? 0),
  });
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

export interface Signs {
  results(): number; // bytes
  console(): string;
  cpuTime_ms(): number;
}

/**
 * A guest that spins uses its processors up, one that waits for ever does not: both are limited, so that other programs
 * may have the machine meanwhile.
 * @returns what takes too long, or "" when the guest has ended
 */
export async function watch(
  { limits }: Pick<GuestPlan, "limits">,
  hasEnded: () => boolean,
  signs: Signs,
): Promise<string> {
  let [seen, since_ms, since_cpu_ms] = ["", performance.now(), 0];
  while (!hasEnded()) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    const now = `${signs.results()} ${signs.console().includes(READY)}`;
    if (now !== seen) [seen, since_ms, since_cpu_ms] = [now, performance.now(), signs.cpuTime_ms()];
    const silent_ms = performance.now() - since_ms;
    const used_ms = signs.cpuTime_ms() - since_cpu_ms;
    const where = now.endsWith("true") ? "" : "not ready, ";
    const seconds = (ms: number) => `${Math.round(ms / 1000)} s`;
    if (used_ms > limits.busy_ms)
      return `${where}it has said nothing for ${seconds(used_ms)} of its processors' time`;
    if (silent_ms > limits.silent_ms) return `${where}it has said nothing for ${seconds(silent_ms)}`;
  }
  return "";
}

const TICKS_PER_S = 100; // of proc(5): the kernel's USER_HZ

function cpuTimeOf(pid: number): number {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
    return ((Number(fields[14 - 3]) + Number(fields[15 - 3])) / TICKS_PER_S) * 1000;
  } catch {
    return 0; // it has ended
  }
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
    // A machine that is busy is late with the timer's interrupts, and a kernel that looks for them at boot panics.
    ...["-append", "console=ttyS0 quiet panic=-1 nokaslr mitigations=off no_timer_check"],
    ...shared("host", "/", ",readonly=on,multidevs=remap"),
    ...shared("results", folder, ""),
    ...networkArguments(plan.hardware),
  ];
}

function quoted(word: string): string {
  return `'${word.replaceAll("'", `'\\''`)}'`;
}
