/**
 * How a NIC's clock, by which the NIC stamps frames, is tied to the clocks that two NICs have in common: read side by
 * side over the run, with how far a time of the one, turned into a time of the other, can be off by these readings.
 */

import type { PhcReading } from "../native/index.js";
import { deviation, type Tie } from "./clock_ties.js";
import { clockName, type PhcFindings, type PhcLack } from "./phc.js";

export interface NicClockReport {
  readonly device: string;
  readonly interface: string; // of the NIC
  readonly name: string; // as the driver calls it
  readonly method: string; // by which it was compared with the system's clocks
  readonly steps: number; // how often it, or the clock that it was compared with, was set in the meantime
  readonly problem: string; // why it could not be read any more; "" as a rule
  readonly resolution_ns: number;
  readonly error_ns: number; // against CLOCK_REALTIME: of one stamp, by resolution, readings and what lies between them
  readonly raw_error_ns: number | null; // the same against CLOCK_MONOTONIC_RAW; null where the driver has no exact way
  readonly ties: readonly (readonly [
    nic_ns: string,
    realtime_offset_ns: string,
    raw_offset_ns: string | null,
    width_ns: number,
  ])[];
}

export function nicClockReport(
  interfaceName: string,
  found: PhcFindings | PhcLack | null,
): NicClockReport | null {
  if (found === null || !("path" in found)) return null;
  const { path, last, steps, problem, ties, resolution_ns } = found;
  const isRaw = ties.every((reading) => reading.isRaw);
  const against = (clock: (reading: PhcReading) => bigint) => {
    const { widest_ns, furthest_ns } = deviation(ties.map((reading) => tieOf(reading, clock(reading))));
    // A rate that changes between two readings shows in their neighbours by half as much as it is off between them.
    return Math.ceil(resolution_ns + widest_ns + 2 * furthest_ns);
  };
  return {
    device: path,
    interface: interfaceName,
    name: clockName(path),
    method: last.method,
    steps,
    problem,
    resolution_ns,
    error_ns: against(({ realtimeNs }) => realtimeNs),
    raw_error_ns: isRaw ? against(({ systemNs }) => systemNs) : null,
    ties: ties.map(({ phcNs, realtimeNs, systemNs, widthNs }) => [
      String(phcNs),
      String(realtimeNs - phcNs),
      isRaw ? String(systemNs - phcNs) : null,
      widthNs,
    ]),
  };
}

function tieOf({ phcNs, widthNs }: PhcReading, clock_ns: bigint): Tie {
  // The place between two readings need not be exact: only by how much the rates differ over it counts.
  return { timeline_ns: Number(phcNs), offset_ns: clock_ns - phcNs, width_ns: widthNs };
}

/** What is wrong with stamps of a NIC that can't be used without its clock. */
export function nicClockNotes(found: PhcFindings | PhcLack | null): string[] {
  if (found === null || "path" in found) return [];
  return [`the NIC's stamps are not kept for carom join: ${found.problem}`];
}
