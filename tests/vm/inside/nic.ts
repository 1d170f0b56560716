/**
 * What is tried with the project's own devices (tests/vm/module), whose clocks and wire are known: what carom
 * reports is compared with a program that shares no code with it (tests/vm/stamps.c), and with what the devices
 * were told to do wrong.
 */

import { type ChildProcess, spawn } from "node:child_process";
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { command as calibrate } from "../../../cli/calibrate.js";
import { command as doctor } from "../../../cli/doctor.js";
import { type Link, openPhc, timestampingInfo } from "../../../native/index.js";
import type { Calibration } from "../../../run/calibrate.js";
import type { Report } from "../../../run/report.js";
import { NIC } from "../cells.js";
import {
  allRight,
  command,
  demand,
  type RunOptions,
  runPair,
  saidOf,
  start,
  Wrong,
  withResponder,
} from "./carom.js";
import { type Pair, run, sleep, until } from "./pair.js";

const STAMPS = "native/build/vm/stamps";
const FAULTS = "/sys/kernel/debug/carom_nic";
const ALL = 1; // HWTSTAMP_TX_ON, HWTSTAMP_FILTER_ALL
const ROUNDING_NS = 2; // each clock is rounded to whole ns, at either end
const START_MS = 90_000;
const BILLION = 1_000_000_000n;

export function inside({ namespace }: Link, ...program: string[]): string[] {
  return namespace === "" ? program : ["nsenter", `--net=${namespace}`, ...program];
}

/** "TX_TYPE RX_FILTER" of a NIC; with two numbers more, sets them. */
export function stampMode(link: Link, ...set: number[]): string {
  return run(...inside(link, STAMPS, "mode", link.interfaceName, ...set.map(String))).trim();
}

/** A NIC's clock runs at its own rate again. */
export function unsteer(link: Link): void {
  run(...inside(link, STAMPS, "unsteer", link.interfaceName));
}

/** The device of an interface, as the module calls it: its place in the pair. */
function faultFile(end: "near" | "far", fault: string): string {
  return `${FAULTS}/cnic${end === "near" ? 0 : 1}/${fault}`;
}

export async function withFault<T>(
  end: "near" | "far",
  fault: string,
  value: number,
  action: () => Promise<T>,
): Promise<T> {
  writeFileSync(faultFile(end, fault), String(value));
  try {
    return await action();
  } finally {
    writeFileSync(faultFile(end, fault), "0");
  }
}

export function stepClock(end: "near" | "far", by_ns: number): void {
  writeFileSync(faultFile(end, "clock_step_ns"), String(by_ns));
}

/** The ticks and orders that arrive at an interface, with their stamps by its clock. */
class Watch {
  readonly ticks = new Map<string, bigint>();
  readonly orders = new Map<string, bigint>();
  private readonly child: ChildProcess;
  private readonly ready: Promise<void>;
  private readonly ended: Promise<void>;

  constructor(link: Link) {
    const [program = "", ...args] = inside(link, STAMPS, "watch", link.interfaceName);
    this.child = spawn(program, args, { stdio: ["ignore", "pipe", "inherit"] });
    let isReady = () => {};
    this.ready = new Promise((resolve) => {
      isReady = resolve;
    });
    this.ended = new Promise((resolve) => {
      createInterface({ input: this.child.stdout! })
        .on("line", (line) => {
          const [kind, key = "", stamp = "0"] = line.split(" ");
          if (kind === "ready") isReady();
          else (kind === "tick" ? this.ticks : this.orders).set(key, BigInt(stamp));
        })
        .on("close", resolve);
    });
  }

  begun(): Promise<void> {
    return this.ready;
  }

  end(): Promise<void> {
    this.child.kill("SIGTERM");
    return this.ended;
  }
}

/** A clock as a function of CLOCK_MONOTONIC_RAW: what it showed once, and its known rate. */
interface KnownClock {
  readonly raw: bigint;
  readonly phc: bigint;
  readonly perBillion: bigint; // of CLOCK_MONOTONIC_RAW's ns
}

