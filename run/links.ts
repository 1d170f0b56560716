/** What a run says of frames that did not leave: the kernel refused them, or the link or interface was gone. */

import { formatNs } from "../config/values.js";
import type { LinkFindings } from "../native/index.js";
import { counted } from "./lines.js";
import type { Measurement } from "./measure.js";
import type { Plan } from "./plan.js";
import type { InterfaceCounters } from "./statistics.js";

export interface LinkReport {
  readonly outages: number;
  readonly down_ns: number;
  readonly gone: boolean;
  readonly counter_resets: number; // the driver began to count anew: what it had counted is added, as far as it is known
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
  { outages, down_ns, gone, gone_ns, resets }: LinkFindings,
  handed: number,
  counters: Pick<InterfaceCounters, "tx_packets"> | null,
  refused: number,
): LinkReport {
  const isWhole = outages === 0 && !gone && refused === 0;
  // What the kernel sent of its own accord is in the interface's counter, too.
  const not_left = isWhole ? 0 : counters && Math.max(refused, handed - counters.tx_packets);
  const when = gone ? gone_ns : null;
  return { outages, down_ns, gone, gone_ns: when, counter_resets: resets, refused, not_left };
}

/** What a driver's counters are worth that began anew. */
export function resetNotes(name: string, { counter_resets: resets }: LinkReport): string[] {
  if (resets === 0) return [];
  const often = resets === 1 ? "once" : `${resets.toLocaleString("en-US")} times`;
  return [
    `the driver of ${name} began to count anew ${often}, as some do when a link comes back: what it had told before is ` +
      "added, and may be less than it had counted",
  ];
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

export interface Links {
  readonly generator: LinkReport;
  readonly responder: LinkReport | null; // of a lab
}

export function linksOf({ links, interfaces, generator, responder }: Measurement): Links {
  const orders = responder?.counters.orders ?? 0;
  return {
    generator: linkReport(
      links.generator,
      generator.counters.frames_out ?? 0,
      interfaces.generator,
      generator.counters.tx_invalid ?? 0,
    ),
    responder:
      links.responder &&
      linkReport(links.responder, orders, interfaces.responder, responder?.counters.tx_invalid ?? 0),
  };
}

/**
 * Measured ticks that did not leave. Known by what was stamped at the far end; or, each in a frame of its own, as many
 * as frames; or by what the responder took, where the interface is gone with its counters.
 */
export function notLeft(n: (name: string) => number, link: LinkReport, found: Measurement): number {
  const { arrivals, responder } = found;
  const { outages, gone, refused, not_left } = link;
  if (outages === 0 && !gone && refused === 0) return 0;
  if (arrivals !== null) {
    const missed = Math.max(0, n("sent") - arrivals.ticks);
    return outages === 0 && !gone ? Math.min(refused, missed) : missed; // more than were refused were lost elsewhere
  }
  if (not_left === null && responder !== null) {
    const missed = n("sent") + n("warmup_sent") - (responder.counters.ticks ?? 0);
    return Math.min(n("sent"), Math.max(0, missed));
  }
  const isOneEach = n("frames_out") === n("sent") + n("warmup_sent");
  return isOneEach ? Math.min(n("sent"), not_left ?? 0) : 0;
}

export function lostLinks(plan: Plan, { generator, responder }: Links): string[] {
  const near = linkFaults(plan.generator.io.link.interfaceName, generator, "frame");
  if (responder === null) return near;
  // Both ends of a lab go down together: of the far one only the orders are told.
  const { not_left } = responder;
  const only = near.length === 0 ? responder : { ...responder, outages: 0, gone_ns: null, not_left };
  return [...near, ...linkFaults(plan.lab!.responder.interfaceName, only, "order")];
}
