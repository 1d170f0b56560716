/** The lines that a feed goes out on, with their addresses; and shapes of frames that an option or the link rules out. */

import { keepsState, type StrategyName } from "../config/strategy_rules.js";
import { CaromError } from "../native/error.js";
import type { LineConfig, Link } from "../native/index.js";
import { isIp6, multicastMac, normalAddress } from "../wire/address.js";
import type { Destination } from "./config.js";
import type { Feed } from "./feed.js";
import { FCS_SIZE, type FrameShape, frameSize, holdNs, isPlain, packingOf, ticksThatFit } from "./frames.js";

interface LineValues {
  readonly dutLines: "a" | "b" | "both";
  readonly targetPort: number;
  readonly vlan?: number | undefined;
  readonly dscp: number;
}

interface ShapeValues extends LineValues {
  readonly backend: string;
  readonly strategy: StrategyName;
  readonly match: string;
  readonly flows: number;
  readonly size?: number | undefined;
}

/** @param destination where a feed of one line goes, and what a line has that names no group */
export function lineConfigs(values: LineValues, { shape }: Feed, destination: Destination): LineConfig[] {
  return shape.lines.map(({ name, group, port, skewNs, impairment }) => ({
    name,
    destinationMac: group === undefined ? destination.mac : (multicastMac(group) ?? ""),
    destinationAddress: group ?? destination.address,
    destinationPort: port ?? values.targetPort,
    vlan: values.vlan ?? -1,
    dscp: values.dscp,
    skewNs,
    impairment,
    judged: name === "" || values.dutLines === "both" || values.dutLines === name.toLowerCase(),
  }));
}

const MEMORY_MAX = 2 ** 28; // bytes that may be held back
const TICK_SIZE = 32; // of one held back, in memory
const MARGIN = 4; // for bursts, and rounding up

/** @throws CaromError (usage) */
export function refuseShapes(link: Link, values: ShapeValues, feed: Feed, destination: Destination): void {
  const { shape } = feed;
  const isIp6Feed = isIp6(destination.address);
  const refuse = (operation: string, detail: string, hint: string): never => {
    throw new CaromError("usage", operation, detail, hint);
  };
  refuseSizes(link, values, shape, isIp6Feed);
  if (shape.lines.length === 1 && values.dutLines !== "a") {
    refuse(
      `--dut-lines ${values.dutLines}`,
      "the feed has one line",
      "leave it out, or take a profile with lines",
    );
  }
  if (isPlain(shape)) return;
  const fits = ticksThatFit(link.mtu, isIp6Feed);
  if (shape.packing?.most !== undefined && shape.packing.most > fits) {
    const detail = `${shape.packing.most} ticks do not fit into an MTU of ${link.mtu}, ${fits} do`;
    refuse("packing", detail, `write most: ${fits}, or less, or leave it out`);
  }
  if (values.match !== "clordid") {
    refuse(
      `--match ${values.match}`,
      "ticks that are packed, lost, copied or put out of order are told by their clOrdId alone",
      "use --match clordid",
    );
  }
  if (shape.packing !== undefined && values.flows > 1) {
    refuse(
      "--flows",
      "a datagram holds ticks of several symbols, and comes from one port",
      "leave out packing",
    );
  }
  refuseLines(values, feed, destination, refuse);
  const { most } = packingOf(shape, link.mtu, isIp6Feed);
  const held = (MARGIN * feed.peak_pps * holdNs(shape, feed.rate_pps)) / 1e9;
  if (held * most * TICK_SIZE > MEMORY_MAX) {
    const detail = `up to ${Math.ceil(held).toLocaleString("en-US")} ticks are held back at a time`;
    refuse("delay, skew and packing", detail, "make them shorter, or the rate lower");
  }
}

function refuseLines(
  values: ShapeValues,
  feed: Feed,
  destination: Destination,
  refuse: (operation: string, detail: string, hint: string) => never,
): void {
  const { lines } = feed.shape;
  const isIp6Feed = isIp6(destination.address);
  const configs = lineConfigs(values, feed, destination);
  const places = configs.map((line) => `${normalAddress(line.destinationAddress)} ${line.destinationPort}`);
  if (new Set(places).size < places.length) {
    refuse("lines", "both go to the same group and port", "give one of them a group of its own");
  }
  const strange = lines.find(({ group }) => group !== undefined && isIp6(group) !== isIp6Feed);
  if (strange !== undefined) {
    const [own, other] = isIp6Feed ? ["IPv4", "IPv6"] : ["IPv6", "IPv4"];
    refuse(
      "lines",
      `group ${strange.group} is ${own}, the feed goes to ${other}`,
      "add --multicast-group of its family",
    );
  }
  const copied = configs.some((line) => line.judged && (line.impairment?.duplicate ?? 0) > 0);
  if (copied && keepsState(values.strategy) && values.dutLines !== "both") {
    const detail = `${values.strategy} remembers each tick, and would take a copy for another one`;
    refuse("duplicate", detail, "leave it out, or use a strategy without memory");
  }
  if (values.backend === "udp" && lines.some(({ impairment }) => (impairment?.corrupt ?? 0) > 0)) {
    refuse(
      "corrupt",
      "with udp the kernel makes the checksum, so it would be right",
      "use --backend af_packet",
    );
  }
}

function refuseSizes(link: Link, values: ShapeValues, { sizes }: FrameShape, isIp6Feed: boolean): void {
  if (sizes.length === 0) return;
  const what = values.size === undefined ? "sizes" : "--size";
  if (values.backend === "udp") {
    const hint = "use --backend af_packet or af_xdp";
    throw new CaromError(
      "usage",
      what,
      "with udp the kernel makes the frames, as long as the ticks need",
      hint,
    );
  }
  const isTagged = values.vlan !== undefined;
  const least = frameSize(1, isIp6Feed, isTagged) + FCS_SIZE;
  const small = sizes.find((size) => size < least);
  if (small !== undefined) {
    const kind = `${isIp6Feed ? "IPv6" : "IPv4"}${isTagged ? " and a VLAN tag" : ""}`;
    const detail = `a tick of 24 bytes with Ethernet, ${kind}, UDP and the FCS has ${least} bytes`;
    throw new CaromError("usage", `${what} ${small}`, detail, `the smallest is ${least}`);
  }
  const most = frameSize(0, isIp6Feed, isTagged) - (isIp6Feed ? 48 : 28) + link.mtu + FCS_SIZE;
  const large = sizes.find((size) => size > most);
  if (large !== undefined) {
    const detail = `an MTU of ${link.mtu} makes frames of up to ${most} bytes`;
    throw new CaromError("usage", `${what} ${large}`, detail, `the largest is ${most}`);
  }
}
