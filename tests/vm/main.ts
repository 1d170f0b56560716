/**
 * The matrix in virtual machines: kernels, drivers and backends, and what is tried with each (docs/vm.md).
 *
 * npm run vm -- [--only KERNEL/DRIVER/BACKEND/DEED]… [--again] [--keep-old] [--list] [--refresh]
 * npm run vm:quick
 *
 * Exit status: 0 no cell failed, 1 some did, 2 bad usage, 3 this machine can't have guests.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { resolveLink } from "../../lab/lab.js";
import { asCaromError } from "../../native/error.js";
import { probeBackends } from "../../native/index.js";
import {
  allCells,
  type Backend,
  type Cell,
  cellId,
  DRIVERS,
  fits,
  nextGuest,
  type Result,
  remaining,
} from "./cells.js";
import { endGuests, type GuestEnd, guestFolder, RESULTS, runGuest } from "./guest.js";
import { buildModule, buildStamps, KERNELS, type Kernel, type Kit, makeKit } from "./kit.js";
import { KeptResults, parseLines, stateOf } from "./results.js";
import { tableText, withTable } from "./table.js";

const ROOT = fileURLToPath(new URL("../../..", import.meta.url));
const MODULE = join(ROOT, "tests/vm/module");
const DOCUMENT = join(ROOT, "docs/kernels.md");
const BUILT = "native/build/vm"; // below the root; git ignores it
const CONSOLE_LINES = 15; // of a guest that had to be ended
const LIMITS = {
  quick: { busy_ms: 120_000, silent_ms: 240_000 },
  matrix: { busy_ms: 240_000, silent_ms: 600_000 },
} as const;
/** What vm:quick tries, with each of its kernels. */
const QUICK = { kernels: ["6.1", "6.12"], only: ["load", "veth/*/run", "carom_nic/udp/stamps"] } as const;

const { values: options } = parseArgs({
  options: {
    quick: { type: "boolean", default: false },
    only: { type: "string", multiple: true, default: [] },
    again: { type: "boolean", default: false },
    "keep-old": { type: "boolean", default: false },
    list: { type: "boolean", default: false },
    refresh: { type: "boolean", default: false },
  },
});

