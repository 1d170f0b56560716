/**
 * Runs in a guest (tests/vm/guest.ts starts it): tries the cells that the file beside the results names, all in this one
 * process, and adds a line to the results when one begins, and when it has ended.
 *
 * node dist/tests/vm/inside/main.js FOLDER
 */

import { appendFileSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { probeBackends } from "../../../native/index.js";
import { type Cell, cellId, DEEDS, DRIVERS, NONE, type Outcome } from "../cells.js";
import { type GuestTask, RESULTS, TASK } from "../guest.js";
import { saidOf } from "./carom.js";
import { ACTS } from "./deeds.js";
import { Pair } from "./pair.js";

const CELL_MS = 500_000; // far beyond what any takes

const folder = process.argv[2] ?? "";
const task = JSON.parse(readFileSync(join(folder, TASK), "utf8")) as GuestTask;

function tell(line: object): void {
  appendFileSync(join(folder, RESULTS), `${JSON.stringify(line)}\n`);
}

let pair: Pair | undefined;

/** The pair of a driver; that of another one is left as it is. */
async function pairOf(name: string): Promise<Pair> {
  if (pair?.driver.name !== name) {
    const index = task.drivers.indexOf(name);
    pair = await Pair.make(DRIVERS.find((driver) => driver.name === name)!, index, task.module);
  }
  await pair.ready();
  return pair;
}

async function attempt(cell: Cell): Promise<string> {
  const act = ACTS[cell.deed]!;
  const circumstances = {
    // The deeds of a kernel have none, and ask for none.
    pair: (cell.driver === NONE ? undefined : await pairOf(cell.driver)) as Pair,
    backends: task.backends,
    ptp4l: task.ptp4l,
    replacePair: (other: Pair) => {
      pair = other;
    },
  };
  return act(cell, circumstances);
}

/** Whether a backend can't be used on either end of the pair, as doctor --try finds. */
function isToldByDoctor(backend: string): boolean {
  if (pair === undefined) return false;
  return [pair.near, pair.far].some((link) =>
    probeBackends(link, 0, true).some(({ name, reason }) => name === backend && reason !== ""),
  );
}

function limited<T>(action: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new Error(`it was not done after ${CELL_MS / 1000} s`));
    const timer = setTimeout(late, CELL_MS);
    action.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

for (const cell of task.cells) {
  const began = performance.now();
  const id = cellId(cell);
  tell({ begun: id });
  let [outcome, said]: [Outcome, string] = ["yes", ""];
  try {
    said = await limited(attempt(cell));
  } catch (error) {
    const mayRefuse = DEEDS.find(({ name }) => name === cell.deed)?.mayRefuse === true;
    const found = saidOf(error);
    // What a backend has not at all (usage) it has on no driver, and what doctor says before, it may say then.
    const isReason = found.isUsage || (found.isRefusal && (mayRefuse || isToldByDoctor(cell.backend)));
    outcome = isReason ? "refused" : "failed";
    said = found.said;
    if (!found.isRefusal && error instanceof Error) console.log(`guest: ${id}: ${error.stack}`);
  }
  const time_s = (performance.now() - began) / 1000;
  tell({ id, outcome, said, time_s });
  console.log(`guest: ${outcome} ${id} ${time_s.toFixed(1)} s ${said}`);
}
process.exit(0);