/** Both clocks, read in one process: both interfaces have to be in its namespace, so the far one by its own. */
function readClocks({ near, far }: Pair): [KnownClock, KnownClock] {
  const read = (link: Link, ppb: number): KnownClock => {
    const text = run(...inside(link, STAMPS, "clocks", link.interfaceName, link.interfaceName));
    const [raw = "", phc = ""] = text.split(" ");
    return { raw: BigInt(raw), phc: BigInt(phc), perBillion: BILLION + BigInt(ppb) };
  };
  return [read(near, NIC.ppb[0]), read(far, NIC.ppb[1])];
}

/** The stamp that the near device made of a frame, from the one that the far device made of it. */
function sentStamp(arrived: bigint, [near, far]: readonly [KnownClock, KnownClock]): bigint {
  const raw = far.raw + ((arrived - far.phc) * BILLION) / far.perBillion - BigInt(NIC.wire_ns[0]);
  return near.phc + ((raw - near.raw) * near.perBillion) / BILLION;
}

const PATH_NS = (NIC.wire_ns[0] + NIC.wire_ns[1]) / 2;
const CALIBRATION_FRAMES = 200;

/** Whether the cable is found as long as it is, by each way of comparing the clocks; and then subtracted. */
export async function calibrated(pair: Pair, generator: string): Promise<string> {
  const measure = async (): Promise<Calibration> => {
    const places = ["--interface", pair.near.interfaceName, "--interface", pair.far.interfaceName];
    const namespaces = ["--namespace", `${pair.near.namespace},${pair.far.namespace}`];
    const frames = ["--frames", String(CALIBRATION_FRAMES)];
    const { status, json, text } = await command(calibrate, ...places, ...namespaces, ...frames);
    demand(status === 0, `calibrate: status ${status}: ${text}`);
    return json as unknown as Calibration;
  };
  const told: string[] = [];
  const check = (found: Calibration, method: string, one_way_ns: number) => {
    const { clocks, forth, back, path_ns } = found;
    demand(clocks !== null && clocks.method === method, `by ${clocks?.method}, not ${method}`);
    for (const [way, wire_ns] of [
      [forth, NIC.wire_ns[0]],
      [back, NIC.wire_ns[1]],
    ] as const) {
      const off_ns = Math.max(Math.abs(way.min_ns - wire_ns), Math.abs(way.max_ns - wire_ns));
      demand(
        off_ns <= Math.min(one_way_ns, clocks.one_way_error_ns + ROUNDING_NS),
        `off by ${off_ns} ns of ${wire_ns}`,
      );
    }
    const drift_ppb = NIC.ppb[1] - NIC.ppb[0];
    demand(
      Math.abs(clocks.drift_ppb - drift_ppb) < Math.abs(drift_ppb) / 100 + one_way_ns,
      `drift ${clocks.drift_ppb}`,
    );
    told.push(`${method}: ${path_ns.toFixed(1)} ns, each way ±${clocks.one_way_error_ns.toFixed(1)} ns`);
  };
  const coarse = await withFault("near", "no_cross_stamp", 1, () =>
    withFault("far", "no_cross_stamp", 1, measure),
  );
  check(coarse, "PTP_SYS_OFFSET_EXTENDED", Number.POSITIVE_INFINITY);
  const fine = await measure();
  check(fine, "PTP_SYS_OFFSET_PRECISE", ROUNDING_NS);
  demand(Math.abs(fine.path_ns - PATH_NS) <= 1, `the path is ${fine.path_ns} ns, not ${PATH_NS}`);
  const { report, trips } = await watched(pair, generator, { calibrated: "true" });
  const { calibration } = report.clock;
  demand(calibration?.path_ns === fine.path_ns, "the report does not name the calibration");
  const { min_ns } = report.latency!.actual;
  const expected_ns = Math.min(...trips) - PATH_NS;
  demand(Math.abs(min_ns - expected_ns) <= ROUNDING_NS + 1, `min ${min_ns} ns, not ${expected_ns}`);
  return `${told.join("; ")}; subtracted`;
}

