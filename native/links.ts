/** Interfaces: what they can do, what becomes of them, their clocks and stamps, and XDP programs that stay on them. */

import { addon, call } from "./addon.js";
import type { Link } from "./config.js";
import { CaromError } from "./error.js";
import type { PhcReading, TimestampingInfo } from "./facts.js";
import type { ArrivalFindings, LinkFindings } from "./result.js";
import type { Arrivals } from "./roles.js";

/**
 * The receive queues over which an interface spreads what comes: those of its RSS table, and where it has none all that
 * there are. Empty where its driver says neither.
 * @throws CaromError
 */
export function spreadQueues(link: Link): number[] {
  return call("ask for the receive queues", () => addon().spreadQueues(link));
}

/** The bits of enum netdev_xdp_act; null where the kernel does not tell, before Linux 6.3. @throws CaromError */
export function xdpFeatures(link: Link): number | null {
  return call("read the XDP features", () => addon().xdpFeatures(link));
}

/** Puts NICs' timestamping back that killed processes of carom have left on. Returns a line for each. */
export function restoreTimestamping(): string[] {
  return call("put timestamping back", () => addon().restoreTimestamping());
}

/** A PTP hardware clock that is open. */
export interface Phc {
  /** @throws CaromError (environment) when it is gone, or closed */
  read(): PhcReading;
  close(): void;
}

/** Frames from one port to another, with the NICs' stamps. */
export interface WireProbe {
  /**
   * Sends so many frames, at most 64, one after the other. Of each two numbers: when it left and when it arrived, by
   * the clock of the NIC that made the stamp; 0 for none.
   * @throws CaromError (environment)
   */
  send(count: number): BigUint64Array;
  close(): void;
}

/** @throws CaromError (environment) where one of the two can't stamp in hardware */
export function openWire(from: Link, to: Link): WireProbe {
  const operation = `calibrate from ${from.interfaceName} to ${to.interfaceName}`;
  const send = call(operation, () => addon().openWire(from, to));
  return {
    send: (count) => {
      const found = call(operation, () => send(count));
      if (found === null) throw new CaromError("internal", operation, "it is closed");
      return found;
    },
    close: () => {
      send(0);
    },
  };
}

/**
 * @param path /dev/ptpN
 * @throws CaromError (environment) when there is none of that path, or it may not be read
 */
export function openPhc(path: string): Phc {
  const operation = `read the clock ${path}`;
  const read = call(operation, () => addon().openPhc(path));
  return {
    read: () => {
      const found = call(operation, () => read(false));
      if (found === null) throw new CaromError("internal", operation, "it is closed");
      return found;
    },
    close: () => {
      read(true);
    },
  };
}

/** @throws CaromError when there is no such interface */
export function timestampingInfo(link: Link): TimestampingInfo {
  return call("read the timestamping abilities", () => addon().timestampingInfo(link));
}

/** Whether its driver sends AF_XDP frames at a time that each of them carries. @throws CaromError */
export function launchTime(link: Link): boolean {
  return call("read the launch time ability", () => addon().launchTime(link));
}

/** Frames that the driver of a veth received and dropped, since it was made; null for other drivers. @throws CaromError */
export function driverDrops(link: Link): number | null {
  return call(`read the driver's counters of ${link.interfaceName}`, () => addon().driverDrops(link));
}

export interface LinkWatch {
  found(): LinkFindings;
  close(): void;
}

/**
 * Follows an interface until it is closed.
 * @param onGone is called once when it is removed, or goes to another namespace
 * @throws CaromError
 */
export function watchLink(link: Link, onGone: () => void): LinkWatch {
  const look = call(`follow the link of ${link.interfaceName}`, () => addon().watchLink(link, onGone));
  let last: LinkFindings | null = null;
  return {
    found: () => last ?? look(false),
    close: () => {
      last ??= look(true);
    },
  };
}

/**
 * Attaches an XDP program that lets everything pass to each of the links: a veth needs one to take what a program at
 * its other end sends back. Returns what detaches all of them. @throws CaromError; then none is attached
 */
export function attachXdpPass(...links: readonly Link[]): () => void {
  const attached: (() => void)[] = [];
  const detach = () => {
    for (const one of attached.splice(0)) one();
  };
  try {
    for (const link of links) {
      const operation = `make ${link.interfaceName} take what XDP sends back`;
      attached.push(call(operation, () => addon().attachXdpPass(link)));
    }
  } catch (error) {
    detach();
    throw error;
  }
  return detach;
}

/**
 * Attaches an XDP program that stamps the ticks to a port and lets everything pass; with port 0 any frame of a
 * replay that is stamped by it. It stays until it is closed.
 * @throws CaromError
 */
export function attachArrivals(link: Link, port: number): Arrivals {
  return call(`stamp what arrives at ${link.interfaceName}`, () => addon().attachArrivals(link, port));
}

/** What was stamped so far. */
export function arrivalFindings(arrivals: Arrivals): ArrivalFindings {
  return call("read the stamps of arrivals", () => addon().arrivalFindings(arrivals));
}

/** Ticks with an earlier timestamp are left out. A generator that is stamped by them says so itself. */
export function measureArrivalsFrom(arrivals: Arrivals, timestamp: bigint): void {
  call("measure arrivals", () => addon().measureArrivalsFrom(arrivals, timestamp));
}

/** May be called more than once. */
export function closeArrivals(arrivals: Arrivals): void {
  addon().closeArrivals(arrivals);
}
