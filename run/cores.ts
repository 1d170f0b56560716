/** Which cores the hot threads get: isolated ones where there are any, otherwise the last ones. */

import { allowedCores, parseCores, readText } from "../lab/finding.js";

export interface ChosenCores {
  readonly generator: number; // -1: not pinned
  readonly responder: number;
}

/** @param roles how many threads spin: two in a lab, one otherwise */
export function chooseCores(roles: 1 | 2): ChosenCores {
  const allowed = allowedCores();
  const isolated = parseCores(readText("/sys/devices/system/cpu/isolated") ?? "").filter((core) =>
    allowed.includes(core),
  );
  const pool = isolated.length >= roles ? isolated : allowed;
  // Two spinning threads pinned to one core would wait for each other: the scheduler does better with them free.
  if (pool.length < roles) return { generator: -1, responder: -1 };
  return { generator: pool.at(-1)!, responder: pool.at(-roles)! };
}
