/** Captures for the tests, written byte by byte after the formats' specifications. */

export interface Captured {
  readonly time_ns: bigint; // since the epoch
  readonly frame: Uint8Array;
  readonly length?: number; // on the wire, where the snap length cut it off
}

export interface PcapOptions {
  readonly micro?: boolean; // the resolution is 1 µs, and not 1 ns
  readonly bigEndian?: boolean;
  readonly linkType?: number;
}

const SECOND_NS = 1_000_000_000n;

/** draft-ietf-opsawg-pcap */
export function pcapOf(records: readonly Captured[], options: PcapOptions = {}): Buffer {
  const { micro = false, bigEndian = false, linkType = 1 } = options;
  const words = (...values: number[]) => wordsOf(bigEndian, values);
  const version = Buffer.alloc(4);
  if (bigEndian) version.set([0, 2, 0, 4]);
  else version.set([2, 0, 4, 0]);
  const magic = micro ? 0xa1b2c3d4 : 0xa1b23c4d;
  const parts = [words(magic), version, words(0, 0, 262_144, linkType)];
  for (const { time_ns, frame, length = frame.length } of records) {
    const fraction = Number(time_ns % SECOND_NS);
    const units = micro ? Math.floor(fraction / 1000) : fraction;
    parts.push(words(Number(time_ns / SECOND_NS), units, frame.length, length), Buffer.from(frame));
  }
  return Buffer.concat(parts);
}

/** draft-ietf-opsawg-pcapng: each record in turn by another interface, whose snap lengths differ. */
export function pcapngOf(records: readonly Captured[], resolutions: readonly number[] = [9]): Buffer {
  const words = (...values: number[]) => wordsOf(false, values);
  const block = (type: number, ...body: Buffer[]) => {
    const whole = Buffer.concat(body);
    const padding = Buffer.alloc((4 - (whole.length % 4)) % 4);
    const size = whole.length + padding.length + 12;
    return Buffer.concat([words(type, size), whole, padding, words(size)]);
  };
  const parts = [block(0x0a0d0d0a, words(0x1a2b3c4d), Buffer.from([1, 0, 0, 0]), Buffer.alloc(8, 0xff))];
  for (const [index, digits] of resolutions.entries()) {
    const option = Buffer.from([9, 0, 1, 0, digits, 0, 0, 0]);
    parts.push(block(1, Buffer.from([1, 0, 0, 0]), words(65_535 + index), option, words(0)));
  }
  for (const [index, { time_ns, frame, length = frame.length }] of records.entries()) {
    const by = index % resolutions.length;
    const units = time_ns / 10n ** BigInt(9 - resolutions[by]!);
    const head = words(by, Number(units >> 32n), Number(units & 0xffff_ffffn), frame.length, length);
    parts.push(block(6, head, Buffer.from(frame)));
  }
  return Buffer.concat(parts);
}

function wordsOf(bigEndian: boolean, values: readonly number[]): Buffer {
  const bytes = Buffer.alloc(4 * values.length);
  for (const [index, value] of values.entries()) {
    if (bigEndian) bytes.writeUInt32BE(value, 4 * index);
    else bytes.writeUInt32LE(value, 4 * index);
  }
  return bytes;
}
