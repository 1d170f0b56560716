/**
 * How soon a responder under load obeys: from just before it is asked to the last order, or the first one, at the
 * other end. The times of orders are noted where they come in, by the XDP program that counts them, on the
 * clock that the bench reads, too.
 */

import { setTimeout as sleep } from "node:timers/promises";
import { formatTable } from "../cli/table.js";
import { createLab, type Lab } from "../lab/lab.js";
import { CaromError } from "../native/error.js";
import { ask } from "../responder/control.js";
import { type Responder, twoCores, withResponder } from "./far_end.js";
import { Accounts, buildFlood, type Flood, type FloodProgram, sum } from "./load.js";
import { atMost, type SuiteResult, spread, spreadText } from "./spread.js";
import { type TickTable, tickTable } from "./ticks.js";

const REPETITIONS = 20;
const RATE = 500_000; // ticks a second, all of them answered
const PAUSE_MS = 40; // after each request: longer than it may take
const GAP_NS = 1e6; // shorter times without orders are the machine's
const START_MS = 5000;
const POLL_MS = 5;
const LIMIT_S = 60; // the flood ends by then, whatever happens
const GOAL_MS = 10;

interface Times {
  readonly disable_ms: readonly number[];
  readonly enable_ms: readonly number[];
}

interface Asked {
  readonly disable_ns: number;
  readonly enable_ns: number;
}

export async function switching(say: (line: string) => void): Promise<SuiteResult> {
  const { near, far } = twoCores();
  const program = buildFlood();
  const lab = createLab();
  try {
    const table = tickTable(lab, 1);
    const found = new Map<string, Times>();
    const all: Accounts[] = [];
    for (const backend of ["xdp", "af_xdp"]) {
      const accounts = new Accounts(backend);
      all.push(accounts);
      const times = await withResponder(lab, backend, far, async (responder) => {
        const { flood, asked } = await underLoad(program, lab, table, near, responder);
        accounts.add(flood, await responder.counters());
        return timesOf(flood, asked);
      });
      found.set(backend, times);
    }
    return conclude(found, all, say);
  } finally {
    lab.down();
  }
}

async function underLoad(
  program: FloodProgram,
  lab: Lab,
  table: TickTable,
  cpu: number,
  { name }: Responder,
): Promise<{ flood: Flood; asked: Asked[] }> {
  let end = () => {};
  const options = { cpu, rate: RATE, seconds: LIMIT_S, gap_ns: GAP_NS };
  const flooding = program(lab, table, options, (pid) => {
    end = () => process.kill(pid, "SIGTERM");
  });
  const over = flooding.finally(() => {
    end = () => {};
  });
  const ended = over.then(() => {
    throw new CaromError("internal", "switch a responder under load", "the load ended too soon");
  });
  const asked = await Promise.race([askAgainAndAgain(name), ended]).finally(() => end());
  return { flood: await flooding, asked };
}

async function askAgainAndAgain(name: string): Promise<Asked[]> {
  await untilBusy(name);
  const asked: Asked[] = [];
  for (let i = 0; i < REPETITIONS; i++) {
    const disable_ns = now();
    await ask(name, "disable");
    await sleep(PAUSE_MS);
    const enable_ns = now();
    await ask(name, "enable");
    await sleep(PAUSE_MS);
    asked.push({ disable_ns, enable_ns });
  }
  return asked;
}

async function untilBusy(name: string): Promise<void> {
  for (const end = performance.now() + START_MS; performance.now() < end; await sleep(POLL_MS)) {
    const { counters } = (await ask(name, "stats")) as { counters: Record<string, number> };
    if ((counters.orders ?? 0) > RATE / 10) return;
  }
  throw new CaromError("environment", "switch a responder under load", "the load does not begin");
}

/** The monotonic clock, which eBPF programs read, too. */
function now(): number {
  return Number(process.hrtime.bigint());
}

/** When the responder was enabled again, it had been silent since the last order before that. */
function timesOf({ gaps }: Flood, asked: readonly Asked[]): Times {
  const silent = asked.map(({ enable_ns }) => gaps.find(([from, to]) => from < enable_ns && enable_ns < to));
  const ms = (ns: number | undefined) => (ns === undefined ? PAUSE_MS : Math.max(0, ns / 1e6)); // never in force
  return {
    disable_ms: asked.map(({ disable_ns }, i) => ms(silent[i] && silent[i][0] - disable_ns)),
    enable_ms: asked.map(({ enable_ns }, i) => ms(silent[i] && silent[i][1] - enable_ns)),
  };
}

function conclude(
  found: ReadonlyMap<string, Times>,
  all: readonly Accounts[],
  say: (line: string) => void,
): SuiteResult {
  const figures = new Map(
    [...found].flatMap(([backend, { disable_ms, enable_ms }]) => [
      [`${backend} disable`, spread(disable_ms)] as const,
      [`${backend} enable`, spread(enable_ms)] as const,
    ]),
  );
  const rows = [["", "p50 (min–max) ms"], ...[...figures].map(([name, ms]) => [name, spreadText(ms)])];
  for (const line of formatTable(rows)) say(`  ${line}`);
  const balances = all.flatMap((accounts) => accounts.balances);
  for (const balance of balances) say(`  ${balance}`);
  const goals = [
    ...[...figures].map(([name, { max }]) => atMost(`${name}, longest of ${REPETITIONS}, ms`, max, GOAL_MS)),
    atMost("ticks and answers that no counter accounts for", sum(balances.map(({ open }) => open)), 0),
  ];
  return { suite: "switch", figures: Object.fromEntries(figures), goals };
}
