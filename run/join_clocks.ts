/** What the stamps of two ends have in common: whose they are, by which clock they are compared, how far that is off. */

import type { ClockTiesReport, Tie } from "./clock_ties.js";
import type { NicClockReport } from "./nic_clock.js";
import { byNic, type OneWay } from "./one_way.js";
import type { StampSections } from "./stamps.js";
import type { PtpSays } from "./time_daemons.js";

/** What a report says of the stamps of its end and of their clocks. */
export interface EndStamps {
  readonly rows: Readonly<Record<keyof StampSections, number>>;
  readonly clock: Pick<
    ClockTiesReport,
    "boot_id" | "was_set" | "error_ns" | "reading_error_ns" | "bound_ns" | "bound_reason" | "ties"
  >;
  readonly daemons: {
    readonly ptp: Pick<PtpSays, "grandmaster" | "stamps" | "interface" | "error_ns"> | null;
  } | null;
  readonly nic_clock: Pick<
    NicClockReport,
    | "device"
    | "interface"
    | "resolution_ns"
    | "method"
    | "steps"
    | "problem"
    | "error_ns"
    | "raw_error_ns"
    | "ties"
  > | null;
}

/** Of each end, the generator's first. */
type Both<T> = readonly [T, T];

export interface CommonClock {
  readonly stamps: "hardware" | "tsc"; // the NICs' on the wire, or the loops' own
  readonly clock: string; // by which the two ends are compared
  readonly one_machine: boolean;
  readonly ties: Both<readonly Tie[]>; // of each end's stamps to that clock
  readonly bounds_ns: Both<number | null>; // how far a stamp, told by that clock, is off at most
  readonly reasons: Both<string>;
  readonly notes: readonly string[];
}

/** By the clock that has the least bound. */
export function commonClock(near: EndStamps, far: EndStamps): CommonClock {
  const hasNic = [
    near.nic_clock !== null && near.rows.nic_sent > 0,
    far.nic_clock !== null && far.rows.nic_received > 0,
  ];
  const isNic = hasNic[0] === true && hasNic[1] === true;
  const only = hasNic[0] ? "generator" : "responder";
  const notes =
    hasNic[0] === hasNic[1]
      ? []
      : [`only the ${only}'s NIC stamped: all ways go by the stamps of the loops, which the TSC made`];
  const isOneMachine = near.clock.boot_id !== "" && near.clock.boot_id === far.clock.boot_id;
  const ends = {
    near,
    far,
    isOneMachine,
    of: <T>(read: (end: EndStamps) => T): Both<T> => [read(near), read(far)],
  };
  const compared = isNic ? byNics(ends) : byLoops(ends);
  const byPtp = isOneMachine ? null : byGrandmaster(ends, isNic);
  const size = ({ bounds_ns: [a, b] }: Compared) => (a === null || b === null ? Infinity : a + b);
  const best = byPtp !== null && size(byPtp) < size(compared) ? byPtp : compared;
  return { ...best, stamps: isNic ? "hardware" : "tsc", one_machine: isOneMachine, notes };
}

interface Ends {
  readonly near: EndStamps;
  readonly far: EndStamps;
  readonly isOneMachine: boolean;
  of<T>(read: (end: EndStamps) => T): Both<T>;
}

type Compared = Pick<CommonClock, "clock" | "ties" | "bounds_ns" | "reasons">;

function byLoops({ near, far, isOneMachine, of }: Ends): Compared {
  const isOne = isOneMachine && !near.clock.was_set && !far.clock.was_set;
  return {
    clock: "CLOCK_REALTIME",
    ties: of(({ clock }) => loopTies(clock)),
    bounds_ns: of(({ clock }) => (isOne ? clock.reading_error_ns : clock.bound_ns)),
    reasons: of(({ clock }) => (isOne ? "both ends are one machine, with one clock" : clock.bound_reason)),
  };
}

const OWN: Tie = { timeline_ns: 0, offset_ns: 0n, width_ns: 0 }; // nothing is converted

/** Why a NIC's clock is not to be trusted; "" as a rule. */
function lackOf({ nic_clock }: EndStamps): string {
  const { device, problem, steps } = nic_clock!;
  if (problem !== "") return `${device} could not be read to the end: ${problem}`;
  return steps > 0 ? `${device}, or the clock that it was compared with, was set in the meantime` : "";
}

function byNics(ends: Ends): Compared {
  const { ties, bounds_ns, reasons, clock } = byTiesOfNics(ends);
  const lacks = ends.of(lackOf);
  return {
    clock,
    ties,
    bounds_ns: [lacks[0] === "" ? bounds_ns[0] : null, lacks[1] === "" ? bounds_ns[1] : null],
    reasons: [lacks[0] || reasons[0], lacks[1] || reasons[1]],
  };
}

