/**
 * How long a cable is between two ports, and what lies between their stamps and the wire: frames both ways, each with
 * the NICs' stamps. One way needs the two clocks compared; the mean of both ways does not, as what one clock is ahead
 * of the other counts once for it and once against it.
 */

import { CaromError } from "../native/error.js";
import {
  type Link,
  openPhc,
  openWire,
  type Phc,
  type PhcReading,
  timestampingInfo,
} from "../native/index.js";

const FRAMES_A_TURN = 20; // between two comparisons of the clocks
const COMPARISONS = 5; // of which the narrowest counts
const LOST_MAX = 0.1; // of the frames: with more, something is wrong with the cable or the ports

/** How far the second clock is ahead of the first one, at a time of the first. */
export interface ClockOffset {
  readonly at_ns: bigint;
  readonly offset_ns: bigint;
  readonly error_ns: number; // it is not off by more, by the brackets of the readings
  readonly method: string;
}

/** Of the frames of one direction, in ns by the sending NIC's clock. */
export interface OneWay {
  readonly frames: number; // with both stamps
  readonly lost: number; // without one of them
  readonly min_ns: number;
  readonly median_ns: number;
  readonly max_ns: number;
}

export interface Calibration {
  /** What a frame takes from one port's stamp to the other's: the mean of the medians of both ways. */
  readonly path_ns: number;
  readonly spread_ns: number; // from the shortest to the longest, the larger of both ways
  readonly forth: OneWay;
  readonly back: OneWay;
  readonly one_clock: boolean; // the ports are of one NIC
  /** Null with one clock. Of the two clocks, over the measurement. */
  readonly clocks: {
    readonly devices: readonly [string, string];
    readonly method: string;
    readonly before: { readonly offset_ns: string; readonly error_ns: number };
    readonly after: { readonly offset_ns: string; readonly error_ns: number };
    readonly drift_ppb: number;
    readonly one_way_error_ns: number; // of each way's times: no more, by the comparisons and between them
  } | null;
}

interface Clocks {
  compare(): ClockOffset;
  close(): void;
}

/** @throws CaromError (environment) */
function openClocks(paths: readonly [string, string]): Clocks {
  const first = openPhc(paths[0]);
  const second = openPhc(paths[1]);
  return {
    compare: () =>
      Array.from({ length: COMPARISONS }, () => compareOnce(first, second)).reduce((best, one) =>
        one.error_ns < best.error_ns ? one : best,
      ),
    close: () => {
      first.close();
      second.close();
    },
  };
}

/** The first clock before and after the second one: what it showed at the second one's time lies on a line. */
function compareOnce(first: Phc, second: Phc): ClockOffset {
  const before = first.read();
  const middle = second.read();
  const after = first.read();
  if (before.isRaw !== middle.isRaw) {
    const detail = "one can be compared with CLOCK_MONOTONIC_RAW, the other one not";
    throw new CaromError("environment", "compare the two clocks", detail, "use two ports of one NIC");
  }
  return offsetBetween(before, middle, after);
}

export function offsetBetween(before: PhcReading, middle: PhcReading, after: PhcReading): ClockOffset {
  const span_ns = Number(after.systemNs - before.systemNs);
  const part = span_ns === 0 ? 0 : Number(middle.systemNs - before.systemNs) / span_ns;
  const at_ns = before.phcNs + BigInt(Math.round(part * Number(after.phcNs - before.phcNs)));
  const rounding_ns = 1;
  return {
    at_ns,
    offset_ns: middle.phcNs - at_ns,
    error_ns: Math.max(before.widthNs, after.widthNs) / 2 + middle.widthNs / 2 + rounding_ns,
    method: middle.method,
  };
}

/** The offset at a time between two comparisons. */
function offsetAt(at_ns: bigint, before: ClockOffset, after: ClockOffset): number {
  const part = Number(at_ns - before.at_ns) / Math.max(1, Number(after.at_ns - before.at_ns));
  return part * Number(after.offset_ns - before.offset_ns);
}

/** Times of one direction, as they come. */
class Way {
  readonly times: number[] = [];
  lost = 0;

