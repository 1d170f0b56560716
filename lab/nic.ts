/** What the doctor finds out about an interface, and about what carom can do on it. */

import { z } from "zod";
import type { BackendProbe, Link, TimestampingInfo } from "../native/index.js";
import { peerFindings } from "./checksum_offload.js";
import { type Finding, note, ok, problem } from "./finding.js";
import { findTool, namespaceArguments, run, tryRun } from "./ip.js";
import {
  clockFindings,
  fieldOf,
  filterFindings,
  firmwareFindings,
  knownXdp,
  type Steering,
  steerCommand,
  steeringFindings,
  steeringOf,
} from "./nic_details.js";

const detailsType = z.object({
  link_type: z.string(),
  num_rx_queues: z.int().default(1),
  num_tx_queues: z.int().default(1),
  xdp: z.object({ mode: z.int().optional(), prog: z.object({ id: z.int() }).optional() }).optional(),
});

/** @throws CaromError when the interface is gone */
export function interfaceFindings(link: Link, queue: number, isTemporary: boolean): Finding[] {
  const enter = namespaceArguments(link.namespace);
  const operation = `look at ${link.interfaceName}`;
  const show = [...enter, "ip", "-json", "-details", "link", "show", "dev", link.interfaceName];
  const details = z
    .array(detailsType)
    .min(1)
    .parse(JSON.parse(run(operation, show)))[0]!;
  const ethtool = (flag: string, ...more: readonly string[]): string => {
    if (findTool("ethtool") === undefined) return "";
    const result = tryRun(operation, [...enter, "ethtool", flag, link.interfaceName, ...more]);
    return result.status === 0 ? result.stdout : ""; // many drivers know only some of this
  };
  const addresses = [link.address4, link.address6].filter((address) => address !== "").join(", ");
  const about = ethtool("-i");
  const driver = fieldOf(about, "driver");
  const features = ethtool("-k");
  const steering = steeringOf(ethtool("-x"), ethtool("-n", "rx-flow-hash", "udp4"), features);
  const stamps = ethtool("-T");
  const origin = isTemporary
    ? " of a lab made for this"
    : link.namespace === ""
      ? ""
      : ` in ${link.namespace}`;
  return [
    ok("interface", `${link.interfaceName}${origin}, ${link.mac}`),
    addresses === ""
      ? note(
          "addresses",
          "none: sockets can't be used on it",
          `ip addr add ADDRESS dev ${link.interfaceName}`,
        )
      : ok("addresses", addresses),
    ok("mtu", `${link.mtu} bytes`),
    driver === "" ? ok("driver", `unknown (${details.link_type})`) : ok("driver", driver),
    ...firmwareFindings(about),
    queues(link, queue, details, ethtool("-l"), driver, steering),
    ...(features === "" || driver === "veth" ? [] : steeringFindings(steering)),
    ...attachedProgram(link, details),
    ...offloads(link, features, driver),
    ...peerFindings(link, driver),
    ...coalescing(link, ethtool("-c")),
    ...filterFindings(link.interfaceName, stamps),
    ...clockFindings(link.interfaceName, stamps),
  ];
}

function queues(
  link: Link,
  queue: number,
  details: z.output<typeof detailsType>,
  text: string,
  driver: string,
  steering: Steering,
): Finding {
  // The second half of what ethtool says is how it is now; a queue is either combined or one of rx and tx.
  const current = text.split("Current hardware settings:")[1] ?? "";
  const combined = Number(fieldOf(current, "Combined")) || 0;
  const rx = combined + (Number(fieldOf(current, "RX")) || 0) || details.num_rx_queues;
  const tx = combined + (Number(fieldOf(current, "TX")) || 0) || details.num_tx_queues;
  const value = `${rx} rx, ${tx} tx`;
  if (queue >= rx)
    return problem(
      "queues",
      `${value}: there is no queue ${queue}`,
      rx === 1 ? "leave --queue out" : `give --queue 0 to ${rx - 1}`,
    );
  if (rx === 1 || driver === "veth") return ok("queues", value);
  const served = steering.spread?.queues ?? Array.from({ length: rx }, (_, index) => index);
  if (served.length === 1) return ok("queues", `${value}; all that comes comes by queue ${served[0]}`);
  const one = steerCommand(link.interfaceName, queue, steering);
  return note(
    "queues",
    `${value}; af_xdp and xdp look at queues ${served.join(", ")} in turn, unless --queue or --queues names some`,
    `one is looked at sooner: ${one}; carom respond --queues all has a thread for each`,
  );
}

function attachedProgram(link: Link, { xdp }: z.output<typeof detailsType>): Finding[] {
  if (xdp?.prog === undefined) return [];
  const change = `if nobody uses it: ip link set dev ${link.interfaceName} xdp off`;
  return [note("XDP program", `number ${xdp.prog.id} is attached; it sees every frame first`, change)];
}

