/**
 * How well a schedule is held, as an XDP program at the far end sees it: carom, a bare loop that spins and sends,
 * and tcpreplay, in turn, with the same ticks at the same times.
 */

import { formatTable } from "../cli/table.js";
import { findTool } from "../lab/ip.js";
import { createLab, type Lab, namespaceArguments } from "../lab/lab.js";
import { CaromError } from "../native/error.js";
import { arrivalFindings, attachArrivals, closeArrivals, measureArrivalsFrom } from "../native/index.js";
import { type PacingView, receiverView } from "../run/certificate.js";
import type { Report } from "../run/report.js";
import { twoCores } from "./far_end.js";
import { carom, compile, execute, type Finished } from "./program.js";
import { FIRST_TIMESTAMP, PoissonSchedule, WARMUP_NS } from "./schedule.js";
import { atMost, type Goal, type SuiteResult, spread, spreadText } from "./spread.js";

const PORT = 8080;
const REPLAYED_S = 10; // of the schedule: a capture of all of it would be some 400 MB
const CAROM = "carom af_xdp";
const BARE = "bare af_xdp";
const REPLAY = "tcpreplay";
const SHOWN = ["p50", "p90", "p99", "p99.9", "max"] as const;

type Contestant = () => Promise<PacingView>;

/** @param seconds how much of the schedule each contestant sends in each round */
export async function pacing(
  rounds: number,
  seconds: number,
  say: (line: string) => void,
): Promise<SuiteResult> {
  const { near } = twoCores();
  const program = compile("spin_send", ["core/clock.cpp", "core/thread.cpp"], ["-lbpf"]);
  const lab = createLab();
  const schedule = new PoissonSchedule(seconds);
  try {
    const contestants = new Map<string, Contestant>([
      [CAROM, () => generate(lab, schedule, seconds)],
      [BARE, () => bareLoop(program, lab, near, schedule)],
    ]);
    if (findTool("tcpreplay") === undefined)
      say("  tcpreplay is not installed: no comparison with it (Debian package tcpreplay)");
    else contestants.set(REPLAY, () => replay(lab, near, schedule, seconds));
    const views = new Map<string, PacingView[]>([...contestants.keys()].map((name) => [name, []]));
    for (let round = 1; round <= rounds; round++) {
      for (const [name, contestant] of contestants) views.get(name)!.push(await contestant());
      const shown = [...views].map(
        ([name, all]) => `${name} ${(gapAt(all.at(-1)!, "p50") / 1000).toFixed(2)}`,
      );
      say(`  round ${round} of ${rounds}, p50 of the gaps' errors in µs: ${shown.join(", ")}`);
    }
    show(views, say);
    const opening = await openingAt8x(lab, seconds, say);
    const figures = { ...Object.fromEntries(views), "opening × 8": opening };
    return { suite: "pacing", figures, goals: [...goalsOf(views), ...openingGoals(opening)] };
  } finally {
    schedule.remove();
    lab.down();
  }
}

function gapAt({ gap_error }: PacingView, name: (typeof SHOWN)[number]): number {
  if (name === "max") return gap_error.max_ns;
  const wanted = Number(name.slice(1));
  return gap_error.percentiles.find(({ percentile }) => percentile === wanted)!.value_ns ?? 0;
}

function show(views: ReadonlyMap<string, readonly PacingView[]>, say: (line: string) => void): void {
  const rows = [["gap error, µs", ...SHOWN, "drift µs", "ticks"]];
  for (const [name, all] of views) {
    const gaps = SHOWN.map((key) => spreadText(spread(all.map((view) => gapAt(view, key) / 1000))));
    const drift = spreadText(spread(all.map(({ drift_ns }) => (drift_ns ?? 0) / 1000)));
    const ticks = all.reduce((sum, view) => sum + view.ticks, 0).toLocaleString("en-US");
    rows.push([name, ...gaps, drift, ticks]);
  }
  for (const line of formatTable(rows)) say(`  ${line}`);
}

function goalsOf(views: ReadonlyMap<string, readonly PacingView[]>): Goal[] {
  const own = views.get(CAROM)!;
  const bare = views.get(BARE)!;
  const median = (key: (typeof SHOWN)[number]) => spread(own.map((view) => gapAt(view, key) / 1000)).median;
  const ratio = (key: (typeof SHOWN)[number]) =>
    spread(own.map((view, round) => gapAt(view, key) / Math.max(1, gapAt(bare[round]!, key)))).median;
  const drift = Math.max(...own.map(({ drift_ns }) => Math.abs(drift_ns ?? Number.NaN) / 1000));
  return [
    atMost("carom, gap error p50, µs", median("p50"), 0.2),
    atMost("carom, gap error p90, µs", median("p90"), 2),
    atMost("carom p99 / bare p99", ratio("p99"), 1.2),
    atMost("carom p99.9 / bare p99.9", ratio("p99.9"), 1.2),
    atMost("carom max / bare max", ratio("max"), 1.2),
    atMost("carom, largest drift of a round, µs", drift, 1),
  ];
}