/** Runs with hardware stamps while the other program looks at both ends; its round trips, in ns. */
async function watched(
  pair: Pair,
  generator: string,
  more: Readonly<Record<string, string>> = {},
): Promise<{ report: Report; trips: number[] }> {
  const before = stampMode(pair.near);
  stampMode(pair.far, ALL, ALL);
  const clocks = readClocks(pair);
  const [near, far] = [new Watch(pair.near), new Watch(pair.far)];
  let report: Report;
  try {
    await Promise.all([near.begun(), far.begun()]);
    report = await runPair(pair, generator, "af_packet", { over: { timestamps: "hardware", ...more } });
    await sleep(500);
  } finally {
    await Promise.all([near.end(), far.end()]);
  }
  demand(
    stampMode(pair.near) === before,
    `the NIC's stamps: ${before} before, ${stampMode(pair.near)} after`,
  );
  const trips = [...near.orders].map(([key, arrived]) => {
    const tick = far.ticks.get(key);
    demand(tick !== undefined, `the tick ${key} was answered, and not seen at the far end`);
    return Number(arrived - sentStamp(tick, clocks));
  });
  return { report, trips };
}

/** Each round trip of carom's is the one that the other program saw; also when the NIC's ring is full now and then. */
export async function exact(pair: Pair, generator: string): Promise<string> {
  const plain = await compared(pair, generator);
  const refusing = await withFault("near", "tx_busy_every", 9, () => compared(pair, generator));
  return `${plain}; with a ring that is full now and then: ${refusing}`;
}

async function compared(pair: Pair, generator: string): Promise<string> {
  const { report, trips } = await watched(pair, generator);
  allRight(report);
  const { stamped, unstamped } = report.clock;
  demand(unstamped === 0 && stamped > 0, `${stamped} of ${stamped + unstamped} have hardware stamps`);
  const { count, min_ns, mean_ns, max_ns } = report.latency!.actual;
  const mean = trips.reduce((sum, trip) => sum + trip, 0) / trips.length;
  const pairs = [
    ["count", count, trips.length, 0],
    ["min", min_ns, Math.min(...trips), ROUNDING_NS],
    ["mean", mean_ns, mean, ROUNDING_NS],
    ["max", max_ns, Math.max(...trips), ROUNDING_NS],
  ] as const;
  for (const [what, reported, seen, by] of pairs)
    demand(Math.abs(reported - seen) <= by, `${what}: carom says ${reported}, the other program ${seen}`);
  return `${count} round trips, min ${min_ns} and max ${max_ns} ns, are those that another program saw`;
}

/** After kill -9 the NIC is as it was, though nobody has run carom since. */
export async function restored(pair: Pair, generator: string): Promise<string> {
  const before = stampMode(pair.near);
  let time_ms = 0;
  await withResponder(pair, "af_packet", async () => {
    const args = ["--backend", generator, "--rate", "100", "--duration", "300s", "--timestamps", "hardware"];
    const running = start("run", ...pair.where, ...args, "--no-history");
    let said = "";
    running.end.then(({ text }) => {
      said = text || "it ended";
    });
    await until("the NIC stamps", () => said !== "" || stampMode(pair.near) !== before, START_MS);
    demand(said === "", `the run ended: ${said}`);
    await sleep(1000);
    const measuring = run("pgrep", "-P", String(running.child.pid)).trim().split("\n").map(Number);
    for (const pid of [running.child.pid!, ...measuring]) process.kill(pid, "SIGKILL");
    const killed = performance.now();
    await until("the NIC is as it was", () => stampMode(pair.near) === before, START_MS);
    time_ms = performance.now() - killed;
  });
  return `${before} again after ${time_ms.toFixed(0)} ms`;
}

interface Case {
  readonly fault: string;
  readonly value: number;
  /** What has to be so. @returns what to tell */
  readonly holds: (report: Report) => string;
}

