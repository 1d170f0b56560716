/**
 * How many ticks a second are answered in the kernel, and received and decided in user space, and where each went
 * that was not.
 */

import { formatTable } from "../cli/table.js";
import { createLab, type Lab } from "../lab/lab.js";
import { buildSwap, twoCores, type WithSwap, withResponder } from "./far_end.js";
import {
  Accounts,
  Balance,
  buildFlood,
  type Flood,
  type FloodOptions,
  type FloodProgram,
  sum,
} from "./load.js";
import { atLeast, atMost, type SuiteResult, spread, spreadText } from "./spread.js";
import { type TickTable, tickTable } from "./ticks.js";

const PACED = 1_500_000; // ticks a second
const FEW = 0.1; // part of the ticks that af_xdp is to answer

interface Sample {
  readonly sent: number;
  readonly sent_per_s: number;
  readonly done: number; // came back (kernel), or were received and decided (af_xdp)
  readonly done_per_s: number;
  readonly elsewhere: number; // came back on another core than the sender's
  readonly counters: Readonly<Record<string, number>>;
  readonly flood: Flood;
}

interface Place {
  readonly program: FloodProgram;
  readonly lab: Lab;
  readonly far: number; // the responder's core
}

interface Contestant {
  readonly name: string;
  readonly balances: readonly Balance[];
  readonly measure: () => Promise<Sample>;
  readonly samples: Sample[];
}

/** @param seconds how long each contestant is measured in each round */
export async function flood(
  rounds: number,
  seconds: number,
  say: (line: string) => void,
): Promise<SuiteResult> {
  const { near, far } = twoCores();
  const withSwap = buildSwap();
  const program = buildFlood();
  const lab = createLab();
  try {
    const all = tickTable(lab, 1);
    const few = tickTable(lab, FEW);
    const options = (rate: number) => ({ cpu: near, rate, seconds });
    const place = { program, lab, far };
    const back = (flood: Flood) => sum(flood.orders);
    const decided = (_: Flood, counters: Sample["counters"]) => counters.ticks ?? 0;
    const swap = swapped(withSwap, place, all, options(0));
    const xdp = responder("xdp", "xdp", back, place, all, options(0));
    const paced = responder("af_xdp, 1.5 M/s", "af_xdp", decided, place, few, options(PACED));
    const free = responder("af_xdp, all that goes", "af_xdp", decided, place, few, options(0));
    const contestants = [swap, xdp, paced, free];
    for (let round = 1; round <= rounds; round++) {
      for (const { samples, measure } of contestants) samples.push(await measure());
      const shown = contestants.map(({ name, samples }) => `${name} ${millions(samples.at(-1)!.done_per_s)}`);
      say(`  round ${round} of ${rounds}, M ticks/s: ${shown.join("; ")}`);
    }
    show(contestants, say);
    const open = sum(contestants.flatMap(({ balances }) => balances.map((balance) => balance.open)));
    const rate = ({ samples }: Contestant) => spread(samples.map((s) => s.done_per_s / 1e6)).median;
    const goals = [
      atLeast("xdp, M ticks/s answered on one core", rate(xdp), 3),
      atMost("xdp, answers that came back on another core", sum(xdp.samples.map((s) => s.elsewhere)), 0),
      atLeast("af_xdp, M ticks/s received, decided and counted", rate(paced), 1),
      atMost("ticks and answers that no counter accounts for", open, 0),
    ];
    const figures = Object.fromEntries(contestants.map(({ name, samples }) => [name, samples]));
    return { suite: "flood", figures, goals };
  } finally {
    lab.down();
  }
}

function sample(flood: Flood, cpu: number, done: number, counters: Sample["counters"]): Sample {
  const per_s = (count: number) => count / (flood.elapsed_ns / 1e9);
  const back = [flood.orders, flood.echoes, flood.others];
  const elsewhere = sum(back.flatMap((counts) => counts.filter((_, core) => core !== cpu)));
  return {
    sent: flood.sent,
    sent_per_s: per_s(flood.sent),
    done,
    done_per_s: per_s(done),
    elsewhere,
    counters,
    flood,
  };
}

/** The floor: everything goes back as it came. */
function swapped(
  withSwap: WithSwap,
  { program, lab }: Place,
  table: TickTable,
  options: FloodOptions,
): Contestant {
  const balance = new Balance("swaps addresses: sent");
  const measure = async () => {
    const flood = await withSwap(lab, () => program(lab, table, options));
    const back = sum(flood.echoes);
    balance.add(flood.sent, {
      "came back": back,
      "veth queue full": flood.queue_full,
      dropped: flood.answers_dropped,
    });
    return sample(flood, options.cpu, back, {});
  };
  return { name: "swaps addresses", balances: [balance], measure, samples: [] };
}

/** carom's responder; `doneOf` says what counts as done. */
function responder(
  name: string,
  backend: string,
  doneOf: (flood: Flood, counters: Sample["counters"]) => number,
  { program, lab, far }: Place,
  table: TickTable,
  options: FloodOptions,
): Contestant {
  const accounts = new Accounts(name);
  const measure = async () =>
    await withResponder(lab, backend, far, async (responder) => {
      const flood = await program(lab, table, options);
      const counters = await responder.counters();
      accounts.add(flood, counters);
      return sample(flood, options.cpu, doneOf(flood, counters), counters);
    });
  return { name, balances: accounts.balances, measure, samples: [] };
}

function millions(per_s: number): string {
  return (per_s / 1e6).toFixed(2);
}

function show(contestants: readonly Contestant[], say: (line: string) => void): void {
  const rows = [["", "sent, M/s", "answered or decided, M/s", "of those sent, %"]];
  for (const { name, samples } of contestants) {
    const cells = [
      spread(samples.map((s) => s.sent_per_s / 1e6)),
      spread(samples.map((s) => s.done_per_s / 1e6)),
      spread(samples.map((s) => (100 * s.done) / s.sent)),
    ];
    rows.push([name, ...cells.map((found) => spreadText(found))]);
  }
  for (const line of formatTable(rows)) say(`  ${line}`);
  for (const { balances } of contestants) for (const balance of balances) say(`  ${balance}`);
}
