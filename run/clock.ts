/** What the clocks did during a run: the TSC's scale, the system's clock, and what the schedule went by. */

import { formatNs } from "../config/values.js";
import { scheduleClockText as clockText } from "../generator/schedule_clock.js";
import type { ClocksReading, ScheduleClock, ScheduleFindings } from "../native/index.js";
import { count } from "./lines.js";

/** Between a reading of the clocks before the start and one after the end. */
export interface ClocksOverRun {
  readonly over_s: number;
  /** How far the TSC, by its calibration, ran ahead of CLOCK_MONOTONIC_RAW. */
  readonly tsc_error_ns: number;
  readonly tsc_error_ppm: number;
  /** How far CLOCK_MONOTONIC, which whoever disciplines the system's clock slews, ran ahead of CLOCK_MONOTONIC_RAW. */
  readonly system_slew_ns: number;
  readonly system_slew_ppm: number;
  readonly uncertainty_ns: number; // of each, by the brackets of the readings
}

/** The clock by which the schedule of an open loop went. */
export interface ScheduleClockReport {
  readonly name: ScheduleClock;
  readonly how: string;
  readonly readings: number; // of it, by the loop
  /** By how much the schedule was made later on the TSC, measured part only; null where nothing had to be. */
  readonly corrected_ns: number | null;
  /** The schedule against it, at the last reading and at worst; above 0: behind. Null where it is read itself. */
  readonly error_ns: number | null;
  readonly error_max_ns: number | null;
  readonly steps: number; // how often it was set, and the schedule moved along
  readonly stepped_ns: number; // by how much in all
}

export function clocksOverRun([before, after]: readonly [ClocksReading, ClocksReading]): ClocksOverRun {
  const over_ns = Math.max(1, after.timelineNs - before.timelineNs);
  const raw_ns = Number(after.rawOffsetNs - before.rawOffsetNs);
  const monotonic_ns = Number(after.monotonicOffsetNs - before.monotonicOffsetNs);
  const ppm = (ns: number) => (ns / over_ns) * 1e6;
  const tsc_error_ns = raw_ns === 0 ? 0 : -raw_ns;
  const system_slew_ns = monotonic_ns - raw_ns;
  return {
    over_s: over_ns / 1e9,
    tsc_error_ns,
    tsc_error_ppm: ppm(tsc_error_ns),
    system_slew_ns,
    system_slew_ppm: ppm(system_slew_ns),
    uncertainty_ns: (before.widthNs + after.widthNs) / 2,
  };
}

/** @param inKernel a program in the kernel sends, by the kernel's own clock */
export function scheduleClockReport(
  name: ScheduleClock,
  inKernel: boolean,
  found: ScheduleFindings,
  steps: number,
  stepped_ns: number,
): ScheduleClockReport {
  const own = inKernel
    ? { corrected_ns: null, error_ns: null, error_max_ns: null }
    : { corrected_ns: found.correctedNs, error_ns: found.errorNs, error_max_ns: found.errorMaxNs };
  const clock = clockText(name);
  const onTsc = name === "tsc" ? "on the TSC alone" : `on the TSC, slewed after ${clock}`;
  const read = "the sending program reads CLOCK_MONOTONIC";
  const inKernelText = name === "monotonic" ? `${read} itself` : `${read}, which is slewed as ${clock} is`;
  const how = inKernel ? inKernelText : onTsc;
  return { name, how, readings: found.readings, ...own, steps, stepped_ns };
}

/** "3.4 µs (0.68 ppm)" */
function errorText(ns: number, ppm: number): string {
  return `${formatNs(ns)} (${ppm.toFixed(3)} ppm)`;
}

export function overRunText({
  over_s,
  tsc_error_ns,
  tsc_error_ppm,
  system_slew_ns,
  system_slew_ppm,
  uncertainty_ns,
}: ClocksOverRun): string {
  const tsc = `the TSC's scale was off by ${errorText(tsc_error_ns, tsc_error_ppm)}`;
  const system = `the system's clock slewed by ${errorText(system_slew_ns, system_slew_ppm)}`;
  return `over ${over_s.toFixed(1)} s ${tsc}, ${system}, each ±${formatNs(uncertainty_ns)}`;
}

export function scheduleClockText({
  how,
  corrected_ns,
  error_max_ns,
  readings,
}: ScheduleClockReport): string {
  if (corrected_ns === null || error_max_ns === null || readings === 0) return how;
  const direction = corrected_ns < 0 ? "earlier" : "later";
  return `${how}: ${formatNs(Math.abs(corrected_ns))} ${direction} at the end, off it by at most ${formatNs(error_max_ns)} in ${count(readings)} readings`;
}
