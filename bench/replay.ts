/**
 * How well a capture's gaps are kept, as an XDP program at the far end sees them, and how fast one can be sent: carom
 * replay beside tcpreplay, in turn, from the same file.
 */

import { writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { formatTable } from "../cli/table.js";
import { findTool } from "../lab/ip.js";
import { createLab, type Lab, namespaceArguments } from "../lab/lab.js";
import { CaromError } from "../native/error.js";
import { arrivalFindings, attachArrivals, closeArrivals, measureArrivalsFrom } from "../native/index.js";
import { type PacingView, receiverView } from "../run/certificate.js";
import type { Report } from "../run/report.js";
import { marketData } from "../wire/schema.js";
import { twoCores } from "./far_end.js";
import { carom, execute, type Finished } from "./program.js";
import { FIRST_TIMESTAMP, PoissonSchedule, WARMUP_NS } from "./schedule.js";
import { atLeast, atMost, type Goal, type SuiteResult, spread, spreadText } from "./spread.js";

const PORT = 8080;
const SENT_S = 2; // of the schedule: some 100,000 frames
const FAST_FRAMES = 1_000_000;
const CAROM = "carom replay";
const OTHER = "tcpreplay";

interface Round {
  readonly gap_p50_ns: number;
  readonly drift_ns: number;
}

export async function replaying(rounds: number, say: (line: string) => void): Promise<SuiteResult> {
  if (findTool("tcpreplay") === undefined) {
    throw new CaromError("environment", "bench replay", "tcpreplay is not installed", "install the package");
  }
  const { near } = twoCores();
  const lab = createLab();
  const schedule = new PoissonSchedule(SENT_S);
  try {
    const path = schedule.capture(lab, WARMUP_NS + SENT_S * 1e9);
    const fast = manyFrames(dirname(path));
    const gaps: Record<string, Round[]> = { [CAROM]: [], [OTHER]: [] };
    const rates: Record<string, number[]> = { [CAROM]: [], [OTHER]: [] };
    for (let round = 1; round <= rounds; round++) {
      gaps[CAROM]!.push(await certified(lab, path));
      gaps[OTHER]!.push(await stamped(lab, near, path, schedule));
      rates[CAROM]!.push(await caromRate(lab, fast));
      rates[OTHER]!.push(await otherRate(lab, near, fast));
      say(`  round ${round} of ${rounds}: ${roundText(gaps, rates)}`);
    }
    show(gaps, rates, say);
    return { suite: "replay", figures: { gaps, rates }, goals: goalsOf(gaps, rates) };
  } finally {
    schedule.remove();
    lab.down();
  }
}

function roundText(gaps: Record<string, Round[]>, rates: Record<string, number[]>): string {
  return [CAROM, OTHER]
    .map((name) => {
      const { gap_p50_ns, drift_ns } = gaps[name]!.at(-1)!;
      const rate = (rates[name]!.at(-1)! / 1e6).toFixed(2);
      return `${name} p50 ${(gap_p50_ns / 1000).toFixed(2)} µs, drift ${(drift_ns / 1000).toFixed(1)} µs, ${rate} Mpps`;
    })
    .join("; ");
}

function show(gaps: Record<string, Round[]>, rates: Record<string, number[]>, say: (line: string) => void) {
  const rows = [["", "gap error p50, µs", "drift, µs", "fast, Mpps"]];
  for (const name of [CAROM, OTHER]) {
    const of = (pick: (round: Round) => number) => spreadText(spread(gaps[name]!.map(pick)));
    rows.push([
      name,
      of(({ gap_p50_ns }) => gap_p50_ns / 1000),
      of(({ drift_ns }) => drift_ns / 1000),
      spreadText(spread(rates[name]!.map((rate) => rate / 1e6))),
    ]);
  }
  for (const line of formatTable(rows)) say(`  ${line}`);
}

function goalsOf(gaps: Record<string, Round[]>, rates: Record<string, number[]>): Goal[] {
  const ratio = gaps[CAROM]!.map(
    ({ gap_p50_ns }, round) => gap_p50_ns / Math.max(1, gaps[OTHER]![round]!.gap_p50_ns),
  );
  const faster = rates[CAROM]!.map((rate, round) => rate / rates[OTHER]![round]!);
  const drift = spread(gaps[CAROM]!.map(({ drift_ns }) => Math.abs(drift_ns) / 1000)).median;
  return [
    atMost("gap error p50, carom / tcpreplay", spread(ratio).median, 0.1),
    atMost("carom, drift, µs", drift, 1),
    atLeast("--fast / --topspeed", spread(faster).median, 3),
  ];
}

/** A capture of a million frames, each with its number, in the same folder. */
function manyFrames(folder: string): string {
  const target = join(folder, "fast.pcap");
  const frame = Buffer.alloc(42 + marketData.size);
  frame.write("02ca4000000202ca400000010800", "hex");
  const head = Buffer.alloc(24);
  head.writeUInt32LE(0xa1b23c4d);
  head.writeUInt16LE(2, 4);
  head.writeUInt16LE(4, 6);
  head.writeUInt32LE(262_144, 16);
  head.writeUInt32LE(1, 20);
  const all = Buffer.alloc(FAST_FRAMES * (16 + frame.length));
  for (let number = 0, at = 0; number < FAST_FRAMES; number++) {
    all.writeUInt32LE(1_700_000_000, at);
    all.writeUInt32LE(number, at + 4);
    all.writeUInt32LE(frame.length, at + 8);
    all.writeUInt32LE(frame.length, at + 12);
    frame.writeUInt32LE(number, 42);
    at += 16 + frame.copy(all, at + 16);
  }
  writeFileSync(target, Buffer.concat([head, all]));
  return target;
}

function finished(what: string, { status, stdout, stderr }: Finished): string {
  if (status !== 0) throw new CaromError("environment", what, stderr.trim() || stdout.trim());
  return `${stdout}${stderr}`;
}

async function replay(lab: Lab, path: string, ...more: readonly string[]): Promise<Report> {
  const { status, stdout, stderr } = await execute(
    carom("replay", path, "--lab", lab.name, "--json", ...more),
  );
  if (status !== 0) throw new CaromError("environment", "carom replay", stderr.trim() || stdout);
  return JSON.parse(stdout) as Report;
}

async function certified(lab: Lab, path: string): Promise<Round> {
  const { receiver, receiver_reason } = (await replay(lab, path)).certificate!;
  if (receiver === null) throw new CaromError("environment", "stamp the arrivals", receiver_reason);
  return roundOf(receiver);
}

function roundOf({ gap_error, drift_ns }: PacingView): Round {
  return { gap_p50_ns: gap_error.percentiles[0]!.value_ns ?? Number.NaN, drift_ns: drift_ns ?? Number.NaN };
}

/** By the planned times in its ticks. */
async function stamped(lab: Lab, near: number, path: string, schedule: PoissonSchedule): Promise<Round> {
  const arrivals = attachArrivals(lab.responder, PORT);
  try {
    measureArrivalsFrom(arrivals, FIRST_TIMESTAMP);
    finished("run tcpreplay", await execute(tcpreplay(lab, near, path)));
    const found = arrivalFindings(arrivals);
    const wanted = schedule.planned_ns.filter((time) => time < WARMUP_NS + SENT_S * 1e9).length;
    if (found.ticks !== wanted)
      throw new CaromError("environment", "see every tick", `${found.ticks} of ${wanted} came`);
    return roundOf(receiverView({ ...found, clockDrift: 0 }, 0)); // it paces itself by the kernel's clock
  } finally {
    closeArrivals(arrivals);
  }
}

function tcpreplay(lab: Lab, near: number, path: string, ...more: readonly string[]): string[] {
  const tool = ["tcpreplay", "--preload-pcap", ...more, "--intf1", lab.generator.interfaceName, path];
  return [...namespaceArguments(lab.generator.namespace), "taskset", "-c", String(near), ...tool];
}

async function caromRate(lab: Lab, path: string): Promise<number> {
  const { rates, replay: found } = await replay(lab, path, "--fast");
  if (found!.frames !== FAST_FRAMES)
    throw new CaromError("environment", "carom replay --fast", `${found!.frames} frames were sent`);
  return rates.sent_pps;
}

/** As it says itself: "Rated: … Bps, … Mbps, 512345.67 pps". */
async function otherRate(lab: Lab, near: number, path: string): Promise<number> {
  const text = finished("run tcpreplay", await execute(tcpreplay(lab, near, path, "--topspeed")));
  const rate = Number(/([\d.]+) pps/.exec(text)?.[1]);
  if (!(rate > 0)) throw new CaromError("environment", "read tcpreplay's rate", text);
  return rate;
}
