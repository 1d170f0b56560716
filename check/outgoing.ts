/** From what a script says to the bytes that go out, and the way on which they can get out unchanged. */

import type { Link } from "../native/index.js";
import { isIp6, multicastMac, normalAddress } from "../wire/address.js";
import { clOrdIdOf } from "../wire/codec.js";
import { type DecodedFrame, decodeFrame } from "../wire/decode.js";
import { buildFrame, checksumOf, ETHERTYPE, IP4_SIZE } from "../wire/frame.js";
import { type SendItem, type TickSpec, tickBytes } from "./script.js";

const SOURCE_PORT = 30_001; // of ticks, unless the script says otherwise

/** Who is where on the link. Unknown or missing addresses are "". */
export interface Wiring {
  readonly generator: Link;
  readonly device: { readonly mac: string; readonly address4: string; readonly address6: string };
  readonly group: string;
  readonly toGroup: boolean; // whether ticks go to the group unless the script says otherwise
  readonly targetPort: number;
  readonly responsePort: number;
  readonly vlan: number; // -1: untagged
  readonly kernelResolves: boolean; // whether the kernel finds the device's MAC address by itself
}

export type Way = "raw-socket" | "frame-socket";

/** A tick with the timestamp that it is sent with. */
export interface SentTick {
  readonly spec: TickSpec;
  readonly timestamp: bigint;
  readonly clOrdId: string;
  readonly outgoing: Outgoing;
}

export interface Outgoing {
  readonly item: SendItem;
  readonly frame: Buffer;
  readonly decoded: DecodedFrame;
  readonly way: Way;
  readonly ticks: readonly SentTick[];
}

/** Why a case can't be run here: not a fault of the device. */
export class Unavailable extends Error {}

/** Gives each tick another timestamp: the time it was made at, in ns since the epoch, as far as it is free. */
export class TickClock {
  /** @param last_ns the last one that was given before */
  constructor(public last_ns = 0n) {}

  next(): bigint {
    const now_ns = BigInt(Date.now()) * 1_000_000n;
    this.last_ns = now_ns > this.last_ns ? now_ns : this.last_ns + 1n;
    return this.last_ns;
  }
}

/**
 * One datagram as a frame, with fresh timestamps.
 * @throws Unavailable when the link lacks an address that it needs
 */
export function buildOutgoing(item: SendItem, wiring: Wiring, clock: TickClock): Outgoing {
  const stamps = item.ticks.map((tick) => tick.timestamp ?? clock.next());
  const payload = Buffer.concat([
    ...item.ticks.map((tick, index) => tickBytes(tick, stamps[index]!)),
    item.trailer,
  ]);
  const frame = item.frame ?? datagram(item, payload, wiring);
  const decoded = decodeFrame(frame);
  const outgoing = { item, frame, decoded, way: wayOf(frame, decoded, wiring), ticks: [] as SentTick[] };
  for (const [index, spec] of item.ticks.entries()) {
    const timestamp = stamps[index]!;
    outgoing.ticks.push({ spec, timestamp, clOrdId: clOrdIdOf(timestamp), outgoing });
  }
  return outgoing;
}

function datagram(item: SendItem, payload: Buffer, wiring: Wiring): Buffer {
  const { version: _version, versionField, ...ip } = item.ip;
  const { source, destination } = addresses(item, wiring);
  const destinationMac = item.ethernet.destination ?? macFor(destination);
  return buildFrame({
    ethernet: {
      type: item.ethernet.type,
      destination: macOf(destinationMac, wiring),
      source: macOf(item.ethernet.source ?? "generator", wiring),
    },
    vlans: item.vlans ?? (wiring.vlan < 0 ? [] : [{ id: wiring.vlan }]),
    // An identification of 0 would have the kernel choose one.
    ip: {
      ...ip,
      version: versionField,
      source,
      destination,
      identification: ip.identification ?? identification(source),
    },
    udp: item.udp && {
      ...item.udp,
      sourcePort: item.udp.sourcePort ?? SOURCE_PORT,
      destinationPort: item.udp.destinationPort ?? wiring.targetPort,
    },
    payload,
    pad: item.pad,
    truncate: item.truncate,
  });
}

