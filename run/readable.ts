/** Captures that come through a pipe are waited for before anything is made: so any signal ends the wait. */

import { closeSync, constants, openSync, statSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { asCaromError } from "../native/error.js";
import { readableBytes } from "../native/index.js";

const HEADER_BYTES = 24; // of the smallest capture: one that is shorter ends before
const POLL_MS = 20;

/**
 * Waits until each of the files that is a pipe has the beginning of a capture, or has ended.
 * @returns what is to be called once they are open: until then a named pipe is held, so that its writer may be gone
 * @throws CaromError (usage)
 */
export async function untilReadable(paths: readonly string[]): Promise<() => void> {
  const held: number[] = [];
  const release = () => {
    for (const descriptor of held.splice(0)) closeSync(descriptor);
  };
  const hold = (path: string, flags: number) => {
    try {
      held.push(openSync(path, flags | constants.O_NONBLOCK));
    } catch (error) {
      throw asCaromError(error, `read the capture ${path}`);
    }
    return held.at(-1)!;
  };
  try {
    const named = paths.filter((path) => path !== "-" && statSync(path, { throwIfNoEntry: false })?.isFIFO());
    const descriptors = named.map((path) => hold(path, constants.O_RDONLY));
    if (paths.includes("-")) descriptors.push(0);
    for (const descriptor of descriptors) {
      for (;;) {
        const bytes = readableBytes(descriptor);
        if (bytes < 0 || bytes >= HEADER_BYTES) break;
        await sleep(POLL_MS);
      }
    }
    // Who opens a named pipe to read waits for a writer, and this one may have written all it had.
    for (const path of named) hold(path, constants.O_WRONLY);
    return release;
  } catch (error) {
    release();
    throw error;
  }
}
