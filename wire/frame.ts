/**
 * Ethernet, VLAN, IPv4, IPv6 and UDP: frames to bytes. Their decoder is decode.ts.
 *
 * Every header field can be given, right or wrong, so that malformed frames can be made; what is left out
 * gets the value that makes the frame right.
 * It serves the scripted test, where plain code matters more than speed.
 */

import { isIp6, parseIp, parseIp4, parseIp6, parseMac } from "./address.js";

export const ETHERNET_SIZE = 14; // IEEE 802.3 §3.1.1, without the FCS, which the interface handles
export const VLAN_SIZE = 4; // IEEE 802.1Q §9.4
export const IP4_SIZE = 20; // RFC 791 §3.1, without options
export const IP6_SIZE = 40; // RFC 8200 §3
export const UDP_SIZE = 8; // RFC 768

export const ETHERTYPE = {
  ip4: 0x0800,
  ip6: 0x86dd,
  vlan: 0x8100,
  serviceVlan: 0x88a8,
  oldVlan: 0x9100,
} as const;
export const PROTOCOL_UDP = 17;

export const FRAGMENT_SIZE = 8; // RFC 8200 §4.5
export const NEXT_FRAGMENT = 44;

/** What a checksum field holds: the right value, one that is surely wrong, 0 ("none" in UDP), or this number. */
export type Checksum = "right" | "bad" | "zero" | number;

export interface EthernetFields {
  readonly destination: string; // "02:00:00:00:00:01"
  readonly source: string;
  readonly type?: number | undefined; // of what follows the tags; default: of the IP version
}

export interface VlanTag {
  readonly id: number; // 0 to 4095
  readonly priority?: number | undefined; // 0 to 7
  readonly dropEligible?: boolean | undefined;
  readonly type?: number | undefined; // default 0x8100
}

/** The IP header. The family of the addresses decides its shape, whatever the version field says. */
export interface IpFields {
  readonly source: string;
  readonly destination: string;
  readonly version?: number | undefined; // 4 bits
  readonly headerLength?: number | undefined; // IPv4: in 4-byte words, 4 bits
  readonly trafficClass?: number | undefined; // IPv4: DSCP and ECN
  readonly flowLabel?: number | undefined; // IPv6: 20 bits
  readonly totalLength?: number | undefined; // IPv4: bytes of header and payload
  readonly payloadLength?: number | undefined; // IPv6: bytes behind the header
  readonly identification?: number | undefined;
  readonly dontFragment?: boolean | undefined; // IPv4
  readonly moreFragments?: boolean | undefined;
  readonly fragmentOffset?: number | undefined; // in units of 8 bytes, 13 bits
  readonly ttl?: number | undefined; // IPv6: hop limit
  readonly protocol?: number | undefined; // IPv6: the next header of the last header
  readonly checksum?: Checksum | undefined; // IPv4
  readonly options?: Uint8Array | undefined; // IPv4: up to 40 bytes, padded with zeros to whole words
}

export interface UdpFields {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly length?: number | undefined; // bytes of header and payload
  readonly checksum?: Checksum | undefined;
}

export interface FrameFields {
  readonly ethernet: EthernetFields;
  readonly vlans?: readonly VlanTag[] | undefined; // the outermost first
  readonly ip?: IpFields | undefined; // without it the payload follows the Ethernet header
  readonly udp?: UdpFields | undefined; // without it the payload follows the IP header
  readonly payload: Uint8Array;
  readonly pad?: number | undefined; // zeros behind the packet, as Ethernet pads short frames
  readonly truncate?: number | undefined; // bytes that are left of the frame
}

/**
 * The bytes of a frame, without the frame check sequence.
 * @throws RangeError for an address that is none, mixed address families or options over 40 bytes
 */
export function buildFrame(fields: FrameFields): Buffer {
  const packet = fields.ip === undefined ? Buffer.from(fields.payload) : ipPacket(fields.ip, fields);
  const type =
    fields.ethernet.type ??
    (fields.ip !== undefined && isIp6(fields.ip.source) ? ETHERTYPE.ip6 : ETHERTYPE.ip4);
  const vlans = fields.vlans ?? [];
  const header = Buffer.alloc(ETHERNET_SIZE + VLAN_SIZE * vlans.length);
  parseMac(fields.ethernet.destination).copy(header, 0);
  parseMac(fields.ethernet.source).copy(header, 6);
  let at = 12;
  for (const tag of vlans) {
    header.writeUInt16BE((tag.type ?? ETHERTYPE.vlan) & 0xffff, at);
    const control =
      ((tag.priority ?? 0) & 7) * 0x2000 + (tag.dropEligible === true ? 0x1000 : 0) + (tag.id & 0xfff);
    header.writeUInt16BE(control, at + 2);
    at += VLAN_SIZE;
  }
  header.writeUInt16BE(type & 0xffff, at);
  const frame = Buffer.concat([header, packet, Buffer.alloc(fields.pad ?? 0)]);
  return fields.truncate === undefined ? frame : frame.subarray(0, fields.truncate);
}

function ipPacket(ip: IpFields, fields: FrameFields): Buffer {
  if (isIp6(ip.source) !== isIp6(ip.destination)) {
    throw new RangeError(`${ip.source} and ${ip.destination} are not of one IP version`);
  }
  const payload =
    fields.udp === undefined ? Buffer.from(fields.payload) : udpDatagram(ip, fields.udp, fields.payload);
  return Buffer.concat([
    isIp6(ip.source) ? ip6Header(ip, payload.length) : ip4Header(ip, payload.length),
    payload,
  ]);
}

