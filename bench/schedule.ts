/** The same ticks at the same times for carom, for a bare loop and for a tool that replays a capture. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { feedOf } from "../generator/feed.js";
import type { Lab } from "../lab/lab.js";
import { sampleFeed } from "../native/index.js";
import { tickFrame } from "./ticks.js";

export const MEAN_GAP_NS = 20_000;
export const WARMUP_NS = 200_000_000; // carom's default; the others send it, too, and it counts for none
export const FIRST_TIMESTAMP = 1_700_000_000_000_000_000n; // of those who do not take the time of day

const SAMPLES = 1_000_000;
const UDP_CHECKSUM = 14 + 20 + 6; // where it lies; 0: none (RFC 768), as the timestamp changes
const TIMESTAMP = 58;
const PCAP_NS = 0xa1b23c4d; // a capture with times in ns: draft-ietf-opsawg-pcap
const LINKTYPE_ETHERNET = 1;
export const PCAP_HEADER = 24;
const RECORD_HEADER = 16;

/** Poisson arrivals: as a profile's file for carom, and as what carom makes of it. */
export class PoissonSchedule {
  private readonly folder = mkdtempSync(join(tmpdir(), "carom-bench-"));
  readonly profile = join(this.folder, "poisson.yaml");
  /** Planned times from the start, in ns, warm-up included. */
  readonly planned_ns: Float64Array;

  constructor(seconds: number) {
    writeFileSync(this.profile, `arrival:\n  poisson: { rate: ${1e9 / MEAN_GAP_NS} }\n`);
    const { schedule, ticks } = feedOf(
      { profile: this.profile, linkSpeed: 10e9, threshold: 10_000 } as Parameters<typeof feedOf>[0],
      "239.1.1.1",
      undefined,
    );
    const next = sampleFeed(schedule, ticks);
    const end_ns = WARMUP_NS + seconds * 1e9;
    const parts: Float64Array[] = [];
    for (let last_ns = 0; last_ns < end_ns; ) {
      const part = next(SAMPLES).planned_ns;
      last_ns = part.at(-1)!;
      parts.push(part.filter((time) => time < end_ns));
    }
    this.planned_ns = Float64Array.from(parts.flatMap((part) => [...part]));
  }

  /** How many ticks are not of the warm-up. */
  get measured(): number {
    return this.planned_ns.length - this.planned_ns.findIndex((time) => time >= WARMUP_NS);
  }

  /** For bench/spin_send.cpp: a frame, and all planned times. */
  binary(lab: Lab): Uint8Array {
    const times = BigUint64Array.from(this.planned_ns, BigInt);
    return Buffer.concat([frameOf(lab), Buffer.from(times.buffer)]);
  }

  /** A capture of the ticks up to a time. Returns its path. */
  capture(lab: Lab, until_ns: number): string {
    const frame = frameOf(lab);
    const count = this.planned_ns.filter((time) => time < until_ns).length;
    const bytes = Buffer.alloc(PCAP_HEADER + count * (RECORD_HEADER + frame.length));
    bytes.writeUInt32LE(PCAP_NS, 0);
    bytes.writeUInt16LE(2, 4);
    bytes.writeUInt16LE(4, 6);
    bytes.writeUInt32LE(65_535, 16);
    bytes.writeUInt32LE(LINKTYPE_ETHERNET, 20);
    let at = PCAP_HEADER;
    for (const time of this.planned_ns.subarray(0, count)) {
      const header = [1 + Math.floor(time / 1e9), time % 1e9, frame.length, frame.length];
      for (const [index, value] of header.entries()) bytes.writeUInt32LE(value, at + 4 * index);
      frame.copy(bytes, at + RECORD_HEADER);
      bytes.writeBigUInt64LE(FIRST_TIMESTAMP + BigInt(time), at + RECORD_HEADER + TIMESTAMP);
      at += RECORD_HEADER + frame.length;
    }
    const path = join(this.folder, "poisson.pcap");
    writeFileSync(path, bytes);
    return path;
  }

  remove(): void {
    rmSync(this.folder, { recursive: true, force: true });
  }
}

function frameOf(lab: Lab): Buffer {
  const frame = tickFrame(lab, { symbol: "AAPL", price: 9900, quantity: 100, timestamp: 0n });
  frame.writeUInt16BE(0, UDP_CHECKSUM);
  return frame;
}