function say(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** The cells that are asked for. */
function wantedCells(backends: readonly Backend[]): Cell[] {
  const cells = allCells(
    KERNELS.map(({ name }) => name),
    backends,
  );
  if (!options.quick) {
    const { only } = options;
    return only.length === 0 ? cells : cells.filter((cell) => only.some((pattern) => fits(cell, pattern)));
  }
  const quick = QUICK.only.map((pattern) => (pattern.includes("/") ? `*/${pattern}` : pattern));
  return cells.filter(
    (cell) =>
      QUICK.kernels.some((name) => name === cell.kernel) && quick.some((pattern) => fits(cell, pattern)),
  );
}

/** One guest tries what it can of some cells. @returns how it ended */
async function tryCells(
  kit: Kit,
  kernel: Kernel,
  cells: readonly Cell[],
  backends: readonly Backend[],
  onResult: (result: Result) => void,
): Promise<GuestEnd> {
  const used = DRIVERS.filter(({ name }) => cells.some(({ driver }) => driver === name));
  const hardware = used.filter(({ made }) => made === "hardware");
  const others = used.filter(({ made }) => made !== "hardware");
  const module = others.some(({ made }) => made === "module")
    ? buildModule(kernel, join(ROOT, BUILT, `module-${kernel.release}`))
    : undefined;
  if (module !== undefined) buildStamps(join(ROOT, BUILT));
  const name = `${options.quick ? "quick" : "guest"}-${kernel.name}`;
  const end = await runGuest(ROOT, kit, {
    name,
    kernel,
    hardware: hardware.flatMap((driver) => driver.hardware ?? []),
    modules: module === undefined ? [] : ["ptp", "sch_etf", "sch_prio", "sch_mqprio"],
    task: {
      cells,
      drivers: [...hardware, ...others].map((driver) => driver.name),
      backends,
      ptp4l: kit.ptp4l,
      ...(module === undefined ? {} : { module: { file: module, busybox: kit.busybox } }),
    },
    limits: LIMITS[options.quick ? "quick" : "matrix"],
    onLine: (line) => {
      if ("id" in line) onResult(line as Result);
    },
  });
  const { results, begun } = parseLines(readFileSync(join(guestFolder(ROOT, name), RESULTS), "utf8"));
  if (end.problem === "") return end;
  const tail = end.console.trimEnd().split("\n").slice(-CONSOLE_LINES);
  say(
    `  the guest: ${end.problem}; the end of its console (${join(guestFolder(ROOT, name), "console.log")}):`,
  );
  for (const line of tail) say(`    ${line}`);
  // Of the cell that it was at nothing more will be known; if it was at none, no other guest will do better.
  const lost = begun !== undefined ? [begun] : cells.map(cellId).slice(results.length);
  const said = `the guest: ${end.problem}: ${tail.at(-1) ?? "it said nothing"}`;
  for (const id of lost) onResult({ id, outcome: "failed", said, time_s: end.time_s });
  return end;
}

async function main(): Promise<number> {
  const began = performance.now();
  const backends = probeBackends(resolveLink("lo"), 0, false).map(({ name, roles }) => ({ name, roles }));
  const cells = wantedCells(backends);
  if (cells.length === 0) {
    say(`no cell fits ${options.only.join(", ")}; --list shows all of them`);
    return 2;
  }
  if (options.list) {
    for (const cell of cells) say(cellId(cell));
    return 0;
  }
  const choices = KERNELS.filter(({ name }) => cells.some(({ kernel }) => kernel === name));
  const kit = makeKit(choices, say, options.refresh);
  say(`guests are ready to be started after ${seconds(began)}: QEMU ${kit.qemu.version}`);
  const releases = new Map(kit.kernels.map(({ name, release }) => [name, release]));
  const state = stateOf(ROOT, MODULE);
  const kept = new KeptResults(join(ROOT, BUILT, options.quick ? "quick.json" : "results.json"));
  const found = new Map<string, Result>();
  let left =
    options.again || options.quick
      ? cells
      : remaining(cells, kept.all, options["keep-old"] ? undefined : state, releases);
  if (left.length < cells.length)
    say(`${cells.length - left.length} of ${cells.length} cells are known already`);
  while (left.length > 0) {
    const batch = nextGuest(left);
    const kernel = kit.kernels.find(({ name }) => name === batch[0]!.kernel)!;
    say(`${kernel.release}: ${batch.length} cells`);
    const end = await tryCells(kit, kernel, batch, backends, (result) => {
      const { id, outcome, said, time_s } = result;
      say(`  ${outcome} ${id} (${time_s.toFixed(1)} s)${said === "" ? "" : `: ${said}`}`);
      found.set(id, result);
      kept.add({ ...result, state, release: kernel.release });
    });
    left = left.filter((cell) => !found.has(cellId(cell)));
    say(`${kernel.release}: the guest has ended after ${end.time_s.toFixed(0)} s`);
  }
  if (!options.quick) writeTable(kept, kit, backends);
  const outcomes = cells.map((cell) => (found.get(cellId(cell)) ?? kept.all.get(cellId(cell)))?.outcome);
  const count = (outcome: Result["outcome"]) => outcomes.filter((one) => one === outcome).length;
  const counts = `${count("yes")} right, ${count("refused")} refused with a reason, ${count("failed")} wrong`;
  say(`vm: ${cells.length} cells: ${counts}; ${seconds(began)}`);
  return count("failed") === 0 ? 0 : 1;
}

function writeTable(kept: KeptResults, kit: Kit, backends: readonly Backend[]): void {
  const kernels = KERNELS.map(({ name }) => ({
    name,
    release: kit.kernels.find((kernel) => kernel.name === name)?.release ?? kept.releaseOf(name),
  }));
  const document = readFileSync(DOCUMENT, "utf8");
  writeFileSync(DOCUMENT, withTable(document, tableText(kernels, backends, kept.all)));
}

function seconds(began: number): string {
  return `${((performance.now() - began) / 1000).toFixed(0)} s`;
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => process.exit(130));
process.on("exit", endGuests);

try {
  process.exitCode = await main();
} catch (error) {
  const failure = asCaromError(error, "npm run vm");
  const name = options.quick ? "vm:quick" : "vm";
  process.stderr.write(`${name}: ${failure.message}\n`);
  process.exitCode = failure.code === "internal" ? 1 : failure.exitStatus;
}
