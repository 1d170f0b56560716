/**
 * The process that changes a NIC and watches over it (lab/nic_watch.ts): when its standard input ends, because it is told to
 * or because whoever started it was killed, it puts the NIC back. It does nothing else, so nothing is likely to
 * end it first; where something does, the record stays (lab/nic_changes.ts).
 */

import { asCaromError } from "../native/error.js";
import { applyChange, beginRecord, type HeldRecord, putBack, requestType } from "./nic_changes.js";

let held: HeldRecord | undefined;

function tell(answer: object): void {
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}

function begin(line: string): void {
  try {
    const { link, changes } = requestType.parse(JSON.parse(line));
    held = beginRecord(link);
    for (const change of changes) applyChange(held, change);
    tell({ ready: true });
  } catch (error) {
    const failure = asCaromError(error, "change the NIC").toJSON();
    const problems = end();
    tell({ error: failure, problems });
    process.exit(3);
  }
}

function end(): string[] {
  const problems = held === undefined ? [] : putBack(held);
  held = undefined;
  return problems;
}

// What ends the others from a terminal does not end this: its input tells when it is time.
for (const signal of ["SIGINT", "SIGTERM", "SIGHUP", "SIGPIPE"] as const) process.on(signal, () => {});
process.stdout.on("error", () => {}); // nobody is left to tell
let input = "";
process.stdin.on("data", (data: Buffer) => {
  const had = input.includes("\n");
  input += data.toString();
  if (!had && input.includes("\n")) begin(input.slice(0, input.indexOf("\n")));
});
process.stdin.on("close", () => {
  const problems = end();
  tell({ problems });
  process.exit(problems.length === 0 ? 0 : 1);
});
