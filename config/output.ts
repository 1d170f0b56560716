/** Writes the files that a command was asked for beside what it says. */

import { closeSync, constants, openSync, writeSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { CaromError } from "../native/error.js";

const POLL_MS = 10;
const CHUNK_BYTES = 1 << 16;

/**
 * Writes a file. A pipe has to have a reader; one that reads slowly is waited for, and meanwhile signals are heeded.
 * @param hint what to do when it can't be written
 * @throws CaromError (environment)
 */
export async function writeAsked(
  path: string,
  content: string,
  hint = "choose another path",
  mode = 0o666,
): Promise<void> {
  const { O_WRONLY, O_CREAT, O_TRUNC, O_NONBLOCK } = constants;
  let descriptor = -1;
  try {
    descriptor = openSync(path, O_WRONLY | O_CREAT | O_TRUNC | O_NONBLOCK, mode);
    const bytes = Buffer.from(content);
    for (let at = 0; at < bytes.length; ) {
      const count = writeSome(descriptor, bytes.subarray(at, at + CHUNK_BYTES));
      at += count;
      if (count === 0) await sleep(POLL_MS);
    }
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const detail = code === "ENOSPC" ? "the disk is full (ENOSPC)" : (code ?? message);
    throw new CaromError(
      "environment",
      `write ${path}`,
      detail,
      code === "ENXIO" ? "start the pipe's reader first" : hint,
    );
  } finally {
    if (descriptor >= 0) closeSync(descriptor);
  }
}

/** @returns 0 when a pipe has no room */
function writeSome(descriptor: number, bytes: Buffer): number {
  try {
    return writeSync(descriptor, bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "EAGAIN") return 0;
    throw error;
  }
}
