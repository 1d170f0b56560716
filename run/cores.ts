/** Which cores the hot threads get: isolated ones where there are any, otherwise the last ones. */

import { allowedCores, parseCores, readText } from "../lab/finding.js";

export interface ChosenCores {
  readonly generator: number; // of its first thread; -1: not pinned
  readonly generators: readonly number[]; // one for each thread
  readonly responder: readonly number[];
}

/**
 * @param responderThreads how many threads of a responder run beside the generator's
 * @param asleep the responder's wait for what the kernel hands them, and one core does for all
 */
export function chooseCores(responderThreads: number, asleep = false, generatorThreads = 1): ChosenCores {
  const threads = generatorThreads + (asleep ? Math.min(1, responderThreads) : responderThreads);
  const allowed = allowedCores();
  const isolated = parseCores(readText("/sys/devices/system/cpu/isolated") ?? "").filter((core) =>
    allowed.includes(core),
  );
  const pool = isolated.length >= threads ? isolated : allowed;
  const responder = Array.from(
    { length: responderThreads },
    (_, index) => pool.at(-1 - generatorThreads - (asleep ? 0 : index)) ?? -1,
  );
  const generators = Array.from({ length: generatorThreads }, (_, index) => pool.at(-1 - index) ?? -1);
  // Two spinning threads pinned to one core would wait for each other: the scheduler does better with them free.
  const none = (cores: readonly number[]) => cores.map(() => -1);
  if (pool.length < threads) {
    return { generator: -1, generators: none(generators), responder: none(responder) };
  }
  return { generator: generators[0]!, generators, responder };
}
