/** The bytes of a frame to what they say, and to what is wrong with them: takes any bytes and never throws. */

import { formatIp4, formatIp6, formatMac, hex16 } from "./address.js";
import {
  checksumOf,
  ETHERNET_SIZE,
  ETHERTYPE,
  FRAGMENT_SIZE,
  IP4_SIZE,
  IP6_SIZE,
  NEXT_FRAGMENT,
  onesSum,
  PROTOCOL_UDP,
  pseudoHeader,
  UDP_SIZE,
  udpChecksum,
  VLAN_SIZE,
  type VlanTag,
} from "./frame.js";

const EXTENSIONS_MAX = 8;
const TAGS_MAX = 4; // more than anybody stacks; bounds the decoder's walk
const TAGS: readonly number[] = [ETHERTYPE.vlan, ETHERTYPE.serviceVlan, ETHERTYPE.oldVlan];
const NEXT_ROUTING = 43;
const NEXT_OPTIONS = [0, 43, 60]; // RFC 8200 §4.3, §4.4, §4.6: hop-by-hop, routing, destination options
export interface DecodedIp {
  readonly version: 4 | 6;
  readonly headerSize: number; // bytes, extension headers included
  readonly totalLength: number; // bytes, as the header says, the header included
  readonly trafficClass: number;
  readonly flowLabel: number;
  readonly identification: number;
  readonly dontFragment: boolean;
  readonly moreFragments: boolean;
  readonly fragmentOffset: number; // in units of 8 bytes
  readonly ttl: number;
  readonly protocol: number; // of what follows the last header
  readonly checksum: number; // 0 with IPv6, which has none
  readonly source: string;
  readonly destination: string;
  readonly options: Buffer; // IPv4 options, or IPv6 extension headers
}

export interface DecodedUdp {
  readonly sourcePort: number;
  readonly destinationPort: number;
  readonly length: number;
  readonly checksum: number;
}

/** What is wrong with a frame: the field, as "udp.checksum", and why. */
export interface Problem {
  readonly field: string;
  readonly detail: string;
}

export interface DecodedFrame {
  readonly size: number; // bytes
  readonly ethernet:
    | { readonly destination: string; readonly source: string; readonly type: number }
    | undefined;
  readonly vlans: readonly Required<VlanTag>[];
  readonly ip: DecodedIp | undefined;
  readonly udp: DecodedUdp | undefined;
  readonly payload: Buffer; // what follows the last header that could be read
  readonly padding: number; // bytes behind the IP packet
  readonly problems: readonly Problem[];
}

/** Reads a frame as far as it can be read. Never throws: what can't be read is left out and named in `problems`. */
export function decodeFrame(bytes: Uint8Array): DecodedFrame {
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  const problems: Problem[] = [];
  const nothing = { size: frame.length, vlans: [], ip: undefined, udp: undefined, padding: 0, problems };
  if (frame.length < ETHERNET_SIZE) {
    problems.push({
      field: "ethernet",
      detail: `${frame.length} bytes, an Ethernet header has ${ETHERNET_SIZE}`,
    });
    return { ...nothing, ethernet: undefined, payload: frame };
  }
  const { vlans, type, end } = readTags(frame, problems);
  const ethernet = { destination: formatMac(frame, 0), source: formatMac(frame, 6), type };
  const packet = frame.subarray(end);
  const ip =
    type === ETHERTYPE.ip4
      ? readIp4(packet, problems)
      : type === ETHERTYPE.ip6
        ? readIp6(packet, problems)
        : undefined;
  if (ip === undefined) return { ...nothing, ethernet, vlans, payload: packet };
  const size = Math.max(ip.headerSize, Math.min(ip.totalLength, packet.length));
  const payload = packet.subarray(ip.headerSize, size);
  const rest = { size: frame.length, ethernet, vlans, ip, padding: packet.length - size, problems };
  if (ip.protocol !== PROTOCOL_UDP || ip.fragmentOffset !== 0) return { ...rest, udp: undefined, payload };
  const addresses = ip.version === 4 ? packet.subarray(12, 20) : finalAddresses(packet, ip.headerSize);
  const udp = readUdp(payload, ip, addresses, problems);
  if (udp === undefined) return { ...rest, udp, payload };
  return { ...rest, udp, payload: payload.subarray(UDP_SIZE, Math.max(UDP_SIZE, udp.length)) };
}

