/** Where a run was made, for its report. */

import { readFileSync } from "node:fs";
import { cpus, hostname, release } from "node:os";

export interface Environment {
  readonly host: string;
  readonly kernel: string;
  readonly cpu: string;
  readonly cores: number;
  readonly carom: string; // its version
  readonly node: string;
}

export function environment(): Environment {
  const [first] = cpus();
  return {
    host: hostname(),
    kernel: release(),
    cpu: first?.model ?? "unknown",
    cores: cpus().length,
    carom: caromVersion(),
    node: process.versions.node,
  };
}

/** carom's version, as package.json has it. */
export function caromVersion(): string {
  // Compiled, this file is dist/run/environment.js.
  const text = readFileSync(new URL("../../package.json", import.meta.url), "utf8");
  return (JSON.parse(text) as { version: string }).version;
}
