/** Whether an interface sends frames at a time that each of them carries, and so better than any loop that spins. */

import { z } from "zod";
import { type Link, launchTime } from "../native/index.js";
import { namespaceArguments, tryRun } from "./ip.js";

const qdiscs = z.array(z.object({ kind: z.string() }));

/** What is offered, by AF_XDP and by SO_TXTIME; "not offered by eth1" where nothing is. */
export function launchTimeText(link: Link): string {
  const operation = `look at the queues of ${link.interfaceName}`;
  const command = [...namespaceArguments(link.namespace), "tc", "-json", "qdisc", "show", "dev"];
  const { status, stdout } = tryRun(operation, [...command, link.interfaceName]);
  const kinds = status === 0 ? qdiscs.parse(JSON.parse(stdout)).map(({ kind }) => kind) : [];
  const timed = kinds.find((kind) => kind === "etf" || kind === "fq");
  const offers = [
    ...(launchTime(link) ? ["AF_XDP launch time"] : []),
    ...(timed === undefined ? [] : [`SO_TXTIME by its ${timed} queue`]),
  ];
  return offers.length === 0
    ? `not offered by ${link.interfaceName}`
    : `${offers.join(" and ")} offered by ${link.interfaceName}, not used`;
}
