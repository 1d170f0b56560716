/**
 * The round trip to the responder in the kernel, beside an XDP program that only swaps addresses: the same bare
 * AF_XDP socket measures both, with real ticks.
 */

import { formatTable } from "../cli/table.js";
import { createLab, type Lab } from "../lab/lab.js";
import { CaromError } from "../native/error.js";
import { buildSwap, twoCores, withResponder } from "./far_end.js";
import { compile, execute } from "./program.js";
import { atMost, type SuiteResult, spread, spreadText } from "./spread.js";
import { THRESHOLD, tickFrame } from "./ticks.js";

const SWAP = "swaps addresses";
const XDP = "carom xdp";
const AF_XDP = "carom af_xdp";

export interface TickSample {
  readonly count: number;
  readonly p50_ns: number;
  readonly p99_ns: number;
}

/** @param seconds how long each contestant is measured in each round */
export async function kernel(
  rounds: number,
  seconds: number,
  say: (line: string) => void,
): Promise<SuiteResult> {
  const { near, far } = twoCores();
  const withSwap = buildSwap();
  const program = compile("tick_ping", ["core/clock.cpp", "core/thread.cpp"], ["-lbpf"]);
  const lab = createLab();
  try {
    const ping = (answer: "echo" | "order") => measureTicks(program, lab, near, seconds, answer);
    const carom = (backend: string) => withResponder(lab, backend, far, () => ping("order"));
    const contestants: [string, () => Promise<TickSample>][] = [
      [SWAP, () => withSwap(lab, () => ping("echo"))],
      [XDP, () => carom("xdp")],
      [AF_XDP, () => carom("af_xdp")],
    ];
    const samples = new Map<string, TickSample[]>(contestants.map(([name]) => [name, []]));
    for (let round = 1; round <= rounds; round++) {
      for (const [name, contestant] of contestants) samples.get(name)!.push(await contestant());
      const shown = [...samples].map(([name, all]) => `${name} ${(all.at(-1)!.p50_ns / 1000).toFixed(2)}`);
      say(`  round ${round} of ${rounds}, p50 in µs: ${shown.join(", ")}`);
    }
    return conclude(samples, say);
  } finally {
    lab.down();
  }
}

/** Round trips of one tick at a time, by bench/tick_ping.cpp at the generator's end. */
export async function measureTicks(
  program: string,
  { generator, ...lab }: Lab,
  core: number,
  seconds: number,
  answer: "echo" | "order",
): Promise<TickSample> {
  const tick = { symbol: "AAPL", price: THRESHOLD - 100, quantity: 100, timestamp: 0n };
  const frame = tickFrame({ generator, ...lab }, tick);
  const command = [program, generator.namespace, generator.interfaceName, String(core), String(seconds)];
  const { status, stdout, stderr } = await execute([...command, answer], undefined, frame);
  if (status !== 0) throw new CaromError("environment", "measure the round trip of a tick", stderr.trim());
  return JSON.parse(stdout) as TickSample;
}

function conclude(
  samples: ReadonlyMap<string, readonly TickSample[]>,
  say: (line: string) => void,
): SuiteResult {
  const ratio = (name: string, key: "p50_ns" | "p99_ns") =>
    spread(samples.get(name)!.map((sample, round) => sample[key] / samples.get(SWAP)![round]![key]));
  const rows = [["", "p50 µs", "p99 µs", "p50 / swap", "p99 / swap"]];
  for (const [name, all] of samples) {
    const times = (["p50_ns", "p99_ns"] as const).map((key) => spread(all.map((s) => s[key] / 1000)));
    const ratios = [ratio(name, "p50_ns"), ratio(name, "p99_ns")];
    rows.push([name, ...[...times, ...ratios].map((found) => spreadText(found))]);
  }
  for (const line of formatTable(rows)) say(`  ${line}`);
  const trips = [...samples.values()].flat().reduce((sum, { count }) => sum + count, 0);
  say(`  ${trips} round trips; every frame that came back was the tick's own order, or its echo`);
  const goals = [atMost("xdp p50 / swapped addresses p50", ratio(XDP, "p50_ns").median, 1.1)];
  return { suite: "kernel", figures: Object.fromEntries(samples), goals };
}
