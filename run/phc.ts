/**
 * What a NIC's hardware clock did during a run whose round trips it stamped: its rate against the system's clock,
 * whether it was set, and by how much a round trip can be off.
 */

import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { formatNs } from "../config/values.js";
import { asCaromError } from "../native/error.js";
import { type Link, openPhc, type Phc, type PhcReading, timestampingInfo } from "../native/index.js";
import { count } from "./lines.js";

const READ_EVERY_MS = 250;
const TIES_MAX = 4096; // once there are so many every other one goes, and half as many come
const FIRST_READINGS = 16; // from which the clock's resolution shows
const STEPS_KEPT = 16;
/** A servo changes a clock's rate by less from one reading to the next; before there are two, by less than the second. */
const RATE_CHANGE = 20e-6;
const RATE_MAX = 1e-3;
const ALLOWED_NS = 100; // for what reading takes, beyond the brackets

/** The clock was set, or moved as no rate of it explains. */
export interface PhcStep {
  readonly after_ns: number; // the first reading; the step was in the interval before this
  readonly by_ns: number;
}

export interface PhcFindings {
  readonly path: string;
  readonly first: PhcReading;
  readonly last: PhcReading;
  readonly readings: number;
  readonly resolution_ns: number; // what all readings are multiples of
  readonly steps: number;
  readonly stepped_ns: bigint; // of all of them, with their signs
  readonly examples: readonly PhcStep[]; // the first ones
  readonly ties: readonly PhcReading[]; // in order, evenly spread over the run
  readonly problem: string; // why it could not be read any more; "" as a rule
}

/** Where the measured round trips get their stamps from. */
export interface HardwareClockReport {
  readonly device: string;
  readonly name: string; // as the driver calls it
  readonly method: string; // by which it was compared with the system's clock
  readonly against: "CLOCK_MONOTONIC_RAW" | "CLOCK_REALTIME";
  readonly readings: number;
  readonly over_s: number;
  readonly resolution_ns: number;
  /** How much faster than the system's clock it ran, steps left out, and how far that can be off by the brackets. */
  readonly rate_ppb: number;
  readonly rate_error_ppb: number;
  readonly steps: number;
  readonly stepped_ns: number;
  readonly step_examples: readonly PhcStep[];
  /** Of a round trip as long as the longest: resolution, and rate. Not what lies between a stamp and the wire. */
  readonly uncertainty_ns: number;
}

const ns = (difference: bigint) => Number(difference);

/** Reads the clock now and then, until it is ended. */
export class PhcWatch {
  private readonly phc: Phc;
  private readonly first: PhcReading;
  private last: PhcReading;
  private rate: number | null = null; // in the last interval without a step
  private readings = 1;
  private common: bigint; // divisor of all readings
  private steps = 0;
  private stepped_ns = 0n;
  private readonly examples: PhcStep[] = [];
  private ties: PhcReading[] = [];
  private tieEvery = 1; // of so many readings
  private turn = 0;
  private problem = "";
  private timer: NodeJS.Timeout | undefined;

  /** @throws CaromError (environment) when there is no clock, or it can't be read */
  constructor(private readonly path: string) {
    this.phc = openPhc(path);
    this.first = this.phc.read();
    this.last = this.first;
    this.ties.push(this.first);
    this.common = this.first.phcNs;
    for (let i = 0; i < FIRST_READINGS; i++) this.note(this.phc.read());
  }

  start(): void {
    this.timer = setInterval(() => this.read(), READ_EVERY_MS);
  }

  end(): PhcFindings {
    clearInterval(this.timer);
    this.turn = 0; // the last reading is a tie
    this.read();
    this.phc.close();
    const { path, first, last, readings, steps, stepped_ns, examples, ties, problem } = this;
    return {
      path,
      first,
      last,
      readings,
      resolution_ns: ns(this.common),
      steps,
      stepped_ns,
      examples,
      ties,
      problem,
    };
  }

  close(): void {
    clearInterval(this.timer);
    this.phc.close();
  }

  private read(): void {
    if (this.problem !== "") return;
    try {
      const reading = this.phc.read();
      this.note(reading);
      this.tie(reading);
    } catch (error) {
      this.problem = asCaromError(error, `read the clock ${this.path}`).message;
    }
  }

  private tie(reading: PhcReading): void {
    if (this.turn++ % this.tieEvery !== 0) return;
    this.ties.push(reading);
    if (this.ties.length < TIES_MAX) return;
    this.ties = this.ties.filter((_, index) => index % 2 === 0);
    this.tieEvery *= 2;
  }

