/** What captures have in common: the file that is written, and what is said in it of who wrote it. */

import { readFileSync } from "node:fs";
import { cpus, release } from "node:os";
import type { CaptureOutputConfig } from "../native/index.js";
import { byteSize } from "./values.js";

const BUFFER = { min: 2 ** 20, max: 2 ** 34 } as const;

/** The size of a buffer. */
export const bufferSize = () => byteSize(BUFFER.min, BUFFER.max);

/** The smallest power of two that is not smaller. */
export const bufferBytes = (wanted: number) => 2 ** Math.ceil(Math.log2(wanted));

interface Wanted {
  readonly path: string;
  readonly bufferBytes: number;
  readonly keep?: number;
  readonly fileBytes?: number;
  readonly fileNs?: number;
  readonly comment: string; // of the whole file
  readonly interfaceComment: string; // what its timestamps are
}

/** The native configuration of what is written. */
export function captureOutput(wanted: Wanted): CaptureOutputConfig {
  return {
    keep: 0,
    fileBytes: 0,
    fileNs: 0,
    ...wanted,
    bufferBytes: bufferBytes(wanted.bufferBytes),
    hardware: cpus()[0]?.model ?? "",
    os: `Linux ${release()}`,
    application: `carom ${version()}`,
  };
}

/** carom's version. */
export function version(): string {
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
