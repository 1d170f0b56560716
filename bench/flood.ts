/**
 * How many ticks a second are answered in the kernel, and received and decided in user space, and where each went
 * that was not.
 */

import { formatTable } from "../cli/table.js";
import { createLab, type Lab } from "../lab/lab.js";
import { chooseCores } from "../run/cores.js";
import { withResponder, withSwap } from "./far_end.js";
import { Balance, buildFlood, type Flood, type FloodOptions, type FloodProgram, sum } from "./load.js";
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
  const program = buildFlood();
  const lab = createLab();
  try {
    const cores = chooseCores(2);
    const all = tickTable(lab, 1);
    const few = tickTable(lab, FEW);
    const options = (rate: number) => ({ cpu: cores.generator, rate, seconds });
    const far = String(cores.responder);
    const swap = swapped(program, lab, all, options(0));
    const xdp = answeredInKernel(program, lab, all, far, options(0));
    const paced = received("af_xdp, 1.5 M/s sent", program, lab, few, far, options(PACED));
    const free = received("af_xdp, all that goes", program, lab, few, far, options(0));
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
function swapped(program: FloodProgram, lab: Lab, table: TickTable, options: FloodOptions): Contestant {
  const balance = new Balance("swapped: sent");
  const measure = async () => {
    const flood = await withSwap(lab, () => program(lab, table, options));
    const back = sum(flood.echoes);
    balance.add(flood.sent, {
      "came back": back,
      "queue full": flood.queue_full,
      "answer dropped": flood.answers_dropped,
    });
    return sample(flood, options.cpu, back, {});
  };
  return { name: "swaps addresses", balances: [balance], measure, samples: [] };
}

function answeredInKernel(
  program: FloodProgram,
  lab: Lab,
  table: TickTable,
  far: string,
  options: FloodOptions,
): Contestant {
  const ticks = new Balance("xdp: sent");
  const orders = new Balance("xdp: orders made");
  const measure = async () =>
    await withResponder(lab, "xdp", far, async (responder) => {
      const flood = await program(lab, table, options);
      const counters = await responder.counters();
      const n = (name: string) => counters[name] ?? 0;
      ticks.add(flood.sent, {
        answered: n("orders"),
        quiet: n("quiet_ticks"),
        unsent: n("orders_unsent"),
        "queue full": flood.queue_full,
      });
      const back = sum(flood.orders);
      orders.add(n("orders"), { "came back": back, dropped: flood.answers_dropped });
      return sample(flood, options.cpu, back, counters);
    });
  return { name: "xdp", balances: [ticks, orders], measure, samples: [] };
}

function received(
  name: string,
  program: FloodProgram,
  lab: Lab,
  table: TickTable,
  far: string,
  options: FloodOptions,
): Contestant {
  const ticks = new Balance(`${name}: sent`);
  const decided = new Balance(`${name}: received`);
  const orders = new Balance(`${name}: orders made`);
  const measure = async () =>
    await withResponder(lab, "af_xdp", far, async (responder) => {
      const flood = await program(lab, table, options);
      const counters = await responder.counters();
      const n = (counter: string) => counters[counter] ?? 0;
      ticks.add(flood.sent, {
        received: n("frames"),
        "rx_ring_drops, no buffer to receive into": n("fill_ring_empty"),
        "rx_ring_drops, ring full": n("rx_ring_drops") - n("fill_ring_empty"),
        "queue full": flood.queue_full,
      });
      decided.add(n("frames"), {
        answered: n("orders"),
        quiet: n("quiet_ticks"),
        unsent: n("orders_unsent"),
        disabled: n("disabled"),
      });
      orders.add(n("orders"), { "came back": sum(flood.orders), dropped: flood.answers_dropped });
      return sample(flood, options.cpu, n("ticks"), counters);
    });
  return { name, balances: [ticks, decided, orders], measure, samples: [] };
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
