/** A frame of a capture as a line for people, and as JSON: what it is, decoded as far as it can be. */

import type { ListedFrame } from "../native/index.js";
import { printable } from "../run/text.js";
import { hex16 } from "../wire/address.js";
import { decodeOrder, decodeTick } from "../wire/codec.js";
import { type DecodedFrame, decodeFrame } from "../wire/decode.js";
import { PROTOCOL_UDP } from "../wire/frame.js";
import { marketData, tradingOrder } from "../wire/schema.js";

export interface Ports {
  readonly tickPort: number;
  readonly orderPort: number;
}

export type End = "source" | "destination";

const NS_PER_S = 1_000_000_000n;
const NOTHING = new Uint8Array();

export function frameLine(listed: ListedFrame, ports: Ports): string {
  const decoded = decode(listed);
  const [source, destination] = [frameEndpoint(decoded, "source"), frameEndpoint(decoded, "destination")];
  const cells = [
    String(listed.number).padStart(8),
    offsetText(listed.after_ns).padStart(14),
    `${source.padEnd(21)} → ${destination.padEnd(21)}`,
    String(listed.length).padStart(5),
    contentText(decoded, listed, ports),
  ];
  return cells.join("  ").trimEnd();
}

/** What can't be made Ethernet is not read as if it were. */
function decode({ isEthernet, frame }: ListedFrame): DecodedFrame {
  return decodeFrame(isEthernet ? frame : NOTHING);
}

/** One line of JSON. */
export function frameJson(listed: ListedFrame, ports: Ports): string {
  const decoded = decode(listed);
  const { ethernet, vlans, ip, udp } = decoded;
  const [ticks, orders] = [ticksOf(decoded, ports), ordersOf(decoded, ports)];
  const object = {
    number: listed.number,
    time_ns: String(listed.time_ns),
    length: listed.length,
    captured: listed.isWhole ? listed.length : listed.frame.length,
    link_type: listed.linkType,
    ethernet: ethernet ?? null,
    vlans,
    source: ip?.source ?? null,
    destination: ip?.destination ?? null,
    ttl: ip?.ttl ?? null,
    protocol: ip?.protocol ?? null,
    source_port: udp?.sourcePort ?? null,
    destination_port: udp?.destinationPort ?? null,
    ticks: ticks.map((tick) => ({ ...tick, timestamp: String(tick.timestamp) })),
    orders: orders.map((order) => ({ ...order, timestamp: String(order.timestamp) })),
    problems: problemsOf(decoded, listed),
  };
  // JSON itself escapes only the lower control characters.
  return JSON.stringify(object).replace(
    /[^\x20-\x7e]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/** Seconds with nine digits; a clock that went back has a sign. */
function offsetText(after_ns: bigint): string {
  const size = after_ns < 0n ? -after_ns : after_ns;
  return `${after_ns < 0n ? "-" : ""}${size / NS_PER_S}.${String(size % NS_PER_S).padStart(9, "0")}`;
}

function contentText(decoded: DecodedFrame, listed: ListedFrame, ports: Ports): string {
  const tags = decoded.vlans.map(({ id }) => `VLAN ${id}`);
  const [ticks, orders] = [ticksOf(decoded, ports), ordersOf(decoded, ports)];
  const [tick] = ticks;
  const [order] = orders;
  const told: string[] = [];
  if (tick !== undefined) {
    const many = ticks.length === 1 ? "tick" : `${ticks.length} ticks, the first`;
    told.push(`${many} ${printable(tick.symbol)} ${tick.price}¢ × ${tick.quantity} @ ${tick.timestamp}`);
  } else if (order !== undefined) {
    const many = orders.length === 1 ? "" : `${orders.length} orders, the first `;
    const side = order.side === 0 ? "buy" : order.side === 1 ? "sell" : `side ${order.side}`;
    const what = `${printable(order.symbol)} ${order.price}¢ × ${order.quantity}`;
    told.push(`${many}${side} ${what}, clOrdId ${printable(order.clOrdId)}`);
  } else {
    told.push(kindText(decoded));
  }
  const rest =
    (tick ?? order) === undefined
      ? 0
      : decoded.payload.length % (tick === undefined ? tradingOrder.size : marketData.size);
  if (rest > 0) told.push(`${rest} bytes behind it`);
  if (decoded.ip !== undefined && decoded.ip.options.length > 0) told.push("IP options");
  // What a problem is told with are numbers: nothing of the frame itself.
  const problems = problemsOf(decoded, listed).map(({ field, detail }) => `${field} ${detail}`);
  return [...tags, ...told.filter((text) => text !== ""), ...problems].join("; ");
}

function kindText({ ethernet, ip, udp, payload }: DecodedFrame): string {
  if (ethernet === undefined) return "";
  if (ip === undefined) return `EtherType ${hex16(ethernet.type)}, ${payload.length} bytes`;
  const isFragment = ip.moreFragments || ip.fragmentOffset > 0;
  const names: Readonly<Record<number, string>> = { 1: "ICMP", 2: "IGMP", 6: "TCP", 17: "UDP", 58: "ICMPv6" };
  const name = names[ip.protocol] ?? `protocol ${ip.protocol}`;
  const part = isFragment ? `, a fragment at ${8 * ip.fragmentOffset}` : "";
  const isNone = udp === undefined && ip.protocol === PROTOCOL_UDP && !isFragment;
  return `${name}${part}, ${payload.length} bytes${isNone ? " that are no datagram" : ""}`;
}

/** What is wrong; of a frame that is not all there, only that. */
function problemsOf({ problems }: DecodedFrame, listed: ListedFrame) {
  const { isWhole, isEthernet, linkType, frame, length } = listed;
  if (!isEthernet) return [{ field: "frame", detail: `of ${linkType} can't be made Ethernet` }];
  if (isWhole) return problems;
  return [{ field: "frame", detail: `cut short: ${frame.length} of ${length} bytes are in the file` }];
}

/** Whole ones, of a datagram to the port of ticks. */
function ticksOf({ udp, payload }: DecodedFrame, { tickPort }: Ports) {
  if (udp?.destinationPort !== tickPort) return [];
  return offsets(payload, marketData.size).map((at) => decodeTick(payload, at));
}

function ordersOf({ udp, payload }: DecodedFrame, { orderPort }: Ports) {
  if (udp?.destinationPort !== orderPort) return [];
  return offsets(payload, tradingOrder.size).map((at) => decodeOrder(payload, at));
}

function offsets(payload: Uint8Array, size: number): number[] {
  return Array.from({ length: Math.floor(payload.length / size) }, (_, index) => index * size);
}

/** Where a frame comes from, or goes to. */
export function endJson(frame: DecodedFrame, end: End) {
  const port = end === "source" ? frame.udp?.sourcePort : frame.udp?.destinationPort;
  return { mac: frame.ethernet?.[end] ?? null, address: frame.ip?.[end] ?? null, port: port ?? null };
}

/** "198.18.0.1:9999", "[2001:2::1]:9999"; of a frame that is neither, the MAC address. */
export function frameEndpoint(frame: DecodedFrame, end: End): string {
  const { mac, address, port } = endJson(frame, end);
  if (address === null) return mac ?? "?";
  if (port === null) return address;
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}
