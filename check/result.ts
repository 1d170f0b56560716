/** What a run of check scripts found: what the lines on the terminal, the JSON report and the JUnit file are made of. */

import type { Privileges } from "../lab/privileges.js";
import type { Counters } from "../native/index.js";
import type { Expectation, Fault, ReceivedOrder } from "./judge.js";
import type { SentTick, Way } from "./outgoing.js";
import type { Case, Script } from "./script.js";

/** error: the case could not be run, which says nothing about the device. */
export type Outcome = "passed" | "failed" | "skipped" | "error";

export interface SentDatagram {
  readonly way: Way;
  readonly frame: Buffer;
  readonly ticks: readonly SentTick[];
  readonly isProbe: boolean;
  readonly time_ns: bigint; // just before it was sent, since the epoch
}

export interface CaseResult {
  readonly script: Script;
  readonly case: Case;
  /** The settings that the script gives the device, or assumes of it: "threshold=20000 side=sell". */
  readonly settings: string;
  outcome: Outcome; // an answer that comes after its case has ended changes it
  readonly reason: string; // why it was skipped, or could not be run
  readonly faults: Fault[];
  readonly sent: readonly SentDatagram[];
  readonly expectations: readonly Expectation[];
  readonly received: readonly ReceivedOrder[];
  readonly notes: readonly string[]; // what else was seen, when that may help
  readonly counters: Counters; // of carom's responder: what changed while the case ran
  readonly duration_ns: number;
}

export interface RunResult {
  readonly device: string; // "carom's responder on af_xdp"
  readonly backend: string | undefined; // of carom's responder
  readonly started: Date;
  readonly duration_ns: number;
  readonly interrupted: boolean;
  readonly privileges: Privileges | null; // what the process that ran the last cases could still do; null: none was run
  readonly cases: readonly CaseResult[];
}

export type Summary = Readonly<Record<Outcome | "total", number>>;

export function summarize(cases: readonly CaseResult[]): Summary {
  const summary = { passed: 0, failed: 0, skipped: 0, error: 0, total: cases.length };
  for (const { outcome } of cases) summary[outcome]++;
  return summary;
}
