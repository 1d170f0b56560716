/** Ethernet and IP addresses: text to bytes and back. */

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

export function parseIp4(address: string): Buffer {
  const parts = address.split(".");
  if (parts.length !== 4 || !parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256)) {
    throw new RangeError(`${JSON.stringify(address)} is not an IPv4 address`);
  }
  return Buffer.from(parts.map(Number));
}

/** RFC 4291 §2.2. */
export function parseIp6(address: string): Buffer {
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

export function parseMac(address: string): Buffer {
  if (!/^([0-9a-f]{2}:){5}[0-9a-f]{2}$/i.test(address)) {
    throw new RangeError(`${JSON.stringify(address)} is not a MAC address`);
  }
  return Buffer.from(address.replaceAll(":", ""), "hex");
}

export function formatMac(bytes: Buffer, offset: number): string {
  const hex = bytes.toString("hex", offset, offset + 6);
  return hex.replace(/..(?!$)/g, "$&:");
}

export function formatIp4(bytes: Buffer, offset: number): string {
  return `${bytes[offset]}.${bytes[offset + 1]}.${bytes[offset + 2]}.${bytes[offset + 3]}`;
}

/** RFC 5952 §4: lower case, no leading zeros, the first longest run of two or more zero groups as "::". */
export function formatIp6(bytes: Buffer, offset: number): string {
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