  private note(now: PhcReading): void {
    this.common = divisor(this.common, now.phcNs);
    const passed_ns = ns(now.systemNs - this.last.systemNs);
    if (passed_ns < (READ_EVERY_MS * 1e6) / 10) {
      this.readings++; // too soon to tell a rate
      return;
    }
    const gained_ns = ns(now.phcNs - this.last.phcNs) - passed_ns;
    const brackets_ns = now.widthNs + this.last.widthNs + ALLOWED_NS;
    const off_ns = gained_ns - (this.rate ?? 0) * passed_ns;
    const allowed_ns = (this.rate === null ? RATE_MAX : RATE_CHANGE) * passed_ns + brackets_ns;
    if (Math.abs(off_ns) > allowed_ns) {
      this.steps++;
      this.stepped_ns += BigInt(Math.round(off_ns));
      if (this.examples.length < STEPS_KEPT)
        this.examples.push({ after_ns: ns(now.systemNs - this.first.systemNs), by_ns: Math.round(off_ns) });
    } else {
      this.rate = gained_ns / passed_ns;
    }
    this.readings++;
    this.last = now;
  }
}

/** A NIC's stamps need no rights to its clock: without them the run goes on, and the report can't say what it did. */
export interface PhcLack {
  readonly problem: string;
}

export function watchPhc(link: Link): PhcWatch | PhcLack {
  try {
    return new PhcWatch(`/dev/ptp${timestampingInfo(link).phcIndex}`);
  } catch (error) {
    return { problem: asCaromError(error, "read the NIC's clock").message };
  }
}

function divisor(a: bigint, b: bigint): bigint {
  let [x, y] = [a, b < 0n ? -b : b];
  while (y !== 0n) [x, y] = [y, x % y];
  return x;
}

export function hardwareClockReport(
  found: PhcFindings | PhcLack | null,
  longest_ns: number,
): HardwareClockReport | null {
  if (found === null || !("path" in found)) return null;
  const { path, first, last, resolution_ns } = found;
  const over_ns = Math.max(1, ns(last.systemNs - first.systemNs));
  const gained_ns = ns(last.phcNs - first.phcNs - found.stepped_ns) - over_ns;
  const rate_ppb = (gained_ns / over_ns) * 1e9;
  const rate_error_ppb = ((first.widthNs + last.widthNs) / 2 / over_ns) * 1e9;
  return {
    device: path,
    name: clockName(path),
    method: last.method,
    against: last.isRaw ? "CLOCK_MONOTONIC_RAW" : "CLOCK_REALTIME",
    readings: found.readings,
    over_s: over_ns / 1e9,
    resolution_ns,
    rate_ppb,
    rate_error_ppb,
    steps: found.steps,
    stepped_ns: ns(found.stepped_ns),
    step_examples: found.examples,
    uncertainty_ns: resolution_ns + (longest_ns * (Math.abs(rate_ppb) + rate_error_ppb)) / 1e9,
  };
}

/** What a driver calls its clock; "" where it does not say. */
export function clockName(path: string): string {
  try {
    return readFileSync(`/sys/class/ptp/${basename(path)}/clock_name`, "utf8").trim();
  } catch {
    return ""; // a name for people: the clock is there without it
  }
}

export function hardwareClockLines(clock: HardwareClockReport): string[] {
  const { device, name, method, against, readings, over_s, resolution_ns, rate_ppb, rate_error_ppb } = clock;
  const rate = `${rate_ppb < 0 ? "−" : "+"}${Math.abs(rate_ppb).toFixed(0)} ppb ±${rate_error_ppb.toFixed(0)}`;
  return [
    `${device} (${name}): ${rate} against ${against} over ${over_s.toFixed(1)} s, ${count(readings)} readings by ${method}`,
    `resolution ${resolution_ns} ns; both stamps are by this one clock: the longest round trip is off by ` +
      `${formatNs(clock.uncertainty_ns)} at most, and by what lies between stamp and wire, which is not known`,
  ];
}

export function stepNotes({
  device,
  steps,
  stepped_ns,
  step_examples: [first],
}: HardwareClockReport): string[] {
  if (steps === 0 || first === undefined) return [];
  const times = steps === 1 ? "" : `, in ${count(steps)} steps`;
  return [
    `${device} was set while it stamped, by ${formatNs(Math.abs(stepped_ns))} ${stepped_ns < 0 ? "back" : "forwards"}${times}, ` +
      `the first within ${(first.after_ns / 1e9).toFixed(1)} s: a round trip that was on its way may be off by that`,
  ];
}