function offloads(link: Link, text: string, driver: string): Finding[] {
  if (text === "") return [];
  const isOn = (feature: string) => fieldOf(text, feature).startsWith("on");
  const features = {
    "tx checksums": "tx-checksumming",
    tso: "tcp-segmentation-offload",
    gso: "generic-segmentation-offload",
    gro: "generic-receive-offload",
    lro: "large-receive-offload",
  };
  const value = Object.entries(features)
    .map(([short, feature]) => `${short} ${isOn(feature) ? "on" : "off"}`)
    .join(", ");
  const turnOff = (feature: string) => `ethtool -K ${link.interfaceName} ${feature} off`;
  if (isOn("large-receive-offload")) {
    const spoils = "lro makes one of several frames, with one timestamp, and XDP can't be attached with it";
    return [note("offloads", `${value}: ${spoils}`, turnOff("lro"))];
  }
  // Between the two ends of a veth nothing is held back, and its GRO is what makes it take frames of XDP.
  if (driver === "veth" || !isOn("generic-receive-offload")) return [ok("offloads", value)];
  const udp = ["rx-udp-gro-forwarding", "rx-gro-list"].filter(isOn);
  const spoils =
    udp.length > 0
      ? `${udp.join(" and ")} makes one of several datagrams, with one timestamp`
      : "the kernel stamps a frame when gro lets go of it, at the end of its batch (af_xdp and xdp come before that)";
  return [note("offloads", `${value}: ${spoils}`, turnOff(udp[0] ?? "gro"))];
}

function coalescing(link: Link, text: string): Finding[] {
  const rx_us = Number(fieldOf(text, "rx-usecs"));
  const isAdaptive = /Adaptive RX: on/.test(text);
  if (text === "" || (Number.isNaN(rx_us) && !isAdaptive)) return [];
  if (rx_us === 0 && !isAdaptive) return [ok("interrupt coalescing", "off")];
  const value = `${isAdaptive ? "adaptive, " : ""}rx-usecs ${rx_us}: a frame may wait that long for its interrupt`;
  return [note("interrupt coalescing", value, `ethtool -C ${link.interfaceName} adaptive-rx off rx-usecs 0`)];
}

export function timestampFindings(info: TimestampingInfo): Finding[] {
  const hardware = [info.hardwareRx ? "rx" : "", info.hardwareTx ? "tx" : ""].filter((side) => side !== "");
  const software = [info.softwareRx ? "rx" : "", info.softwareTx ? "tx" : ""].filter((side) => side !== "");
  const kernel = software.length === 0 ? "kernel: none" : `kernel: ${software.join(" and ")}`;
  if (info.phcIndex < 0 || hardware.length === 0) {
    return [note("timestamps", `hardware: none; ${kernel}`, "")];
  }
  return [ok("timestamps", `hardware: ${hardware.join(" and ")} (/dev/ptp${info.phcIndex}); ${kernel}`)];
}

const NATIVE = 1;
const ZERO_COPY = 8;

/** The bits of enum netdev_xdp_act in <linux/netdev.h>. */
const XDP_FEATURES = [
  "takes programs",
  "redirects",
  "takes redirected frames",
  "zero-copy AF_XDP",
  "runs in the NIC",
  "frames of several buffers",
  "redirects frames of several buffers",
];

/**
 * @param features as the driver tells the kernel; null where that does not say
 * @param driver its name; "" where it is not known
 */
export function xdpFindings(link: Link, features: number | null, driver: string): Finding[] {
  const tries = `carom doctor --interface ${link.interfaceName} --try attaches programs, and so finds out`;
  if (features === null) {
    const value = `unknown: the kernel tells what a driver can do from Linux 6.3 on; ${knownXdp(driver)}`;
    return [note("XDP", value, tries)];
  }
  const named = driver === "" ? "the driver" : `the driver ${driver}`;
  if ((features & NATIVE) === 0)
    return [note("XDP", `generic alone: ${named} has none of its own, or not now`)];
  const told = XDP_FEATURES.filter((_, bit) => (features & (1 << bit)) !== 0);
  const zeroCopy =
    (features & ZERO_COPY) !== 0
      ? ok("zero-copy", "offered: carom run --copy-mode zero-copy insists on it")
      : note("zero-copy", `${named} has none: af_xdp copies each frame`);
  return [ok("XDP", `native: ${told.join(", ")}`), zeroCopy];
}

/** Backends that attach a program to the interface. */
const ATTACHING = ["af_xdp", "xdp", "xdp_live"];

export function backendFindings(probes: readonly BackendProbe[]): Finding[] {
  return probes.map(({ name, roles, tried, reason, hint }) => {
    if (reason !== "") return note(name, reason, hint);
    const known = tried || !ATTACHING.includes(name) ? "usable" : "loads, and is not tried without --try";
    return ok(name, `${known}, as ${roles.join(" and ")}`);
  });
}