/** All right, whatever the stamps: what has none is taken from the TSC, and counted. */
const CASES: readonly Case[] = [
  { fault: "tx_stamp_swap", value: 1, holds: allStamped },
  { fault: "tx_stamp_late_ns", value: 3_000_000, holds: allStamped },
  { fault: "tx_stamp_missing_every", value: 5, holds: someUnstamped },
  { fault: "rx_stamp_missing_every", value: 5, holds: someUnstamped },
  { fault: "stamp_wrap_every", value: 7, holds: someUnstamped },
  { fault: "never_stamps", value: 1, holds: neverStamped },
];

function allStamped({ clock: { stamped, unstamped } }: Report): string {
  demand(unstamped === 0, `${stamped} of ${stamped + unstamped} have stamps`);
  return `${stamped} stamped`;
}

function someUnstamped({ clock: { stamped, unstamped } }: Report): string {
  demand(unstamped > 0 && stamped > unstamped, `${stamped} stamped, ${unstamped} not`);
  return `${unstamped} of ${stamped + unstamped} not stamped`;
}

function neverStamped({ clock: { stamped, unstamped }, faults }: Report): string {
  demand(stamped === 0 && unstamped > 0, `${stamped} of ${stamped + unstamped} have stamps`);
  const told = faults.find((fault) => /stamp/.test(fault));
  demand(told !== undefined, `that the device never stamps is not told, but: ${faults.join("; ")}`);
  return told;
}

/** The traps of SO_TIMESTAMPING: no round trip is longer than what the TSC saw of it, and what is told is so. */
export async function faults(pair: Pair, generator: string): Promise<string> {
  const told: string[] = [];
  for (const { fault, value, holds } of CASES) {
    const report = await withFault("near", fault, value, () =>
      runPair(pair, generator, "af_packet", { over: { timestamps: "hardware", count: "60" } }),
    );
    const { actual, planned } = report.latency!;
    demand(actual.max_ns <= planned.max_ns, `${fault}: ${actual.max_ns} ns, more than ${planned.max_ns}`);
    told.push(`${fault}: ${holds(report)}`);
  }
  told.push(`stamps of another socket: ${await besideAnother(pair, generator)}`);
  return told.join("; ");
}

/** Another program sends on the same device, and asks for its stamps, too. */
async function besideAnother(pair: Pair, generator: string): Promise<string> {
  let other: ChildProcess | undefined;
  try {
    const { near } = pair;
    const report = await runPair(pair, generator, "af_packet", {
      over: { timestamps: "hardware", count: "60" },
      during: async () => {
        other = spawn(STAMPS, ["ping", near.interfaceName, near.interfaceName, "1000000"], {
          stdio: "ignore",
        });
      },
    });
    return allStamped(report);
  } finally {
    other?.kill("SIGKILL");
    stampMode(pair.near, 0, 0);
  }
}

