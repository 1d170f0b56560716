/** Which cores the hot threads get: isolated ones where there are any, otherwise the last ones. */

import { allowedCores, parseCores, readText } from "../lab/finding.js";

export interface ChosenCores {
  readonly generator: number; // -1: not pinned
  readonly responder: readonly number[]; // one for each thread
}

/**
 * @param responderThreads how many threads of a responder run beside the generator's
 * @param asleep they wait for what the kernel hands them, and one core does for all
 */
export function chooseCores(responderThreads: number, asleep = false): ChosenCores {
  const threads = 1 + (asleep ? Math.min(1, responderThreads) : responderThreads);
  const allowed = allowedCores();
  const isolated = parseCores(readText("/sys/devices/system/cpu/isolated") ?? "").filter((core) =>
    allowed.includes(core),
  );
  const pool = isolated.length >= threads ? isolated : allowed;
  const responder = Array.from(
    { length: responderThreads },
    (_, index) => pool.at(asleep ? -2 : -2 - index) ?? -1,
  );
  // Two spinning threads pinned to one core would wait for each other: the scheduler does better with them free.
  if (pool.length < threads) return { generator: -1, responder: responder.map(() => -1) };
  return { generator: pool.at(-1)!, responder };
}
