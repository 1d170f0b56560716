/** A run while it goes on, and the process that measures it. */

import { existsSync, readdirSync, readFileSync } from "node:fs";
import * as assert from "uvu/assert";
import type { Running } from "./cli_support.js";
import { sleep } from "./lab_support.js";

const WAIT_MS = 30_000; // for what takes some milliseconds on a machine that has nothing else to do
const ALREADY_SENT = 200; // frames, far more than a lab sends by itself

export async function until<T>(what: string, look: () => T | undefined): Promise<T> {
  for (const end = performance.now() + WAIT_MS; performance.now() < end; await sleep(20)) {
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

/** The process that measures for one of carom, when it has begun to send. */
export function measuring({ child }: Running): Promise<number> {
  return until("a run sends", () => {
    assert.is(child.exitCode, null, "it runs");
    for (const pid of read(`/proc/${child.pid}/task/${child.pid}/children`).split(" ").filter(Boolean)) {
      if (!read(`/proc/${pid}/cmdline`).includes("measuring_main")) continue;
      for (const id of existsSync(`/proc/${pid}/task`) ? readdirSync(`/proc/${pid}/task`) : []) {
        const sent = /^\s*gen0:(?:\s+\d+){8}\s+\d+\s+(\d+)/m.exec(
          read(`/proc/${pid}/task/${id}/net/dev`),
        )?.[1];
        if (Number(sent ?? 0) > ALREADY_SENT) return Number(pid);
      }
    }
    return undefined;
  });
}
