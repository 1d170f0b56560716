/** Frames for carom that came by queues of the interface that no thread serves: which ones, and what to do about it. */

import type { Counters } from "../native/index.js";
import { count, counted } from "./lines.js";

/** Of the counters that there are for queues with such frames, with their numbers behind it. */
export const UNSERVED_PREFIX = "unserved_queue_";

export interface Served {
  readonly interfaceName: string;
  readonly port: number;
  readonly queues: readonly number[];
  readonly option: string; // that says which queues are served
}

/** A sentence where there were any. */
export function unservedFaults(
  counters: Counters,
  { interfaceName, port, queues, option }: Served,
): string[] {
  const total = counters.unserved_queue ?? 0;
  if (total === 0) return [];
  const others = Object.entries(counters)
    .filter(([name, frames]) => name.startsWith(UNSERVED_PREFIX) && frames > 0)
    .map(([name, frames]) => ({ queue: Number(name.slice(UNSERVED_PREFIX.length)), frames }))
    .sort((a, b) => b.frames - a.frames);
  const shown = others.map(({ queue, frames }) => `${queue} (${count(frames)})`).join(", ");
  const which = others.length === 0 ? "queues" : `${others.length === 1 ? "queue" : "queues"} ${shown}`;
  const own = queues.length === 1 ? `queue ${queues[0]} alone is` : `only queues ${queues.join(", ")} are`;
  return [
    `${counted(total, "frame")} for port ${port} came to ${interfaceName} by ${which}, and ${own} served: ` +
      `${remedy(
        others.map(({ queue }) => queue),
        queues,
        option,
      )}, or ethtool -N ${interfaceName} flow-type udp4 dst-port ${port} action ${queues[0]}`,
  ];
}

function remedy(others: readonly number[], queues: readonly number[], option: string): string {
  if (option === "--queue") return others.length === 0 ? "another --queue" : `--queue ${others[0]}`;
  return `${option} ${[...new Set([...queues, ...others])].sort((a, b) => a - b).join(",")}`;
}
