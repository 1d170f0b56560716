/** What a run says of frames that did not leave: the kernel refused them, or the link or interface was gone. */

import { formatNs } from "../config/values.js";
import type { LinkFindings } from "../native/index.js";
import { counted } from "./lines.js";
import type { InterfaceCounters } from "./statistics.js";

export interface LinkReport {
  readonly outages: number;
  readonly down_ns: number;
  readonly gone: boolean;
  readonly gone_ns: number | null; // after the start
  readonly refused: number; // frames that the kernel refused for good, such as one too large for the link
  /** Frames that were handed over and that the interface did not send, at least; null: it can't tell any more. */
  readonly not_left: number | null;
}

/**
 * @param handed frames that were handed over to be sent
 * @param refused of those, the ones that the kernel refused for good
 */
export function linkReport(
  { outages, down_ns, gone, gone_ns }: LinkFindings,
  handed: number,
  counters: Pick<InterfaceCounters, "tx_packets"> | null,
  refused: number,
): LinkReport {
  const isWhole = outages === 0 && !gone && refused === 0;
  // What the kernel sent of its own accord is in the interface's counter, too.
  const not_left = isWhole ? 0 : counters && Math.max(refused, handed - counters.tx_packets);
  return { outages, down_ns, gone, gone_ns: gone ? gone_ns : null, refused, not_left };
}

/** Each as a sentence; none of a link that was up all the time. */
export function linkFaults(name: string, link: LinkReport, frames: string): string[] {
  const { outages, down_ns, gone_ns, refused, not_left } = link;
  const often = outages === 1 ? "once" : `${outages.toLocaleString("en-US")} times`;
  const long = down_ns === 0 ? "too short to be measured" : `${formatNs(down_ns)} in all`;
  return [
    ...(gone_ns === null
      ? []
      : [`${name} was removed, or went to another namespace, after ${formatNs(gone_ns)}: that ended it`]),
    ...(outages === 0 || gone_ns !== null ? [] : [`the link of ${name} went down ${often}, ${long}`]),
    ...(refused === 0 ? [] : [`the kernel refused ${counted(refused, frames)} at ${name} for good`]),
    ...(not_left === null || not_left === 0
      ? []
      : [`${counted(not_left, frames)} handed over at ${name} did not leave`]),
  ];
}
