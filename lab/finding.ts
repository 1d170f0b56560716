/** What the doctor has to say of one thing, and the small helpers with which it looks at this machine. */

import { readFileSync } from "node:fs";

/**
 * ok: nothing to say; note: costs precision or speed, or is good to know; problem: something does not work.
 */
export type Status = "ok" | "note" | "problem";

export interface Finding {
  readonly name: string;
  readonly value: string;
  readonly status: Status;
  readonly change: string; // what to change so that it gets better; "" when there is nothing
}

export interface Section {
  readonly title: string;
  readonly findings: readonly Finding[];
}

export function ok(name: string, value: string): Finding {
  return { name, value, status: "ok", change: "" };
}

export function note(name: string, value: string, change = ""): Finding {
  return { name, value, status: "note", change };
}

export function problem(name: string, value: string, change = ""): Finding {
  return { name, value, status: "problem", change };
}

/** A small file's text without the white space around it; undefined when there is none to read. */
export function readText(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8").trim();
  } catch {
    return undefined;
  }
}

/** The value of a sysctl ("net.core.rmem_max"). */
export function readSysctl(name: string): string | undefined {
  return readText(`/proc/sys/${name.replaceAll(".", "/")}`);
}

/** The cores in the kernel's list format ("0-2,5"). */
export function parseCores(text: string): number[] {
  return text.split(",").flatMap((range) => {
    const [first, last = first] = range.split("-").map(Number);
    if (range.trim() === "" || first === undefined || last === undefined || Number.isNaN(first + last))
      return [];
    return Array.from({ length: last - first + 1 }, (_, index) => first + index);
  });
}

/** Cores in the kernel's list format. */
export function formatCores(cores: readonly number[]): string {
  const parts: string[] = [];
  for (let index = 0; index < cores.length; index++) {
    const first = cores[index]!;
    while (cores[index + 1] === cores[index]! + 1) index++;
    parts.push(first === cores[index] ? String(first) : `${first}-${cores[index]}`);
  }
  return parts.join(",");
}

/** The cores on which this process may run. The kernel lists those it may have, also where none is plugged in. */
export function allowedCores(): number[] {
  const line = /^Cpus_allowed_list:\s*(\S+)$/m.exec(readText("/proc/self/status") ?? "");
  const online = new Set(parseCores(readText("/sys/devices/system/cpu/online") ?? ""));
  const allowed = parseCores(line?.[1] ?? "0");
  return online.size === 0 ? allowed : allowed.filter((core) => online.has(core));
}
