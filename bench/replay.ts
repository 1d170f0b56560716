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
import { twoCores } from "./far_end.js";
import { carom, execute, type Finished } from "./program.js";
import { buildReceiver, type WithReceiver } from "./receiver.js";
import { type Resident, residentOf } from "./replay_memory.js";
import { FIRST_TIMESTAMP, PoissonSchedule, WARMUP_NS } from "./schedule.js";
import { measure } from "./sending.js";
import { atLeast, atMost, type Goal, type SuiteResult, spread, spreadText } from "./spread.js";
import { THRESHOLD, tickFrame } from "./ticks.js";

const PORT = 8080;
const SENT_S = 2; // of the schedule: some 100,000 frames
const FAST_FRAMES = 1_000_000;
const FAST_BACKEND = "xdp_live";
const RESIDENT_MIB = 150;
const CHECKSUM_AT = 40; // of UDP, behind Ethernet and IPv4
const TIMESTAMP_AT = 58; // of the tick
const CAROM = "carom replay";
const OTHER = "tcpreplay";

interface Round {
  readonly gap_p50_ns: number;
  readonly drift_ns: number;
}

/** @param seconds how long the frames of each tool are counted */
export async function replaying(
  rounds: number,
  seconds: number,
  say: (line: string) => void,
): Promise<SuiteResult> {
  if (findTool("tcpreplay") === undefined) {
    throw new CaromError("environment", "bench replay", "tcpreplay is not installed", "install the package");
  }
  const { near } = twoCores();
  const withReceiver = buildReceiver();
  const lab = createLab();
  const schedule = new PoissonSchedule(SENT_S);
  try {
    const path = schedule.capture(lab, WARMUP_NS + SENT_S * 1e9);
    const many = manyTicks(lab, dirname(path));
    const fast = ["--fast", "--loop", "forever", "--backend", FAST_BACKEND, "--cpu", String(near)];
    const commands: Record<string, readonly string[]> = {
      [CAROM]: carom("replay", many, "--lab", lab.name, ...fast),
      [OTHER]: tcpreplay(lab, near, many, "--topspeed", "--loop=0"),
    };
    const gaps: Record<string, Round[]> = { [CAROM]: [], [OTHER]: [] };
    const rates: Record<string, number[]> = { [CAROM]: [], [OTHER]: [] };
    for (let round = 1; round <= rounds; round++) {
      gaps[CAROM]!.push(await certified(lab, path));
      gaps[OTHER]!.push(await stamped(lab, near, path, schedule));
      for (const name of [CAROM, OTHER])
        rates[name]!.push(await rateOf(withReceiver, lab, name, commands[name]!, seconds));
      say(`  round ${round} of ${rounds}: ${roundText(gaps, rates)}`);
    }
    show(gaps, rates, say);
    const resident = await residentOf(many, ["--lab", lab.name, "--backend", FAST_BACKEND]);
    say(`  ${residentText(resident)}`);
    const goals = [...goalsOf(gaps, rates), atMost("largest resident set, MiB", resident.mib, RESIDENT_MIB)];
    return { suite: "replay", figures: { gaps, rates, resident }, goals };
  } finally {
    schedule.remove();
    lab.down();
  }
}

function residentText({ file_bytes, frames, mib }: Resident): string {
  const millions = (value: number) => (value / 1e6).toFixed(0);
  return `a file of ${millions(file_bytes)} MB, ${millions(frames)} M frames: largest resident set ${mib.toFixed(0)} MiB`;
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

/** A capture of a million ticks, each with a timestamp of its own, in the same folder. */
function manyTicks(lab: Lab, folder: string): string {
  const target = join(folder, "fast.pcap");
  const frame = tickFrame(lab, { symbol: "AAPL", price: THRESHOLD - 1, quantity: 100, timestamp: 0n });
  const sum = ~frame.readUInt16BE(CHECKSUM_AT) & 0xffff;
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
    frame.writeBigUInt64LE(FIRST_TIMESTAMP + BigInt(number), TIMESTAMP_AT);
    let changed = sum; // RFC 1624: the checksum of what was there, and of what is new
    for (let word = 0; word < 4; word++) changed += frame.readUInt16BE(TIMESTAMP_AT + 2 * word);
    while (changed > 0xffff) changed = (changed & 0xffff) + (changed >>> 16);
    frame.writeUInt16BE(~changed & 0xffff, CHECKSUM_AT);
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
    return roundOf(receiverView({ ...found, clockDrift: 0 }, 0, 0)); // it paces itself by the kernel's clock
  } finally {
    closeArrivals(arrivals);
  }
}

function tcpreplay(lab: Lab, near: number, path: string, ...more: readonly string[]): string[] {
  const tool = ["tcpreplay", "--preload-pcap", ...more, "--intf1", lab.generator.interfaceName, path];
  return [...namespaceArguments(lab.generator.namespace), "taskset", "-c", String(near), ...tool];
}

/** Again and again, counted at the far end, where a program drops what comes. */
async function rateOf(
  withReceiver: WithReceiver,
  lab: Lab,
  name: string,
  command: readonly string[],
  seconds: number,
): Promise<number> {
  const tool = { name, executable: "", command };
  return (await withReceiver(lab, (receiver) => measure(tool, receiver, seconds))).ticks_per_s;
}