/** A device that can't stamp every frame is refused, and what can be done instead is said. */
export async function refused(pair: Pair): Promise<string> {
  return withFault("near", "refuses_all", 1, async () => {
    const { json } = await command(doctor, ...pair.where.slice(0, 2), "--quick");
    demand(JSON.stringify(json).includes("hardware: tx"), "doctor says that it stamps what it receives");
    try {
      await runPair(pair, "af_packet", "af_packet", { over: { timestamps: "hardware" } });
    } catch (error) {
      const { isRefusal, said } = saidOf(error);
      demand(isRefusal && /can't stamp every received frame.*use --timestamps/.test(said), said);
      return said;
    }
    throw new Wrong("a run with hardware stamps of such a device began");
  });
}

const STEP_NS = 1_000_000;
const RATE_PPB = 10; // by the rounding of two readings, a second apart

/** A schedule that goes by the NIC's clock, and by one that is set in mid-run. */
export async function scheduled(pair: Pair): Promise<string> {
  const run = (more: RunOptions = {}) =>
    runPair(pair, "af_packet", "af_packet", {
      over: { scheduleClock: "phc", timestamps: "hardware" },
      ...more,
    });
  const { schedule_clock: clock, clock: tsc } = await run();
  const { hardware } = tsc;
  demand(hardware !== null && hardware.method === "PTP_SYS_OFFSET_PRECISE", `method ${hardware?.method}`);
  const { rate_ppb, steps: none, resolution_ns } = hardware;
  demand(none === 0 && resolution_ns === 1, `${none} steps, resolution ${resolution_ns} ns`);
  demand(Math.abs(rate_ppb - NIC.ppb[0]) < RATE_PPB, `its rate is ${rate_ppb} ppb`);
  demand(
    clock !== null && /slewed after \/dev\/ptp\d+ \(cnic0\)/.test(clock.how),
    clock?.how ?? "no schedule",
  );
  const gained_ns = NIC.ppb[0] * tsc.over_run.over_s;
  const off_ns = -clock.corrected_ns! - gained_ns;
  demand(clock.steps === 0, `${clock.steps} steps`);
  // The run is a little longer than what was measured of it.
  demand(Math.abs(off_ns) < gained_ns / 2 + clock.error_max_ns!, `corrected by ${clock.corrected_ns} ns`);
  const stepped = await run({
    during: async ({ generator }) => {
      await until("ticks are sent", () => (generator.counters().sent ?? 0) >= 40, START_MS);
      stepClock("near", STEP_NS);
    },
  });
  const { steps, stepped_ns } = stepped.schedule_clock!;
  demand(steps === 1 && Math.abs(stepped_ns - STEP_NS) < STEP_NS / 4, `${steps} steps of ${stepped_ns} ns`);
  const seen = stepped.clock.hardware!;
  demand(
    seen.steps === 1 && Math.abs(seen.stepped_ns - STEP_NS) < 1000,
    `${seen.steps} of ${seen.stepped_ns} ns`,
  );
  demand(
    stepped.notes.some((one) => one.includes("was set while it stamped")),
    `that the NIC's clock was set is not told, but: ${stepped.notes.join("; ")}`,
  );
  const note = stepped.notes.find((one) => one.includes("the schedule's clock was set"));
  demand(note !== undefined, "that the clock was set is not told");
  return `${clock.how}; ${note}`;
}

const LAUNCHES = 20;

/** The device holds a frame until its launch time: what `--pacing launch-time` and others build on. */
export async function launches(pair: Pair): Promise<string> {
  const { interfaceName } = pair.near;
  const before = stampMode(pair.near);
  const etf = ["etf", "clockid", "CLOCK_TAI", "delta", "50000000", "offload"];
  run("tc", "qdisc", "replace", "dev", interfaceName, "root", ...etf);
  try {
    const lines = run(STAMPS, "launch", interfaceName, String(LAUNCHES)).trim().split("\n");
    const late = lines.map((line) => {
      const [wanted = 0n, sent = 0n] = line.split(" ").map(BigInt);
      demand(sent !== 0n, `a frame that was to leave at ${wanted} never left`);
      return Number(sent - wanted);
    });
    const inTime = late.filter((late_ns) => Math.abs(late_ns) <= ROUNDING_NS);
    // The guest may have been stopped until after a frame's time: it leaves at once.
    demand(
      late.every((late_ns) => late_ns >= -ROUNDING_NS),
      `one left early: ${Math.min(...late)} ns`,
    );
    demand(
      inTime.length > LAUNCHES / 2,
      `${inTime.length} of ${LAUNCHES} left in time: ${late.join(", ")} ns late`,
    );
    return `${inTime.length} of ${LAUNCHES} frames left when they had to, by the device's own stamp`;
  } finally {
    run("tc", "qdisc", "del", "dev", interfaceName, "root");
    const [tx = 0, rx = 0] = before.split(" ").map(Number);
    stampMode(pair.near, tx, rx);
  }
}

const LEAD = { pacing: "launch-time", launchLead: "100ms", count: "100" }; // a guest is slow

/** Has the near end's clock show what CLOCK_TAI does, to the ms: a guest's is CLOCK_REALTIME, as nobody sets it. */
function alignClock({ near }: Pair): void {
  const phc = openPhc(`/dev/ptp${timestampingInfo(near).phcIndex}`);
  try {
    const readings = Array.from({ length: 20 }, () => {
      const before_ms = Date.now();
      const { phcNs } = phc.read();
      const after_ms = Date.now();
      return { width_ms: after_ms - before_ms, by: BigInt(after_ms) * 1_000_000n - phcNs };
    });
    const [narrowest] = readings.toSorted((a, b) => a.width_ms - b.width_ms);
    stepClock("near", Number(narrowest!.by));
  } finally {
    phc.close();
  }
}

/** The NIC holds the schedule: what left when, by the far end's stamps and the known clocks. */
export async function paced(pair: Pair, generator: string): Promise<string> {
  const qdisc = () =>
    run("tc", "qdisc", "show", "dev", pair.near.interfaceName).replaceAll(/refcnt \d+ /g, "");
  await until("no run before has the qdisc", () => !qdisc().includes(" ca0: "));
  const before = qdisc();
  stepClock("near", 10 * Number(BILLION));
  await refusedPaced(pair, generator, /its clock is \d+ ns off CLOCK_TAI/);
  alignClock(pair);
  stampMode(pair.far, ALL, ALL);
  const clocks = readClocks(pair);
  const far = new Watch(pair.far);
  let report: Report;
  try {
    await far.begun();
    report = await runPair(pair, generator, "af_packet", { over: { ...LEAD, timestamps: "hardware" } });
    await sleep(500);
  } finally {
    await far.end();
  }
  await until("the qdisc is as it was", () => qdisc() === before);
  allRight(report);
  demand(/^launch-time: /.test(report.certificate!.pacing), report.certificate!.pacing);
  // A tick's timestamp is its planned time by the NIC's clock, but for a constant.
  const offsets = [...far.ticks].map(([key, arrived]) =>
    Number(sentStamp(arrived, clocks) - BigInt(`0x${key}`)),
  );
  demand(offsets.length === report.ticks.sent, `${report.ticks.sent} sent, ${offsets.length} arrived`);
  // A late frame moves twice. A guest's TSC may be no better than to some percent: then the schedule is moved along.
  const moved = offsets.filter((offset, i) => i > 0 && Math.abs(offset - offsets[i - 1]!) > ROUNDING_NS);
  const { steps } = report.schedule_clock!;
  const late = report.certificate!.late.sends;
  demand(
    moved.length <= steps + 2 * late,
    `${moved.length} of ${offsets.length} frames left at another time than planned, with ${late} late and ${steps} steps`,
  );
  const exact = offsets.length - moved.length;
  return `${exact} of ${offsets.length} frames left at the ns of their planned times, ${late} late, ${steps} steps; ${await tooLate(pair, generator)}`;
}

async function refusedPaced(pair: Pair, generator: string, why: RegExp): Promise<void> {
  try {
    await runPair(pair, generator, "af_packet", { over: LEAD });
  } catch (error) {
    const { isRefusal, said } = saidOf(error);
    demand(isRefusal && why.test(said), said);
    return;
  }
  throw new Wrong("a run that is to be refused began");
}

/** The clock is set back: the kernel's qdisc, which goes by another one, gets what is over for it. */
async function tooLate(pair: Pair, generator: string): Promise<string> {
  alignClock(pair);
  const report = await runPair(pair, generator, "af_packet", {
    over: { ...LEAD, timeout: "2s" },
    during: async ({ generator: role }) => {
      await until("ticks are sent", () => (role.counters().sent ?? 0) >= 40, START_MS);
      stepClock("near", -Number(BILLION));
    },
  });
  const { launch_missed } = report.certificate!.refused;
  const told = report.faults.find((fault) => /were not sent: their launch time was over/.test(fault));
  demand(launch_missed <= report.ticks.sent, `${launch_missed} of ${report.ticks.sent} frames were missed`);
  demand(launch_missed > 0 && told !== undefined, `${launch_missed} missed: ${report.faults.join("; ")}`);
  demand(
    report.faults.some((fault) => /off CLOCK_TAI at the end/.test(fault)),
    report.faults.join("; "),
  );
  return told;
}
