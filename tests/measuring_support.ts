/** A run while it goes on, and the process that measures it. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import * as assert from "uvu/assert";
import type { Running } from "./cli_support.js";
import { PATIENCE_MS, sleep } from "./lab_support.js";

const ALREADY_SENT = 200; // frames, far more than a lab sends by itself

export async function until<T>(what: string, look: () => T | undefined): Promise<T> {
  for (const end = performance.now() + PATIENCE_MS; performance.now() < end; await sleep(20)) {
    const found = look();
    if (found !== undefined) return found;
  }
  throw new Error(`it takes too long: ${what}`);
}

export function read(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return ""; // it has ended
  }
}

interface Thread {
  readonly name: string;
  readonly permitted: bigint;
  readonly effective: bigint;
  readonly noNewPrivileges: boolean;
}

/** Of a process: what each of its threads may do. */
export function threadsOf(pid: number): Thread[] {
  return readdirSync(`/proc/${pid}/task`).flatMap((id) => {
    const status = read(`/proc/${pid}/task/${id}/status`);
    const field = (name: string) => new RegExp(`^${name}:\\s+(\\S+)`, "m").exec(status)?.[1] ?? "0";
    const mask = (name: string) => BigInt(`0x${field(name)}`);
    if (status === "") return [];
    return [
      {
        name: field("Name"),
        permitted: mask("CapPrm"),
        effective: mask("CapEff"),
        noNewPrivileges: field("NoNewPrivs") === "1",
      },
    ];
  });
}

/** The processes that one has started to run this file of carom's. */
export function childrenOf(pid: number, main: string): number[] {
  const children = read(`/proc/${pid}/task/${pid}/children`).split(" ").filter(Boolean);
  return children.map(Number).filter((child) => read(`/proc/${child}/cmdline`).includes(main));
}

/** The process that measures for one of carom, when it has begun to send. */
export function measuring({ child }: Running): Promise<number> {
  return until("a run sends", () => {
    assert.is(child.exitCode, null, "it runs");
    for (const pid of childrenOf(child.pid!, "measuring_main")) {
      for (const id of existsSync(`/proc/${pid}/task`) ? readdirSync(`/proc/${pid}/task`) : []) {
        const sent = /^\s*gen0:(?:\s+\d+){8}\s+\d+\s+(\d+)/m.exec(
          read(`/proc/${pid}/task/${id}/net/dev`),
        )?.[1];
        if (Number(sent ?? 0) > ALREADY_SENT) return pid;
      }
    }
    return undefined;
  });
}
