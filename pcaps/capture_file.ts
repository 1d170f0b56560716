/**
 * Captures as bytes: pcap in its four kinds (draft-ietf-opsawg-pcap) and pcapng (draft-ietf-opsawg-pcapng),
 * each in both byte orders. For the samples of this folder and for tests, where plain code matters more than speed.
 */

export type ByteOrder = "little" | "big";

/** LINKTYPE_ values, https://www.tcpdump.org/linktypes.html */
export const LINK = { ethernet: 1, raw: 101, sll: 113, sll2: 276, user0: 147 } as const;

export interface CapturedFrame {
  readonly time_ns: bigint; // since the epoch
  readonly bytes: Uint8Array; // what was kept of it
  readonly length?: number; // bytes that it had; default: all of them were kept
  readonly comment?: string; // pcapng
  readonly interface?: number; // pcapng: its number, from 0
}

export interface PcapOptions {
  readonly unit?: "us" | "ns";
  readonly order?: ByteOrder;
  readonly linkType?: number;
  readonly snapLength?: number;
}

export interface PcapngInterface {
  readonly name: string;
  readonly unitPower?: number; // if_tsresol: -9 is ns; 2^-30 is written as { binary: 30 }
  readonly binary?: number;
  readonly linkType?: number;
  readonly snapLength?: number;
}

const SNAP_LENGTH = 262_144;
const NS_PER_S = 1_000_000_000n;

/** The last unit is cut off: with µs, 1999 ns are 1 µs. */
export function pcapFile(frames: readonly CapturedFrame[], options: PcapOptions = {}): Buffer {
  const { unit = "ns", order = "little", linkType = LINK.ethernet, snapLength = SNAP_LENGTH } = options;
  const header = new Words(24, order);
  header.u32(unit === "ns" ? 0xa1b23c4d : 0xa1b2c3d4).u16(2, 4);
  header.u32(0, 0, snapLength, linkType);
  return Buffer.concat([header.bytes, ...frames.flatMap((frame) => pcapRecord(frame, unit, order))]);
}

export function pcapRecord(frame: CapturedFrame, unit: "us" | "ns", order: ByteOrder): Buffer[] {
  const { time_ns, bytes, length = bytes.length } = frame;
  const record = new Words(16, order);
  const fraction = Number(time_ns % NS_PER_S);
  record.u32(Number(time_ns / NS_PER_S), unit === "ns" ? fraction : Math.floor(fraction / 1000));
  record.u32(bytes.length, length);
  return [record.bytes, Buffer.from(bytes)];
}

export function pcapngFile(
  frames: readonly CapturedFrame[],
  interfaces: readonly PcapngInterface[],
  order: ByteOrder = "little",
): Buffer {
  const section = new Words(16, order).u32(0x1a2b3c4d).u16(1, 0).u32(0xffffffff, 0xffffffff);
  return Buffer.concat([
    block(0x0a0d0d0a, order, [section.bytes]),
    ...interfaces.map((entry) => interfaceBlock(entry, order)),
    ...frames.map((frame) => packetBlock(frame, interfaces[frame.interface ?? 0]!, order)),
  ]);
}

function interfaceBlock(entry: PcapngInterface, order: ByteOrder): Buffer {
  const { name, unitPower = -9, binary, linkType = LINK.ethernet, snapLength = SNAP_LENGTH } = entry;
  const fixed = new Words(8, order).u16(linkType, 0).u32(snapLength);
  const resolution = binary === undefined ? -unitPower : 0x80 | binary;
  return block(1, order, [
    fixed.bytes,
    option(2, Buffer.from(name), order), // if_name
    option(9, Buffer.from([resolution]), order), // if_tsresol
    option(0, Buffer.alloc(0), order),
  ]);
}

/** An enhanced packet block: its time is in units of its interface. */
function packetBlock(frame: CapturedFrame, { unitPower = -9, binary }: PcapngInterface, order: ByteOrder) {
  const { time_ns, bytes, length = bytes.length, comment } = frame;
  const perSecond = binary === undefined ? 10n ** BigInt(-unitPower) : 2n ** BigInt(binary);
  const time = (time_ns * perSecond) / NS_PER_S;
  const fixed = new Words(20, order).u32(
    frame.interface ?? 0,
    Number(time >> 32n),
    Number(time & 0xffffffffn),
  );
  fixed.u32(bytes.length, length);
  const parts = [fixed.bytes, padded(bytes)];
  if (comment !== undefined) {
    parts.push(option(1, Buffer.from(comment), order), option(0, Buffer.alloc(0), order));
  }
  return block(6, order, parts);
}

function block(type: number, order: ByteOrder, parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  const length = body.length + 12;
  const [before, after] = [new Words(8, order).u32(type, length), new Words(4, order).u32(length)];
  return Buffer.concat([before.bytes, body, after.bytes]);
}

function option(code: number, value: Buffer, order: ByteOrder): Buffer {
  return Buffer.concat([new Words(4, order).u16(code, value.length).bytes, padded(value)]);
}

function padded(bytes: Uint8Array): Buffer {
  return Buffer.concat([bytes, Buffer.alloc((4 - (bytes.length % 4)) % 4)]);
}

/** Numbers one after the other, in a byte order. */
class Words {
  readonly bytes: Buffer;
  private at = 0;

  constructor(
    size: number,
    private readonly order: ByteOrder,
  ) {
    this.bytes = Buffer.alloc(size);
  }

  u16(...values: number[]): this {
    for (const value of values) {
      this.at =
        this.order === "big"
          ? this.bytes.writeUInt16BE(value, this.at)
          : this.bytes.writeUInt16LE(value, this.at);
    }
    return this;
  }

  u32(...values: number[]): this {
    for (const value of values) {
      this.at =
        this.order === "big"
          ? this.bytes.writeUInt32BE(value, this.at)
          : this.bytes.writeUInt32LE(value, this.at);
    }
    return this;
  }
}