  /** @param sign 1 where the first clock's port sent, −1 where the second one's did */
  take(stamps: BigUint64Array, sign: 1 | -1, before: ClockOffset | null, after: ClockOffset | null): void {
    for (let i = 0; i < stamps.length; i += 2) {
      const [sent = 0n, arrived = 0n] = [stamps[i], stamps[i + 1]];
      if (sent === 0n || arrived === 0n) {
        this.lost++;
        continue;
      }
      if (before === null || after === null) {
        this.times.push(Number(arrived - sent));
        continue;
      }
      const at_ns = sign === 1 ? sent : arrived; // by the first clock
      const ahead_ns = offsetAt(at_ns, before, after);
      this.times.push(Number(arrived - sent - BigInt(sign) * before.offset_ns) - sign * ahead_ns);
    }
  }

  summary(): OneWay {
    const sorted = this.times.toSorted((a, b) => a - b);
    const at = (part: number) => sorted[Math.floor(part * (sorted.length - 1))] ?? Number.NaN;
    return { frames: sorted.length, lost: this.lost, min_ns: at(0), median_ns: at(0.5), max_ns: at(1) };
  }
}

/**
 * @param frames each way
 * @throws CaromError (environment) when the ports can't stamp, are not linked with each other, or lose frames
 */
export async function calibrate(first: Link, second: Link, frames: number): Promise<Calibration> {
  const devices = [first, second].map((link) => `/dev/ptp${timestampingInfo(link).phcIndex}`) as [
    string,
    string,
  ];
  const forthWire = openWire(first, second);
  const backWire = openWire(second, first);
  const clocks = devices[0] === devices[1] ? null : openClocks(devices);
  const [forth, back] = [new Way(), new Way()];
  try {
    const start = clocks?.compare() ?? null;
    let before = start;
    let [worst_ns, after] = [0, start];
    for (let sent = 0; sent < frames; sent += FRAMES_A_TURN) {
      const count = Math.min(FRAMES_A_TURN, frames - sent);
      const stamps = [forthWire.send(count), backWire.send(count)] as const;
      after = clocks?.compare() ?? null;
      forth.take(stamps[0], 1, before, after);
      back.take(stamps[1], -1, before, after);
      if (before !== null && after !== null) worst_ns = Math.max(worst_ns, before.error_ns, after.error_ns);
      refuseLosses(first, second, forth, back);
      before = after;
      await new Promise((resolve) => setImmediate(resolve)); // for signals
    }
    const ways = [forth.summary(), back.summary()] as const;
    return {
      path_ns: (ways[0].median_ns + ways[1].median_ns) / 2,
      spread_ns: Math.max(...ways.map((way) => way.max_ns - way.min_ns)),
      forth: ways[0],
      back: ways[1],
      one_clock: clocks === null,
      clocks: start === null || after === null ? null : clockReport(devices, start, after, worst_ns),
    };
  } finally {
    clocks?.close();
    forthWire.close();
    backWire.close();
  }
}

function clockReport(
  devices: readonly [string, string],
  start: ClockOffset,
  end: ClockOffset,
  worst_ns: number,
) {
  const over_ns = Math.max(1, Number(end.at_ns - start.at_ns));
  const side = ({ offset_ns, error_ns }: ClockOffset) => ({ offset_ns: String(offset_ns), error_ns });
  return {
    devices,
    method: end.method,
    before: side(start),
    after: side(end),
    drift_ppb: (Number(end.offset_ns - start.offset_ns) / over_ns) * 1e9,
    one_way_error_ns: worst_ns,
  };
}

function refuseLosses(first: Link, second: Link, ...ways: readonly Way[]): void {
  for (const { times, lost } of ways) {
    if (lost <= LOST_MAX * (times.length + lost)) continue;
    throw new CaromError(
      "environment",
      `calibrate ${first.interfaceName} and ${second.interfaceName}`,
      times.length === 0
        ? "no frame of one port arrived at the other with both stamps"
        : `${lost} of ${times.length + lost} frames lack a stamp`,
      "connect the two ports with one cable, nothing in between; ethtool -T shows what a NIC stamps",
    );
  }
}
