/**
 * How the TSC's timeline, on which ticks are stamped, is tied to CLOCK_REALTIME, which two machines have in common:
 * read side by side about once a second, with what the kernel knows of that clock's error.
 */

import { readFileSync } from "node:fs";
import { formatNs } from "../config/values.js";
import { type ClockDiscipline, clockDiscipline, readRealtime } from "../native/index.js";
import { chronyText, type DaemonFindings, ptpText } from "./time_daemons.js";

/** One reading: the clock less the timeline, at a time of that. */
export interface Tie {
  readonly timeline_ns: number;
  readonly offset_ns: bigint;
  readonly width_ns: number; // of the bracket: it is not off by more than half of it
}

/** Plain data, so that another process can make the report. */
export interface TieFindings {
  readonly ties: readonly Tie[];
  readonly synchronised: boolean; // at each reading
  readonly max_error_ns: number; // the largest that the kernel gave
  readonly estimated_error_ns: number;
}

export interface ClockTiesReport {
  readonly name: "CLOCK_REALTIME";
  readonly boot_id: string; // the machine, since it was started
  readonly synchronised: boolean; // by whoever disciplines it, all the time
  readonly max_error_ns: number | null; // as the kernel was told, at worst; null where it is not synchronised
  readonly estimated_error_ns: number | null;
  readonly given_error_ns: number | null; // by --clock-error
  readonly error_ns: number | null; // how far it is off the right time at most: one of the two above
  readonly reading_error_ns: number; // of the timeline against it
  readonly was_set: boolean; // in the meantime
  readonly bound_ns: number | null; // how far a stamp is off this clock's right time at most; null: nobody knows
  readonly bound_reason: string;
  readonly ties: readonly (readonly [timeline_ns: number, offset_ns: string, width_ns: number])[];
}

const UNDISCIPLINED =
  "nothing disciplines the clock: start chronyd or ptp4l (chronyc tracking, pmc and the log of phc2sys say why " +
  "one that runs does not), or say by --clock-error how far it is off";
const EVERY_MS = 1000;
const TIES_MAX = 2048; // once there are so many every other one goes, and half as many come
const SET_NS = 1_000_000; // between two readings no discipline slews a clock so far

export class ClockTies {
  private constructor(private readonly found: TieFindings) {}

  static of(found: TieFindings): ClockTies {
    return new ClockTies(found);
  }

  /** Reads them from now on. @returns what ends that */
  static follow(): () => TieFindings {
    let ties: Tie[] = [];
    let every = 1;
    let turn = 0;
    const states: ClockDiscipline[] = [];
    const read = () => {
      const { timelineNs, offsetNs, widthNs } = readRealtime();
      ties.push({ timeline_ns: timelineNs, offset_ns: offsetNs, width_ns: widthNs });
      states[0] = worse(clockDiscipline(), states[0]);
    };
    read();
    const timer = setInterval(() => {
      if (turn++ % every !== 0) return;
      read();
      if (ties.length < TIES_MAX) return;
      ties = ties.filter((_, index) => index % 2 === 0);
      every *= 2;
    }, EVERY_MS);
    return () => {
      clearInterval(timer);
      read();
      const { synchronised, maxErrorNs, estimatedErrorNs } = states[0]!;
      return { ties, synchronised, max_error_ns: maxErrorNs, estimated_error_ns: estimatedErrorNs };
    };
  }

  /** For stamps that are CLOCK_REALTIME's own: there is nothing to be added to them. */
  reportOfOwn(given_error_ns: number | null, daemons: DaemonFindings | null): ClockTiesReport {
    return { ...this.report(given_error_ns, daemons), ties: [[0, "0", 0]] };
  }

  report(given_error_ns: number | null, daemons: DaemonFindings | null = null): ClockTiesReport {
    const { ties, synchronised, max_error_ns, estimated_error_ns } = this.found;
    const { widest_ns, furthest_ns, was_set } = deviation(ties);
    const reading_error_ns = Math.ceil(widest_ns + furthest_ns);
    const chrony = daemons?.chrony ?? null;
    // The kernel's figure is chrony's at its last update, and what the kernel adds to it ever since.
    const known = given_error_ns ?? chrony?.error_ns ?? (synchronised ? max_error_ns : null);
    return {
      name: "CLOCK_REALTIME",
      boot_id: bootId(),
      synchronised,
      max_error_ns: synchronised ? max_error_ns : null,
      estimated_error_ns: synchronised ? estimated_error_ns : null,
      given_error_ns,
      error_ns: known,
      reading_error_ns,
      was_set,
      bound_ns: known === null || was_set ? null : known + reading_error_ns,
      bound_reason: was_set
        ? "the clock was set in the meantime"
        : given_error_ns !== null
          ? "as --clock-error says"
          : chrony !== null
            ? chronyText(chrony)
            : synchronised
              ? "by the kernel's maximum error (adjtimex), as whoever disciplines the clock told it"
              : UNDISCIPLINED,
      ties: ties.map(({ timeline_ns, offset_ns, width_ns }) => [timeline_ns, offset_ns.toString(), width_ns]),
    };
  }
}

function worse(now: ClockDiscipline, before: ClockDiscipline | undefined): ClockDiscipline {
  if (before === undefined) return now;
  return {
    synchronised: now.synchronised && before.synchronised,
    maxErrorNs: Math.max(now.maxErrorNs, before.maxErrorNs),
    estimatedErrorNs: Math.max(now.estimatedErrorNs, before.estimatedErrorNs),
    taiOffsetS: now.taiOffsetS,
  };
}

/** How far a reading lies from the straight line between its neighbours, at most; half the widest bracket of them. */
export function deviation(ties: readonly Tie[]) {
  let widest = 0;
  let furthest = 0;
  let was_set = false;
  for (const [index, tie] of ties.entries()) {
    widest = Math.max(widest, tie.width_ns / 2);
    const [before, after] = [ties[index - 1], ties[index + 1]];
    if (before === undefined) continue;
    const step = Number(tie.offset_ns - before.offset_ns);
    if (Math.abs(step) > SET_NS + (tie.timeline_ns - before.timeline_ns) / 1000) was_set = true;
    if (after === undefined || after.timeline_ns === before.timeline_ns) continue;
    const part = (tie.timeline_ns - before.timeline_ns) / (after.timeline_ns - before.timeline_ns);
    furthest = Math.max(furthest, Math.abs(step - Number(after.offset_ns - before.offset_ns) * part));
  }
  return { widest_ns: widest, furthest_ns: furthest, was_set };
}

/** What is to be told before the run, where one-way latencies will be refused after it. */
export function disciplineNotes(
  given_error_ns: number | null,
  { chrony, ptp }: Pick<DaemonFindings, "chrony" | "ptp">,
): string[] {
  if (given_error_ns !== null) return [];
  const kept = [...(chrony === null ? [] : [chronyText(chrony)]), ...(ptp === null ? [] : [ptpText(ptp)])];
  if (kept.length > 0) return kept;
  const { synchronised, maxErrorNs } = clockDiscipline();
  return synchronised
    ? [`CLOCK_REALTIME is disciplined here, off by ${formatNs(maxErrorNs)} at most`]
    : [
        "nothing disciplines CLOCK_REALTIME here: carom join will give one-way latencies only if both ends are one machine",
      ];
}

function bootId(): string {
  try {
    return readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim();
  } catch {
    return "";
  }
}
