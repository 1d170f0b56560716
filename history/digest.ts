/** What a run sends and what it expects, as one text: a run repeats another when theirs are the same. */

import { createHash } from "node:crypto";
import { statSync } from "node:fs";
import type { Plan } from "../run/plan.js";

/** Where it ran and with what tools: another lab, other cores, another address or a file make no other run. */
const CIRCUMSTANCES = new Set([
  "capture",
  "link",
  "cpu",
  "destinationMac",
  "destinationAddress",
  "namespace",
  "startAtNs",
  "breakdownEvery",
  "passageRoom",
]);

export function planDigest({ generator, responder }: Plan): string {
  const hash = createHash("sha256");
  hash.update(JSON.stringify({ generator, responder }, plain));
  // Captures may be as large as they like: those of a replay are the same while nobody wrote to them.
  for (const file of generator.replay?.files ?? []) hash.update(stateOf(file));
  return hash.digest("base64url");
}

function stateOf(file: string): string {
  const { size, mtimeNs } = statSync(file, { bigint: true, throwIfNoEntry: false }) ?? {};
  return `${size} ${mtimeNs}\n`;
}

function plain(key: string, value: unknown): unknown {
  if (CIRCUMSTANCES.has(key)) return undefined;
  if (typeof value === "bigint") return value.toString();
  return ArrayBuffer.isView(value) ? Array.from(value as Float64Array) : value;
}