/** RFC 791 §3.1. */
function ip4Header(ip: IpFields, payloadSize: number): Buffer {
  const options = ip.options ?? Buffer.alloc(0);
  if (options.length > 40) throw new RangeError(`${options.length} bytes of IPv4 options, at most 40 fit`);
  const size = IP4_SIZE + Math.ceil(options.length / 4) * 4;
  const header = Buffer.alloc(size);
  header[0] = ((ip.version ?? 4) & 15) * 16 + ((ip.headerLength ?? size / 4) & 15);
  header[1] = ip.trafficClass ?? 0;
  header.writeUInt16BE((ip.totalLength ?? size + payloadSize) & 0xffff, 2);
  header.writeUInt16BE((ip.identification ?? 0) & 0xffff, 4);
  const flags = (ip.dontFragment === true ? 0x4000 : 0) + (ip.moreFragments === true ? 0x2000 : 0);
  header.writeUInt16BE(flags + ((ip.fragmentOffset ?? 0) & 0x1fff), 6);
  header[8] = ip.ttl ?? 64;
  header[9] = ip.protocol ?? PROTOCOL_UDP;
  parseIp4(ip.source).copy(header, 12);
  parseIp4(ip.destination).copy(header, 16);
  header.set(options, IP4_SIZE);
  header.writeUInt16BE(chosenChecksum(ip.checksum, checksumOf(header)), 10);
  return header;
}

/** RFC 8200 §3, and §4.5 for the fragment header that fragment fields bring with them. */
function ip6Header(ip: IpFields, payloadSize: number): Buffer {
  const fragmented =
    ip.moreFragments !== undefined || ip.fragmentOffset !== undefined || ip.identification !== undefined;
  const header = Buffer.alloc(IP6_SIZE + (fragmented ? FRAGMENT_SIZE : 0));
  const first = ((ip.version ?? 6) & 15) * 0x10000000 + ((ip.trafficClass ?? 0) & 255) * 0x100000;
  header.writeUInt32BE(first + ((ip.flowLabel ?? 0) & 0xfffff), 0);
  header.writeUInt16BE((ip.payloadLength ?? header.length - IP6_SIZE + payloadSize) & 0xffff, 4);
  header[6] = fragmented ? NEXT_FRAGMENT : (ip.protocol ?? PROTOCOL_UDP);
  header[7] = ip.ttl ?? 64;
  parseIp6(ip.source).copy(header, 8);
  parseIp6(ip.destination).copy(header, 24);
  if (fragmented) {
    header[40] = ip.protocol ?? PROTOCOL_UDP;
    header.writeUInt16BE(((ip.fragmentOffset ?? 0) & 0x1fff) * 8 + (ip.moreFragments === true ? 1 : 0), 42);
    header.writeUInt32BE((ip.identification ?? 0) >>> 0, 44);
  }
  return header;
}

/** RFC 768. The checksum covers what the length field claims, so that a wrong length is the only fault. */
function udpDatagram(ip: IpFields, udp: UdpFields, payload: Uint8Array): Buffer {
  const datagram = Buffer.alloc(UDP_SIZE + payload.length);
  const length = (udp.length ?? datagram.length) & 0xffff;
  datagram.writeUInt16BE(udp.sourcePort, 0);
  datagram.writeUInt16BE(udp.destinationPort, 2);
  datagram.writeUInt16BE(length, 4);
  datagram.set(payload, UDP_SIZE);
  const covered = datagram.subarray(0, Math.max(length, UDP_SIZE));
  const addresses = Buffer.concat([parseIp(ip.source), parseIp(ip.destination)]);
  const right = udpChecksum(addresses, covered, length);
  datagram.writeUInt16BE(chosenChecksum(udp.checksum, right), 6);
  return datagram;
}

function chosenChecksum(wanted: Checksum | undefined, right: number): number {
  if (wanted === undefined || wanted === "right") return right;
  if (wanted === "zero") return 0;
  if (typeof wanted === "number") return wanted & 0xffff;
  // One bit off is wrong in ones' complement too; but 0 would say "no checksum" in UDP.
  return right === 0x0100 ? 0x0300 : right ^ 0x0100;
}

/** The Internet checksum (RFC 1071 §1) of the parts; all but the last must be of even length. */
export function checksumOf(...parts: readonly Uint8Array[]): number {
  return ~onesSum(parts) & 0xffff;
}

export function onesSum(parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) {
    for (let i = 0; i + 1 < part.length; i += 2) sum += part[i]! * 256 + part[i + 1]!;
    if (part.length % 2 === 1) sum += part[part.length - 1]! * 256;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}

/** RFC 768 and RFC 8200 §8.1: over the pseudo-header, header and payload; a result of 0 is sent as 0xffff. */
export function udpChecksum(addresses: Buffer, datagram: Uint8Array, length: number): number {
  const [ports, rest] = [datagram.subarray(0, 6), datagram.subarray(UDP_SIZE)];
  return checksumOf(pseudoHeader(addresses, length), ports, rest) || 0xffff;
}

/** Source and destination, then length and protocol: where the zeros between them are does not change the sum. */
export function pseudoHeader(addresses: Buffer, length: number): Buffer {
  const header = Buffer.alloc(addresses.length + 8);
  addresses.copy(header);
  header.writeUInt32BE(length, addresses.length);
  header[addresses.length + 7] = PROTOCOL_UDP;
  return header;
}
