/**
 * Whether an interface sends frames at a time that each of them carries, and so better than any loop that spins; and what
 * has it do so: the qdisc etf, offloaded (etf(8)), on one of its queues. Only frames of carom's priority go there
 * (native/io/launch.h), for etf throws away all that have no launch time.
 */

import { z } from "zod";
import { asCaromError, CaromError } from "../native/error.js";
import { type Link, launchTime, timestampingInfo } from "../native/index.js";
import { namespaceArguments, run, tryRun } from "./ip.js";
import { applyChange, beginRecord, type NicChange, putBack } from "./nic_changes.js";
import { fieldOf } from "./nic_details.js";

const TRIED_LEAD_NS = 200_000;
const HINT =
  "Intel's i210, i225 and i226 (igb, igc) and some others launch frames; leave out --pacing for a loop that spins";

const qdiscs = z.array(z.object({ kind: z.string(), handle: z.string(), root: z.boolean().optional() }));
const links = z.array(z.object({ num_tx_queues: z.int().optional() }));

/** The qdisc of an interface itself. @param text of tc -json qdisc show */
export function rootQdisc(text: string): { readonly kind: string; readonly handle: string } | undefined {
  return qdiscs.parse(JSON.parse(text)).find(({ root }) => root === true);
}

/**
 * What has the NIC launch frames. A qdisc that somebody has put there is not replaced: the kernel would not tell all of it.
 * @param leadNs how long before its time a frame is given to the kernel; it is given to the NIC half as long before
 * @throws CaromError (environment)
 */
export function launchChange(link: Link, leadNs: number): NicChange {
  const { interfaceName, namespace } = link;
  const operation = launching(link);
  const inside = namespaceArguments(namespace);
  if (timestampingInfo(link).phcIndex < 0) {
    const detail = `${interfaceName} has no hardware clock, so it launches no frame at a time of one`;
    throw new CaromError("environment", operation, detail, HINT);
  }
  const shown = run(operation, [...inside, "tc", "-json", "qdisc", "show", "dev", interfaceName]);
  refuseOther(link, rootQdisc(shown));
  const current =
    tryRun(operation, [...inside, "ethtool", "-l", interfaceName]).stdout.split(
      "Current hardware settings:",
    )[1] ?? "";
  const count = (Number(fieldOf(current, "Combined")) || 0) + (Number(fieldOf(current, "TX")) || 0);
  const [device] = links.parse(
    JSON.parse(run(operation, [...inside, "ip", "-details", "-json", "link", "show", "dev", interfaceName])),
  );
  return { kind: "launch", queues: count || device?.num_tx_queues || 1, delta_ns: Math.round(leadNs / 2) };
}

/** @throws CaromError (environment) for a qdisc that is not the one that the kernel gives each device */
export function refuseOther(link: Link, root: ReturnType<typeof rootQdisc>): void {
  if (root === undefined || root.handle === "0:") return;
  const name = link.interfaceName;
  const detail = `${name} has a qdisc of its own, ${root.kind} ${root.handle}, which carom would have to replace`;
  const hint = `tc qdisc del dev ${name} root removes it; carom puts etf there itself, and takes it away again`;
  throw new CaromError("environment", launching(link), detail, hint);
}

/** What was refused when the NIC was to be changed, as the one who asked for launch times is told of it. */
export function launchRefusal(link: Link, error: unknown): CaromError {
  const { detail } = asCaromError(error, launching(link));
  const told = `its driver, or the kernel, refuses the qdisc etf with offload: ${detail}`;
  return new CaromError("environment", launching(link), told, HINT);
}

function launching({ interfaceName }: Link): string {
  return `--pacing launch-time on ${interfaceName}`;
}

/** Has the NIC launch frames for a moment. @returns why it does not; "" if it does */
function tryLaunch(link: Link): string {
  try {
    const change = launchChange(link, TRIED_LEAD_NS);
    const held = beginRecord(link);
    try {
      applyChange(held, change);
    } finally {
      putBack(held);
    }
    return "";
  } catch (error) {
    return asCaromError(error, launching(link)).detail;
  }
}

/** What is offered, by AF_XDP and by SO_TXTIME; "not offered by eth1" where nothing is. */
export function launchTimeText(link: Link, tries = false): string {
  const { interfaceName } = link;
  const hasClock = timestampingInfo(link).phcIndex >= 0;
  const why = hasClock && tries ? tryLaunch(link) : "";
  const offers = [
    ...(launchTime(link) ? ["AF_XDP launch time (not used)"] : []),
    ...(hasClock && tries && why === "" ? ["--pacing launch-time (SO_TXTIME, etf)"] : []),
  ];
  if (offers.length > 0) return `${offers.join(" and ")} offered by ${interfaceName}`;
  if (!hasClock || tries) return `not offered by ${interfaceName}${why === "" ? "" : `: ${why}`}`;
  return `not known of ${interfaceName}: carom doctor --interface ${interfaceName} --try finds out`;
}