/** In IPv6 it would bring a fragment header with it. */
function identification(source: string): number | undefined {
  return isIp6(source) ? undefined : 1;
}

function addresses(item: SendItem, wiring: Wiring): { source: string; destination: string } {
  const given = item.ip.destination ?? item.to;
  const usual = wiring.toGroup ? "group" : "device";
  const version = item.ip.version ?? versionOf(given ?? usual, wiring);
  // What goes to the group only by default goes to the device itself in the other IP version.
  const name = given ?? (versionOf(usual, wiring) === version ? usual : "device");
  return {
    source: addressOf(item.ip.source ?? "generator", version, wiring),
    destination: addressOf(name, version, wiring),
  };
}

function versionOf(name: string, { device, group }: Wiring): 4 | 6 {
  if (name === "device" || name === "generator")
    return device.address4 === "" && device.address6 !== "" ? 6 : 4;
  return isIp6(name === "group" ? group : name) ? 6 : 4;
}

/** The address behind a name. @throws Unavailable */
export function addressOf(name: string, version: 4 | 6, { generator, device, group }: Wiring): string {
  if (name === "group") {
    if (group === "") throw new Unavailable("the device has no multicast group");
    if (isIp6(group) !== (version === 6))
      throw new Unavailable(`the group ${group} is no IPv${version} address`);
    return group;
  }
  if (name !== "generator" && name !== "device") return name;
  const party = name === "generator" ? generator : device;
  const address = version === 6 ? party.address6 : party.address4;
  if (address !== "") return address;
  throw new Unavailable(`the ${name} has no IPv${version} address here`);
}

function macFor(destination: string): string {
  return multicastMac(destination) ?? (destination === "255.255.255.255" ? "broadcast" : "device");
}

function macOf(name: string, { generator, device }: Wiring): string {
  if (name === "broadcast") return "ff:ff:ff:ff:ff:ff";
  if (name === "generator") return generator.mac;
  if (name !== "device") return name;
  if (device.mac === "") throw new Unavailable("the device's MAC address is not known; pass --target-mac");
  return device.mac;
}

/**
 * A raw IPv4 socket takes the packet with its header, but Linux has its own mind about some of it (raw(7)): it fills in
 * total length, checksum, and a source or identification of 0, and chooses the Ethernet header. What would come out
 * unchanged goes through it; everything else is written as a frame.
 */
function wayOf(frame: Buffer, decoded: DecodedFrame, wiring: Wiring): Way {
  const { ethernet, ip } = decoded;
  if (ethernet?.type !== ETHERTYPE.ip4 || decoded.vlans.length > 0 || ip === undefined) return "frame-socket";
  const packet = frame.subarray(14);
  const mac =
    multicastMac(ip.destination) ?? (isDevice(ip.destination, wiring) ? wiring.device.mac : undefined);
  const ownHeader = ethernet.destination === mac && ethernet.source === wiring.generator.mac;
  if (!ownHeader || packet.length > wiring.generator.mtu || !leftAlone(packet)) return "frame-socket";
  // Linux sends no multicast of TTL 0 (ip_mc_output).
  if (ip.ttl === 0 && multicastMac(ip.destination) !== undefined) return "frame-socket";
  return "raw-socket";
}

function isDevice(destination: string, { device, kernelResolves }: Wiring): boolean {
  return (
    kernelResolves && device.address4 !== "" && normalAddress(destination) === normalAddress(device.address4)
  );
}

/** Whether raw_send_hdrinc (net/ipv4/raw.c) would change nothing. */
function leftAlone(packet: Buffer): boolean {
  const headerSize = (packet[0]! & 15) * 4;
  if (packet[0]! >> 4 !== 4 || headerSize < IP4_SIZE || headerSize > packet.length) return false;
  const hasSource = packet.readUInt32BE(12) !== 0;
  const hasIdentification = packet.readUInt16BE(4) !== 0;
  return (
    hasSource &&
    hasIdentification &&
    packet.readUInt16BE(2) === packet.length &&
    checksumOf(packet.subarray(0, headerSize)) === 0
  );
}
