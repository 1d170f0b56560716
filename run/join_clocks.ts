/** What the stamps of two ends have in common: whose they are, by which clock they are compared, how far that is off. */

import type { ClockTiesReport, Tie } from "./clock_ties.js";
import type { NicClockReport } from "./nic_clock.js";
import { byNic, type OneWay } from "./one_way.js";
import type { StampSections } from "./stamps.js";

/** What a report says of the stamps of its end and of their clocks. */
export interface EndStamps {
  readonly rows: Readonly<Record<keyof StampSections, number>>;
  readonly clock: Pick<
    ClockTiesReport,
    "boot_id" | "was_set" | "error_ns" | "reading_error_ns" | "bound_ns" | "bound_reason" | "ties"
  >;
  readonly nic_clock: Pick<
    NicClockReport,
    "device" | "method" | "steps" | "problem" | "error_ns" | "raw_error_ns" | "ties"
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

export function commonClock(near: EndStamps, far: EndStamps): CommonClock {
  const one_machine = near.clock.boot_id !== "" && near.clock.boot_id === far.clock.boot_id;
  const hasNic = [
    near.nic_clock !== null && near.rows.nic_sent > 0,
    far.nic_clock !== null && far.rows.nic_received > 0,
  ];
  if (hasNic[0] && hasNic[1]) return byNics(near, far, one_machine);
  const isSet = near.clock.was_set || far.clock.was_set;
  const of = <T>(read: (end: EndStamps) => T): Both<T> => [read(near), read(far)];
  const isOne = one_machine && !isSet;
  const only = hasNic[0] ? "generator" : "responder";
  return {
    stamps: "tsc",
    clock: "CLOCK_REALTIME",
    one_machine,
    ties: of(({ clock }) => loopTies(clock)),
    bounds_ns: of(({ clock }) => (isOne ? clock.reading_error_ns : clock.bound_ns)),
    reasons: of(({ clock }) => (isOne ? "both ends are one machine, with one clock" : clock.bound_reason)),
    notes:
      hasNic[0] === hasNic[1]
        ? []
        : [`only the ${only}'s NIC stamped: all ways go by the stamps of the loops, which the TSC made`],
  };
}

function byNics(near: EndStamps, far: EndStamps, one_machine: boolean): CommonClock {
  const of = <T>(read: (end: EndStamps, nic: NonNullable<EndStamps["nic_clock"]>) => T): Both<T> => [
    read(near, near.nic_clock!),
    read(far, far.nic_clock!),
  ];
  const why = of((_, { device, steps, problem }) =>
    problem !== ""
      ? `${device} could not be read to the end: ${problem}`
      : steps > 0
        ? `${device}, or the clock that it was compared with, was set in the meantime`
        : "",
  );
  const result = (
    clock: string,
    ties: CommonClock["ties"],
    bounds_ns: Both<number | null>,
    reasons: Both<string>,
  ): CommonClock => ({
    stamps: "hardware",
    clock,
    one_machine,
    ties,
    bounds_ns: [why[0] === "" ? bounds_ns[0] : null, why[1] === "" ? bounds_ns[1] : null],
    reasons: [why[0] || reasons[0], why[1] || reasons[1]],
    notes: [],
  });
  if (one_machine && near.nic_clock!.device === far.nic_clock!.device) {
    const own: Tie = { timeline_ns: 0, offset_ns: 0n, width_ns: 0 };
    const { device } = near.nic_clock!;
    const reason = `both ends are ports of one NIC, with one clock, ${device}`;
    return result(device, [[own], [own]], [0, 0], [reason, reason]);
  }
  const isRaw = one_machine && of((_, { raw_error_ns }) => raw_error_ns).every((error) => error !== null);
  if (isRaw)
    return result(
      "CLOCK_MONOTONIC_RAW",
      of((_, nic) => nicTies(nic, 2)),
      of((_, { raw_error_ns }) => raw_error_ns),
      of((_, { device, method }) => `${device} against CLOCK_MONOTONIC_RAW by ${method}`),
    );
  return result(
    "CLOCK_REALTIME",
    of((_, nic) => nicTies(nic, 1)),
    of(({ clock }, nic) =>
      one_machine ? nic.error_ns : clock.bound_ns === null ? null : clock.error_ns! + nic.error_ns,
    ),
    of(({ clock }, { device, method }) =>
      one_machine || clock.bound_ns !== null
        ? `${device} against CLOCK_REALTIME by ${method}${one_machine ? "" : `, and that ${clock.bound_reason}`}`
        : clock.bound_reason,
    ),
  );
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
