/** pcapng as the tests read it: block by block, by the draft, without carom's own code. */

import * as assert from "uvu/assert";

const SECTION = 0x0a0d0d0a;
const INTERFACE = 1;
const STATISTICS = 5;
const PACKET = 6;
const COMMENT = 1;

export interface Packet {
  readonly time_ns: bigint;
  readonly frame: Buffer;
  readonly length: number;
  readonly direction: "in" | "out" | "unknown";
  readonly dropped: bigint; // before it
  readonly comments: readonly string[];
}

export interface CaptureFile {
  readonly section: ReadonlyMap<number, readonly Buffer[]>;
  readonly interface: ReadonlyMap<number, readonly Buffer[]>;
  readonly snapLength: number;
  readonly packets: readonly Packet[];
  readonly statistics: ReadonlyMap<number, readonly Buffer[]> | undefined; // undefined: it was not ended
}

/** Reads a whole file; everything in it must be whole. */
export function readPcapng(file: Buffer): CaptureFile {
  const packets: Packet[] = [];
  let [section, description, statistics] = [
    optionsOf(Buffer.alloc(0)),
    optionsOf(Buffer.alloc(0)),
    undefined,
  ] as [CaptureFile["section"], CaptureFile["interface"], CaptureFile["statistics"]];
  let snapLength = -1;
  for (let at = 0; at < file.length; ) {
    const [type, length] = [file.readUInt32LE(at), file.readUInt32LE(at + 4)];
    assert.ok(length >= 12 && length % 4 === 0 && at + length <= file.length, `a whole block at ${at}`);
    assert.is(file.readUInt32LE(at + length - 4), length);
    assert.is(type === SECTION, at === 0, "one section, at the beginning");
    const body = file.subarray(at + 8, at + length - 4);
    if (type === SECTION) section = optionsOf(body.subarray(16));
    else if (type === INTERFACE) {
      description = optionsOf(body.subarray(8));
      snapLength = body.readUInt32LE(4);
      assert.is(body.readUInt16LE(0), 1, "Ethernet");
      assert.equal(description.get(9)?.[0], Buffer.from([9]), "times in ns");
    } else if (type === PACKET) packets.push(packetOf(body));
    else {
      assert.is(type, STATISTICS);
      assert.is(at + length, file.length, "the statistics are last");
      statistics = optionsOf(body.subarray(12));
    }
    at += length;
  }
  return { section, interface: description, snapLength, packets, statistics };
}

function packetOf(body: Buffer): Packet {
  const captured = body.readUInt32LE(12);
  const options = optionsOf(body.subarray(20 + Math.ceil(captured / 4) * 4));
  const flags = options.get(2)?.[0]?.readUInt32LE(0) ?? 0;
  return {
    time_ns: (BigInt(body.readUInt32LE(4)) << 32n) | BigInt(body.readUInt32LE(8)),
    frame: body.subarray(20, 20 + captured),
    length: body.readUInt32LE(16),
    direction: (["unknown", "in", "out"] as const)[flags & 3] ?? "unknown",
    dropped: numberOf(options, 4) ?? 0n,
    comments: (options.get(COMMENT) ?? []).map(String),
  };
}

function optionsOf(bytes: Buffer): Map<number, Buffer[]> {
  const options = new Map<number, Buffer[]>();
  for (let at = 0; at < bytes.length; ) {
    const [code, size] = [bytes.readUInt16LE(at), bytes.readUInt16LE(at + 2)];
    if (code === 0) {
      assert.is(at + 4, bytes.length, "nothing behind the options");
      break;
    }
    options.set(code, [...(options.get(code) ?? []), bytes.subarray(at + 4, at + 4 + size)]);
    at += 4 + Math.ceil(size / 4) * 4;
  }
  return options;
}

/** A number of 64 bits among the options. */
export function numberOf(
  options: ReadonlyMap<number, readonly Buffer[]> | undefined,
  code: number,
): bigint | undefined {
  return options?.get(code)?.[0]?.readBigUInt64LE(0);
}

/** A text among the options; "" for none. */
export function textOf(options: ReadonlyMap<number, readonly Buffer[]> | undefined, code: number): string {
  return String(options?.get(code)?.[0] ?? "");
}