function readTags(frame: Buffer, problems: Problem[]) {
  const vlans: Required<VlanTag>[] = [];
  let at = 12;
  let type = frame.readUInt16BE(at);
  while (TAGS.includes(type) && vlans.length < TAGS_MAX) {
    if (frame.length < at + 6) {
      problems.push({ field: "vlan", detail: "the frame ends inside the VLAN tag" });
      break;
    }
    const control = frame.readUInt16BE(at + 2);
    vlans.push({
      type,
      priority: control >> 13,
      dropEligible: (control & 0x1000) !== 0,
      id: control & 0xfff,
    });
    at += VLAN_SIZE;
    type = frame.readUInt16BE(at);
  }
  return { vlans, type, end: at + 2 };
}

function readIp4(packet: Buffer, problems: Problem[]): DecodedIp | undefined {
  if (packet.length < IP4_SIZE) {
    problems.push({ field: "ip", detail: `${packet.length} bytes, an IPv4 header has ${IP4_SIZE}` });
    return undefined;
  }
  const version = packet[0]! >> 4;
  const headerSize = (packet[0]! & 15) * 4;
  if (version !== 4) problems.push({ field: "ip.version", detail: `${version} in a frame of type IPv4` });
  if (headerSize < IP4_SIZE || headerSize > packet.length) {
    problems.push({
      field: "ip.header_length",
      detail: `${headerSize} bytes, ${IP4_SIZE} to ${packet.length} are possible`,
    });
    return undefined;
  }
  const header = packet.subarray(0, headerSize);
  const totalLength = header.readUInt16BE(2);
  checkLength("ip.total_length", totalLength, headerSize, packet.length, problems);
  // A right header sums up to all ones with its checksum in place (RFC 1071 §1).
  if (checksumOf(header) !== 0) {
    const detail = `${hex16(header.readUInt16BE(10))}, right is ${hex16(checksumOf(header.subarray(0, 10), header.subarray(12)))}`;
    problems.push({ field: "ip.checksum", detail });
  }
  const fragment = header.readUInt16BE(6);
  return {
    version: 4,
    headerSize,
    totalLength,
    trafficClass: header[1]!,
    flowLabel: 0,
    identification: header.readUInt16BE(4),
    dontFragment: (fragment & 0x4000) !== 0,
    moreFragments: (fragment & 0x2000) !== 0,
    fragmentOffset: fragment & 0x1fff,
    ttl: header[8]!,
    protocol: header[9]!,
    checksum: header.readUInt16BE(10),
    source: formatIp4(header, 12),
    destination: formatIp4(header, 16),
    options: header.subarray(IP4_SIZE),
  };
}

function readIp6(packet: Buffer, problems: Problem[]): DecodedIp | undefined {
  if (packet.length < IP6_SIZE) {
    problems.push({ field: "ip", detail: `${packet.length} bytes, an IPv6 header has ${IP6_SIZE}` });
    return undefined;
  }
  const first = packet.readUInt32BE(0);
  if (first >>> 28 !== 6)
    problems.push({ field: "ip.version", detail: `${first >>> 28} in a frame of type IPv6` });
  const payloadLength = packet.readUInt16BE(4);
  checkLength("ip.payload_length", payloadLength, 0, packet.length - IP6_SIZE, problems);
  const extensions = readExtensions(packet.subarray(0, IP6_SIZE + payloadLength), problems);
  return {
    version: 6,
    totalLength: IP6_SIZE + payloadLength,
    trafficClass: (first >>> 20) & 255,
    flowLabel: first & 0xfffff,
    dontFragment: false,
    ttl: packet[7]!,
    checksum: 0,
    source: formatIp6(packet, 8),
    destination: formatIp6(packet, 24),
    options: packet.subarray(IP6_SIZE, extensions.headerSize),
    ...extensions,
  };
}

