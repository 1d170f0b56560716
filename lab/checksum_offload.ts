/**
 * Checksums that the sender's kernel leaves to a NIC that never was. A veth offers TX checksum offload, as nothing is
 * lost between the two kernels' stacks; an XDP program at the other end, or AF_PACKET there, sees the frames with the sum of
 * the pseudo header alone, and carom refuses them (native/frame/parse.h).
 */

import { z } from "zod";
import type { Counters, Link } from "../native/index.js";
import { type Finding, note, ok } from "./finding.js";
import { findTool, namespaceArguments, tryRun } from "./ip.js";

/** What is to be said of a role that was sent such frames: a text or none. */
export function unfinishedNotes(counters: Counters, interfaceName: string): string[] {
  const frames = counters.unfinished_checksum ?? 0;
  if (frames === 0) return [];
  const what = frames === 1 ? "1 frame was" : `${frames.toLocaleString("en-US")} frames were`;
  return [
    `${what} refused for an unfinished checksum, which the sender left to a NIC; at the other end of ${interfaceName}: ` +
      "ethtool -K INTERFACE tx off",
  ];
}

const peerType = z.object({
  link: z.string().nullish(), // the peer's name, where it is in the same namespace
  link_index: z.int().optional(),
  link_netnsid: z.int().optional(), // its namespace, where that is another one
});

interface Peer {
  readonly name: string;
  readonly enter: readonly string[]; // what is put before a command to run it there
}

/** What the doctor says of the other end of a veth; nothing of other interfaces, whose other end is another machine's. */
export function peerFindings(link: Link, driver: string): Finding[] {
  if (driver !== "veth" || findTool("ethtool") === undefined) return [];
  const operation = `look at the other end of ${link.interfaceName}`;
  const peer = peerOf(link, operation);
  const why = "whose frames come with unfinished checksums, and are refused";
  if (peer === undefined) {
    const value = `in a namespace that has no name here; with TX checksum offload it is one ${why}`;
    return [note("other end", value, "there: ethtool -K INTERFACE tx off")];
  }
  const { status, stdout } = tryRun(operation, [...peer.enter, "ethtool", "-k", peer.name]);
  if (status !== 0) return [note("other end", `${peer.name}: ethtool can't tell its offloads`)];
  if (!/^tx-checksumming: on/m.test(stdout)) return [ok("other end", `${peer.name}, tx checksums off`)];
  const command = [...peer.enter, "ethtool", "-K", peer.name, "tx", "off"].join(" ");
  return [note("other end", `${peer.name} has TX checksum offload on: one ${why}`, command)];
}

/** The other end of a veth; undefined where it is in a namespace that can't be entered by name. */
function peerOf(link: Link, operation: string): Peer | undefined {
  const here = namespaceArguments(link.namespace);
  const shown = show(operation, here, "dev", link.interfaceName)[0];
  if (typeof shown?.link === "string") return { name: shown.link, enter: here };
  const listed = tryRun(operation, [...here, "ip", "-json", "netns", "list-id"]);
  const namespaces = listed.status === 0 ? namespacesType.parse(JSON.parse(listed.stdout || "[]")) : [];
  const namespace = namespaces.find(({ nsid }) => nsid === shown?.link_netnsid)?.name;
  if (namespace === undefined) return undefined;
  const enter = namespaceArguments(`/run/netns/${namespace}`);
  const index = shown?.link_index;
  const found = show(operation, enter).find(({ ifindex }) => ifindex === index);
  return found === undefined ? undefined : { name: found.ifname, enter };
}

const namespacesType = z.array(z.object({ nsid: z.int(), name: z.string().optional() }));
const shownType = z.array(peerType.extend({ ifindex: z.int(), ifname: z.string() }));

function show(operation: string, enter: readonly string[], ...what: string[]) {
  const { status, stdout } = tryRun(operation, [...enter, "ip", "-json", "link", "show", ...what]);
  return status === 0 ? shownType.parse(JSON.parse(stdout)) : [];
}
