/** What a test may leave behind and must not: processes, labs, namespaces, interfaces, pinned eBPF objects. */

import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { isAnswered } from "../responder/control.js";

const WAIT_MS = 10_000; // what puts back what a killed carom has left is a process, too
const STEP_MS = 100;

/** The processes that have a variable in their environment that begins with a text, and their command lines. */
export function processesWith(mark: string): { readonly pid: number; readonly command: string }[] {
  return readdirSync("/proc").flatMap((entry) => {
    const pid = Number(entry);
    if (!Number.isInteger(pid) || pid === process.pid) return [];
    try {
      const variables = readFileSync(`/proc/${pid}/environ`, "latin1").split("\0");
      if (!variables.some((variable) => variable.startsWith(mark))) return [];
      const command = readFileSync(`/proc/${pid}/cmdline`, "latin1").replaceAll("\0", " ").trim();
      return command === "" ? [] : [{ pid, command }]; // without one it has ended already
    } catch {
      return []; // it has ended, or belongs to somebody else
    }
  });
}

/** Waits until they have ended, kills those that do not, and returns them. */
export async function endProcesses(mark: string): Promise<string[]> {
  for (let waited_ms = 0; waited_ms < WAIT_MS && processesWith(mark).length > 0; waited_ms += STEP_MS) {
    await new Promise((resolve) => setTimeout(resolve, STEP_MS));
  }
  return processesWith(mark).map(({ pid, command }) => {
    try {
      process.kill(pid, "SIGKILL");
    } catch {} // it has ended
    return `process ${pid} (${command})`;
  });
}

/** Everything on this machine that looks like carom's and is no process. */
export function traces(): Set<string> {
  const found = new Set<string>();
  const add = (directory: string, isOurs: (name: string) => boolean) => {
    for (const name of entries(directory)) if (isOurs(name)) found.add(`${directory}/${name}`);
  };
  add("/run/netns", (name) => name.startsWith("carom-"));
  add("/run/carom/labs", (name) => name.endsWith(".json"));
  add("/run/carom/responders", (name) => name.endsWith(".sock"));
  add("/run/carom/timestamping", () => true);
  add("/run/carom/nic", () => true);
  add("/sys/fs/bpf", (name) => name.startsWith("carom"));
  add("/sys/class/net", (name) => /^(gen|dut)0$|^carom/.test(name));
  return found;
}

/** Whether a trace belongs to a living process: that of somebody else who uses carom at the same time. */
export async function hasLivingOwner(trace: string): Promise<boolean> {
  // Asked itself: /proc/net/unix has it under the name that it had before it listened.
  if (trace.endsWith(".sock")) return isAnswered(basename(trace, ".sock"));
  const lab = /^\/run\/netns\/carom-(.*)-(?:gen|dut)$|^\/run\/carom\/labs\/(.*)\.json$/.exec(trace);
  if (lab === null) return false;
  try {
    const record = JSON.parse(readFileSync(`/run/carom/labs/${lab[1] ?? lab[2]}.json`, "utf8"));
    return spawnSync("kill", ["-0", String(record.pid)], { stdio: "ignore" }).status === 0;
  } catch {
    return false;
  }
}

function entries(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}
