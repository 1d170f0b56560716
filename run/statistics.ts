/** What the interfaces themselves counted: the second opinion on how much was sent and received. */

import { z } from "zod";
import { run } from "../lab/ip.js";
import { namespaceArguments } from "../lab/lab.js";
import { driverDrops, type Link } from "../native/index.js";

const direction = z.object({ packets: z.int(), bytes: z.int(), errors: z.int(), dropped: z.int() });
const shown = z.array(z.object({ stats64: z.object({ rx: direction, tx: direction }) })).length(1);

export interface InterfaceCounters {
  readonly rx_packets: number;
  readonly rx_errors: number;
  readonly rx_dropped: number; // also what arrived and was of a kind that nobody handles
  /** Of them, those that the driver dropped: the others did arrive. null: the driver does not tell them apart. */
  readonly rx_driver_dropped: number | null;
  readonly tx_packets: number;
  readonly tx_errors: number;
  readonly tx_dropped: number;
}

/** Whether an XDP program is attached to the interface, whoever's it is. @throws CaromError (environment) */
export function hasXdpProgram(link: Link): boolean {
  const command = [
    ...namespaceArguments(link.namespace),
    "ip",
    "-json",
    "link",
    "show",
    "dev",
    link.interfaceName,
  ];
  const [found] = z
    .array(z.object({ xdp: z.unknown().optional() }))
    .length(1)
    .parse(JSON.parse(run(`look for an XDP program on ${link.interfaceName}`, command)));
  return found!.xdp !== undefined;
}

/**
 * The counters of an interface since it was made.
 * @throws CaromError (environment) when the interface is gone
 */
export function readInterface(link: Link): InterfaceCounters {
  const command = [
    ...namespaceArguments(link.namespace),
    "ip",
    "-s",
    "-json",
    "link",
    "show",
    "dev",
    link.interfaceName,
  ];
  const [found] = shown.parse(JSON.parse(run(`read the counters of ${link.interfaceName}`, command)));
  const { rx, tx } = found!.stats64;
  return {
    rx_packets: rx.packets,
    rx_errors: rx.errors,
    rx_dropped: rx.dropped,
    rx_driver_dropped: driverDrops(link),
    tx_packets: tx.packets,
    tx_errors: tx.errors,
    tx_dropped: tx.dropped,
  };
}

/** @param lost what had been counted before a driver began anew meanwhile */
export function since(
  after: InterfaceCounters,
  before: InterfaceCounters,
  lost: Partial<InterfaceCounters> = {},
): InterfaceCounters {
  const keys = Object.keys(after) as (keyof InterfaceCounters)[];
  const difference = (last: number | null, first: number | null, more: number) =>
    last === null || first === null ? null : last + more - first;
  return Object.fromEntries(
    keys.map((key) => [key, difference(after[key], before[key], lost[key] ?? 0)]),
  ) as unknown as InterfaceCounters;
}

/** Frames that were lost at the interface on their way in. */
export function lostOnArrival({ rx_dropped, rx_driver_dropped }: InterfaceCounters): number {
  return rx_driver_dropped ?? rx_dropped;
}