async function generate(lab: Lab, schedule: PoissonSchedule, seconds: number): Promise<PacingView> {
  const report = await certified(lab, ["--profile", schedule.profile], seconds);
  const { receiver, receiver_reason } = report.certificate!;
  if (receiver === null) throw new CaromError("environment", "stamp the arrivals", receiver_reason);
  return complete(receiver, schedule.measured);
}

async function certified(lab: Lab, feed: readonly string[], seconds: number): Promise<Report> {
  const options = ["--lab", lab.name, "--duration", `${seconds}s`, "--arrivals", "on", "--json"];
  const { status, stdout, stderr } = await execute(carom("generate", ...feed, ...options));
  if (status !== 0) throw new CaromError("environment", "carom generate", stderr.trim() || stdout);
  return JSON.parse(stdout) as Report;
}

/** All of it has to be there: a tick that was lost would be a gap that nobody planned. */
function complete(view: PacingView, wanted: number): PacingView {
  if (view.ticks === wanted) return view;
  throw new CaromError("environment", "see every tick at the far end", `${view.ticks} of ${wanted} came`);
}

/** Runs a program that sends, and sees what arrives. */
async function seen(lab: Lab, wanted: number, send: () => Promise<number>): Promise<PacingView> {
  const arrivals = attachArrivals(lab.responder, PORT);
  try {
    measureArrivalsFrom(arrivals, FIRST_TIMESTAMP + BigInt(WARMUP_NS));
    const clock_per_ns = await send();
    const found = arrivalFindings(arrivals);
    return complete(receiverView({ ...found, clockDrift: clock_per_ns * found.elapsed }, 0, 0), wanted);
  } finally {
    closeArrivals(arrivals);
  }
}

function finished(what: string, { status, stdout, stderr }: Finished): string {
  if (status !== 0) throw new CaromError("environment", what, stderr.trim());
  return stdout;
}

async function bareLoop(program: string, lab: Lab, near: number, schedule: PoissonSchedule) {
  const { namespace, interfaceName } = lab.generator;
  const command = [program, namespace, interfaceName, String(near), String(FIRST_TIMESTAMP)];
  return await seen(lab, schedule.measured, async () => {
    const text = finished("run the bare loop", await execute(command, undefined, schedule.binary(lab)));
    const { ahead_ns, elapsed_ns } = JSON.parse(text) as { ahead_ns: number; elapsed_ns: number };
    return ahead_ns / elapsed_ns;
  });
}

/** The clock by which it paces itself is the kernel's. */
async function replay(lab: Lab, near: number, schedule: PoissonSchedule, seconds: number) {
  const until_ns = WARMUP_NS + Math.min(seconds, REPLAYED_S) * 1e9;
  const path = schedule.capture(lab, until_ns);
  const measured = schedule.planned_ns.filter((time) => time >= WARMUP_NS && time < until_ns).length;
  const tool = ["tcpreplay", "--preload-pcap", "--intf1", lab.generator.interfaceName, path];
  const command = [...namespaceArguments(lab.generator.namespace), "taskset", "-c", String(near), ...tool];
  return await seen(lab, measured, async () => {
    finished("run tcpreplay", await execute(command));
    return 0;
  });
}

async function openingAt8x(lab: Lab, seconds: number, say: (line: string) => void) {
  const { certificate } = await certified(lab, ["--profile", "opening", "--scale", "8x"], seconds);
  const { receiver, sender, late } = certificate!;
  const gaps = SHOWN.map((key) => `${key} ${(gapAt(receiver!, key) / 1000).toFixed(2)}`).join(", ");
  const n = (value: number) => value.toLocaleString("en-US");
  say(
    `  opening × 8: ${n(sender.ticks)} ticks, ${n(Math.round(sender.rate_pps))} a second; gap error, µs: ${gaps}`,
  );
  say(
    `  opening × 8: ${n(late.sends)} late by more than ${late.threshold_ns / 1000} µs, because of ` +
      `machine ${n(late.machine)}, link ${n(late.link)}, carom ${n(late.carom)}, unexplained ${n(late.unexplained)}`,
  );
  return certificate!;
}

function openingGoals({ late, sender }: NonNullable<Report["certificate"]>): Goal[] {
  return [atMost("opening × 8, late ticks because of carom, share of all", late.carom / sender.ticks, 0.001)];
}
