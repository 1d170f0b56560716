/**
 * Ethernet, VLAN, IPv4, IPv6 and UDP: a frame to bytes and back.
 *
 * Every header field can be given, right or wrong, so that malformed frames can be made; what is left out
 * gets the value that makes the frame right. The decoder takes any bytes, never throws, and lists what is
 * wrong with them. It serves the scripted test, where plain code matters more than speed.
 */

export const ETHERNET_SIZE = 14; // IEEE 802.3 §3.1.1, without the FCS, which the interface handles
export const VLAN_SIZE = 4; // IEEE 802.1Q §9.4
export const IP4_SIZE = 20; // RFC 791 §3.1, without options
export const IP6_SIZE = 40; // RFC 8200 §3
export const UDP_SIZE = 8; // RFC 768

export const ETHERTYPE = { ip4: 0x0800, ip6: 0x86dd, vlan: 0x8100, serviceVlan: 0x88a8 } as const;
export const PROTOCOL_UDP = 17;

const FRAGMENT_SIZE = 8; // RFC 8200 §4.5
const NEXT_FRAGMENT = 44;
const NEXT_OPTIONS = [0, 43, 60]; // RFC 8200 §4.3, §4.4, §4.6: hop-by-hop, routing, destination options
const TAGS_MAX = 4; // more than anybody stacks; bounds the decoder's walk
const EXTENSIONS_MAX = 8;

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

function onesSum(parts: readonly Uint8Array[]): number {
  let sum = 0;
  for (const part of parts) {
    for (let i = 0; i + 1 < part.length; i += 2) sum += part[i]! * 256 + part[i + 1]!;
    if (part.length % 2 === 1) sum += part[part.length - 1]! * 256;
  }
  while (sum > 0xffff) sum = (sum & 0xffff) + Math.floor(sum / 0x10000);
  return sum;
}

/** RFC 768 and RFC 8200 §8.1: over the pseudo-header, header and payload; a result of 0 is sent as 0xffff. */
function udpChecksum(addresses: Buffer, datagram: Uint8Array, length: number): number {
  const [ports, rest] = [datagram.subarray(0, 6), datagram.subarray(UDP_SIZE)];
  return checksumOf(pseudoHeader(addresses, length), ports, rest) || 0xffff;
}

/** Source and destination, then length and protocol: where the zeros between them are does not change the sum. */
function pseudoHeader(addresses: Buffer, length: number): Buffer {
  const header = Buffer.alloc(addresses.length + 8);
  addresses.copy(header);
  header.writeUInt32BE(length, addresses.length);
  header[addresses.length + 7] = PROTOCOL_UDP;
  return header;
}

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
  const addresses = ip.version === 4 ? packet.subarray(12, 20) : packet.subarray(8, 40);
  const udp = readUdp(payload, ip, addresses, problems);
  if (udp === undefined) return { ...rest, udp, payload };
  return { ...rest, udp, payload: payload.subarray(UDP_SIZE, Math.max(UDP_SIZE, udp.length)) };
}

function readTags(frame: Buffer, problems: Problem[]) {
  const vlans: Required<VlanTag>[] = [];
  let at = 12;
  let type = frame.readUInt16BE(at);
  while ((type === ETHERTYPE.vlan || type === ETHERTYPE.serviceVlan) && vlans.length < TAGS_MAX) {
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

function readUdp(
  datagram: Buffer,
  ip: DecodedIp,
  addresses: Buffer,
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

/** The Ethernet address to which an IP multicast goes (RFC 1112 §6.4, RFC 2464 §7); undefined for unicast. */
export function multicastMac(address: string): string | undefined {
  const bytes = parseIp(address);
  if (bytes.length === 4 && bytes[0]! >> 4 === 14) {
    return formatMac(Buffer.from([0x01, 0x00, 0x5e, bytes[1]! & 0x7f, bytes[2]!, bytes[3]!]), 0);
  }
  if (bytes.length === 16 && bytes[0] === 0xff)
    return formatMac(Buffer.from([0x33, 0x33, ...bytes.subarray(12)]), 0);
  return undefined;
}

export function isIp6(address: string): boolean {
  return address.includes(":");
}

/** An IPv4 or IPv6 address as 4 or 16 bytes. @throws RangeError */
export function parseIp(address: string): Buffer {
  return isIp6(address) ? parseIp6(address) : parseIp4(address);
}

/** One form for each address (RFC 5952), so that texts can be compared. @throws RangeError */
export function normalAddress(address: string): string {
  return isIp6(address) ? formatIp6(parseIp6(address), 0) : formatIp4(parseIp4(address), 0);
}

function parseIp4(address: string): Buffer {
  const parts = address.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) {
    throw new RangeError(`${JSON.stringify(address)} is not an IPv4 address`);
  }
  return Buffer.from(parts.map(Number));
}

/** RFC 4291 §2.2. */
function parseIp6(address: string): Buffer {
  const bad = new RangeError(`${JSON.stringify(address)} is not an IPv6 address`);
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(address);
  let text = address;
  if (dotted !== null) {
    const last = parseIp4(dotted[2]!);
    text = `${dotted[1]}${last.readUInt16BE(0).toString(16)}:${last.readUInt16BE(2).toString(16)}`;
  }
  const halves = text.split("::");
  const groups = halves.map((half) => (half === "" ? [] : half.split(":")));
  const count = groups.reduce((sum, half) => sum + half.length, 0);
  if (halves.length > 2 || !groups.flat().every((group) => /^[0-9a-f]{1,4}$/i.test(group))) throw bad;
  if (halves.length === 2 ? count > 7 : count !== 8) throw bad;
  const zeros = Array<string>(8 - count).fill("0");
  const bytes = Buffer.alloc(16);
  for (const [index, group] of [...groups[0]!, ...zeros, ...(groups[1] ?? [])].entries()) {
    bytes.writeUInt16BE(Number.parseInt(group, 16), index * 2);
  }
  return bytes;
}

function parseMac(address: string): Buffer {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(address)) {
    throw new RangeError(`${JSON.stringify(address)} is not a MAC address`);
  }
  return Buffer.from(address.replaceAll(":", ""), "hex");
}

function formatMac(bytes: Buffer, offset: number): string {
  const hex = bytes.toString("hex", offset, offset + 6);
  return hex.replace(/..(?!$)/g, "$&:");
}

function formatIp4(bytes: Buffer, offset: number): string {
  return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`;
}

/** RFC 5952 §4: lower case, no leading zeros, the first longest run of two or more zero groups as "::". */
function formatIp6(bytes: Buffer, offset: number): string {
  const groups = Array.from({ length: 8 }, (_, index) => bytes.readUInt16BE(offset + index * 2));
  let best = { start: -1, length: 1 };
  for (let start = 0; start < 8; start++) {
    let length = 0;
    while (start + length < 8 && groups[start + length] === 0) length++;
    if (length > best.length) best = { start, length };
  }
  const text = (part: readonly number[]) => part.map((group) => group.toString(16)).join(":");
  if (best.start < 0) return text(groups);
  return `${text(groups.slice(0, best.start))}::${text(groups.slice(best.start + best.length))}`;
}

/** "0x0800". */
export function hex16(value: number): string {
  return `0x${value.toString(16).padStart(4, "0")}`;
}