/** RFC 8200 §4: the chain of extension headers up to the payload. */
function readExtensions(packet: Buffer, problems: Problem[]) {
  let protocol = packet[6]!;
  let at = IP6_SIZE;
  let fragment = { identification: 0, moreFragments: false, fragmentOffset: 0 };
  for (let count = 0; count < EXTENSIONS_MAX && fragment.fragmentOffset === 0; count++) {
    if (protocol !== NEXT_FRAGMENT && !NEXT_OPTIONS.includes(protocol)) break;
    const size =
      packet.length < at + 8 ? 0 : protocol === NEXT_FRAGMENT ? FRAGMENT_SIZE : (packet[at + 1]! + 1) * 8;
    if (size === 0 || packet.length < at + size) {
      problems.push({ field: "ip.options", detail: "the packet ends inside an extension header" });
      break;
    }
    if (protocol === NEXT_FRAGMENT) {
      const word = packet.readUInt16BE(at + 2);
      const identification = packet.readUInt32BE(at + 4);
      fragment = { identification, moreFragments: (word & 1) === 1, fragmentOffset: word >> 3 };
    }
    protocol = packet[at]!;
    at += size;
  }
  return { headerSize: at, protocol, ...fragment };
}

/**
 * The addresses that a checksum counts (RFC 8200 §8.1): while a routing header has segments left, the last of them
 * is the destination. Undefined where nobody knows which one that is.
 */
function finalAddresses(packet: Buffer, headerSize: number): Buffer | undefined {
  let next = packet[6]!;
  for (let at = IP6_SIZE; at + 8 <= headerSize; ) {
    const size = next === NEXT_FRAGMENT ? FRAGMENT_SIZE : (packet[at + 1]! + 1) * 8;
    if (next === NEXT_ROUTING && packet[at + 3] !== 0) {
      const type = packet[at + 2]!;
      // Types 0 (RFC 2460 §4.4) and 2 (RFC 6275 §6.4) have the last one last, 4 (RFC 8754 §2) first.
      const place = type === 4 ? at + 8 : type === 0 || type === 2 ? at + 8 + 16 * ((size - 8) / 16 - 1) : 0;
      if (size < 24 || place === 0 || !Number.isInteger(place)) return undefined;
      return Buffer.concat([packet.subarray(8, 24), packet.subarray(place, place + 16)]);
    }
    next = packet[at]!;
    at += size;
  }
  return packet.subarray(8, 40);
}

function readUdp(
  datagram: Buffer,
  ip: DecodedIp,
  addresses: Buffer | undefined,
  problems: Problem[],
): DecodedUdp | undefined {
  if (datagram.length < UDP_SIZE) {
    problems.push({ field: "udp", detail: `${datagram.length} bytes, a UDP header has ${UDP_SIZE}` });
    return undefined;
  }
  const length = datagram.readUInt16BE(4);
  const checksum = datagram.readUInt16BE(6);
  const udp = {
    sourcePort: datagram.readUInt16BE(0),
    destinationPort: datagram.readUInt16BE(2),
    length,
    checksum,
  };
  if (ip.moreFragments) return udp; // Neither length nor checksum can be checked before it is whole.
  checkLength("udp.length", length, UDP_SIZE, datagram.length, problems);
  if (length < UDP_SIZE || length > datagram.length) return udp;
  if (checksum === 0) {
    if (ip.version === 6)
      problems.push({ field: "udp.checksum", detail: "0, which IPv6 does not allow (RFC 8200 §8.1)" });
    return udp;
  }
  if (addresses === undefined) return udp;
  const right = udpChecksum(addresses, datagram.subarray(0, length), length);
  // 0xffff and 0 are the same number in ones' complement, but 0 is spoken for.
  if (checksum === right) return udp;
  const unfinished = checksum === onesSum([pseudoHeader(addresses, length)]);
  const why = unfinished
    ? ": left to an offload that a virtual link does not have (ethtool -K INTERFACE tx off)"
    : "";
  problems.push({ field: "udp.checksum", detail: `${hex16(checksum)}, right is ${hex16(right)}${why}` });
  return udp;
}

function checkLength(field: string, value: number, min: number, max: number, problems: Problem[]): void {
  if (value < min) problems.push({ field, detail: `${value} bytes, at least ${min} are possible` });
  if (value > max) problems.push({ field, detail: `${value} bytes, ${max} came` });
}