function byTiesOfNics({ near, far, isOneMachine, of }: Ends): Compared {
  const { device } = near.nic_clock!;
  if (isOneMachine && device === far.nic_clock!.device) {
    const reason = `both ends are ports of one NIC, with one clock, ${device}`;
    return { clock: device, ties: [[OWN], [OWN]], bounds_ns: [0, 0], reasons: [reason, reason] };
  }
  if (isOneMachine && near.nic_clock!.raw_error_ns !== null && far.nic_clock!.raw_error_ns !== null)
    return {
      clock: "CLOCK_MONOTONIC_RAW",
      ties: of(({ nic_clock }) => nicTies(nic_clock!, 2)),
      bounds_ns: of(({ nic_clock }) => nic_clock!.raw_error_ns),
      reasons: of(
        ({ nic_clock }) => `${nic_clock!.device} against CLOCK_MONOTONIC_RAW by ${nic_clock!.method}`,
      ),
    };
  return {
    clock: "CLOCK_REALTIME",
    ties: of(({ nic_clock }) => nicTies(nic_clock!, 1)),
    bounds_ns: of(({ clock, nic_clock }) => {
      if (isOneMachine) return nic_clock!.error_ns;
      return clock.bound_ns === null ? null : clock.error_ns! + nic_clock!.error_ns;
    }),
    reasons: of(({ clock, nic_clock }) => {
      if (!isOneMachine && clock.bound_ns === null) return clock.bound_reason;
      const compared = `${nic_clock!.device} against CLOCK_REALTIME by ${nic_clock!.method}`;
      return isOneMachine ? compared : `${compared}; ${clock.bound_reason}`;
    }),
  };
}

/**
 * By the time of the one grandmaster that ptp4l keeps clocks of both ends by: the NICs' own, whose stamps then need no
 * conversion, or CLOCK_REALTIME. Null where there is none.
 */
function byGrandmaster({ near, far, of }: Ends, isNic: boolean): Compared | null {
  const [a, b] = [near.daemons?.ptp ?? null, far.daemons?.ptp ?? null];
  if (a === null || b === null || a.grandmaster !== b.grandmaster || a.stamps !== b.stamps) return null;
  const isOwn = a.stamps === "hardware";
  const isNicsOwn = ({ daemons, nic_clock }: EndStamps) => daemons!.ptp!.interface === nic_clock?.interface;
  if (isOwn && !(isNic && isNicsOwn(near) && isNicsOwn(far))) return null;
  if (isNic && of(lackOf).some((lack) => lack !== "")) return null;
  if (!isOwn && (near.clock.was_set || far.clock.was_set)) return null;
  const reading = ({ clock, nic_clock }: EndStamps) => {
    if (isOwn) return nic_clock!.resolution_ns;
    return isNic ? nic_clock!.error_ns : clock.reading_error_ns;
  };
  return {
    clock: `the grandmaster ${a.grandmaster}`,
    ties: of(({ clock, nic_clock }) => {
      if (isOwn) return [OWN];
      return isNic ? nicTies(nic_clock!, 1) : loopTies(clock);
    }),
    bounds_ns: of((end) => {
      const { error_ns } = end.daemons!.ptp!;
      return error_ns === null ? null : error_ns + reading(end);
    }),
    reasons: of(({ daemons }) => `as ptp4l says of ${isOwn ? daemons!.ptp!.interface : "CLOCK_REALTIME"}`),
  };
}

function loopTies({ ties }: EndStamps["clock"]): Tie[] {
  return ties.map(([timeline_ns, offset_ns, width_ns]) => ({
    timeline_ns,
    offset_ns: BigInt(offset_ns),
    width_ns,
  }));
}

/** @param clock 1: CLOCK_REALTIME, 2: CLOCK_MONOTONIC_RAW */
function nicTies({ ties }: NonNullable<EndStamps["nic_clock"]>, clock: 1 | 2): Tie[] {
  return ties.map((tie) => ({
    timeline_ns: Number(BigInt(tie[0])),
    offset_ns: BigInt(tie[clock]!),
    width_ns: tie[3],
  }));
}

/** The stamps of an end, as they are compared. */
export function chosenStamps({ stamps }: CommonClock, end: EndStamps, sections: StampSections) {
  if (stamps === "tsc" || end.nic_clock === null) return sections;
  return byNic(sections, {
    loop: loopTies(end.clock),
    nic: nicTies(end.nic_clock, 1),
    error_ns: end.clock.reading_error_ns + end.nic_clock.error_ns,
  });
}

/** The two clocks: how far apart they may be, and how far apart the stamps say they are. */
export function clocksOf(common: CommonClock, found: OneWay) {
  const { stamps, clock, one_machine, bounds_ns, reasons } = common;
  const bound_ns = bounds_ns[0] === null || bounds_ns[1] === null ? null : bounds_ns[0] + bounds_ns[1];
  const least = (values: Float64Array) => values.reduce((min, value) => Math.min(min, value), Infinity);
  const [up, down] = [least(found.up_ns), least(found.down_ns)];
  const offset_most_ns = up === Infinity ? null : up;
  const offset_least_ns = down === Infinity ? null : -down;
  const isWithin = (bound: number) =>
    (offset_most_ns === null || offset_most_ns >= -bound) &&
    (offset_least_ns === null || offset_least_ns <= bound);
  return {
    stamps,
    clock,
    one_machine,
    bound_ns,
    bounds_ns,
    reasons,
    offset_least_ns,
    offset_most_ns,
    agree: bound_ns === null ? null : isWithin(bound_ns),
  };
}
