/** Keeps a run in the history. */

import { stripVTControlCharacters } from "node:util";
import type { Outcome } from "../run/command.js";
import { planDigest } from "./digest.js";
import { openHistory } from "./store.js";
import { summaryOf } from "./summary.js";

export interface Kept {
  readonly args: readonly string[]; // the captures of a replay
  readonly options: Readonly<Record<string, string>>; // as they were given
  readonly json: Record<string, unknown>; // the report
  readonly lines: readonly string[]; // the same for people
  readonly keep: number; // how many runs the history keeps
}

/** @returns the run's number @throws CaromError when the history can't be used */
export function keepRun(outcome: Outcome, { args, options, json, lines, keep }: Kept): number {
  // A repeated run overwrites nothing.
  const { hlog: _, capture: __, captureBuffer: ___, stamps: ____, startAt: _____, ...repeatable } = options;
  const history = openHistory();
  try {
    const entry = {
      command: outcome.report.command,
      args,
      started: outcome.report.started,
      options: repeatable,
      directory: process.cwd(),
      plan: planDigest(outcome.plan),
      summary: summaryOf(outcome),
      report: json,
      text: stripVTControlCharacters(lines.join("\n")),
    };
    return history.add(entry, keep);
  } finally {
    history.close();
  }
}
