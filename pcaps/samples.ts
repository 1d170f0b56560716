/** Every sample of this folder: its name and its bytes. README.md says what is in each. */

import { Zstd } from "@hpcc-js/wasm-zstd";
import { gzipSync } from "fflate";
import { seeded } from "../tests/random.js";
import { type CapturedFrame, LINK, pcapFile, pcapngFile } from "./capture_file.js";
import { convert, toRaw, toSll, toSll2 } from "./cooked.js";
import {
  answeredCapture,
  feedAb,
  GROUP,
  inOrder,
  ip6AndVlan,
  jumbo,
  orderFrame,
  plainTicks,
  profileTicks,
  tickCapture,
  tickFrame,
} from "./frames.js";
import { malformed } from "./malformed.js";

export const SEED = 1n;
const EIGHTH_NS = 125_000_000n; // of a second: every resolution that is used here has it exactly
const YEAR_NS = 365n * 24n * 3600n * 1_000_000_000n;

/** Names and bytes; the same ones each time. */
export async function samples(): Promise<ReadonlyMap<string, Uint8Array>> {
  return new Map(Object.entries({ ...feeds(), ...shapes(), ...(await formats()), ...broken() }));
}

/** Market data as it comes, from carom's own profiles. */
function feeds(): Record<string, Buffer> {
  const lines = [{ name: "line-a" }, { name: "line-b" }];
  return {
    "steady.pcap": pcapFile(tickCapture(profileTicks("steady", SEED, 200)), { unit: "us" }),
    "opening.pcap": pcapFile(tickCapture(profileTicks("opening", SEED, 300))),
    "microburst.pcap": pcapFile(tickCapture(profileTicks("microburst", SEED, 500))),
    "answered.pcap": pcapFile(answeredCapture(profileTicks("steady", 2n, 100), 2)),
    "feed-ab.pcapng": pcapngFile(feedAb(profileTicks("steady", 3n, 200), 3).frames, lines),
  };
}

/** Frames of other shapes, and wrong ones. */
function shapes(): Record<string, Buffer> {
  const short = tickCapture(profileTicks("steady", SEED, 8));
  const cut = short.map(({ time_ns, bytes }) => ({
    time_ns,
    bytes: bytes.subarray(0, 60),
    length: bytes.length,
  }));
  return {
    "ipv6-vlan.pcap": pcapFile(ip6AndVlan(profileTicks("steady", 4n, 30))),
    "jumbo.pcap": pcapFile(jumbo(profileTicks("steady", 5n, 380))),
    "malformed.pcapng": pcapngFile(malformed(), [{ name: "wire" }]),
    "snapped.pcap": pcapFile(cut, { snapLength: 60 }),
  };
}

/** The same few frames in every format. */
export function fewFrames(): CapturedFrame[] {
  const ticks = plainTicks(7, EIGHTH_NS);
  const [first] = ticks;
  const order = { time_ns: first!.time_ns + EIGHTH_NS / 2n, bytes: orderFrame(first!, 4000) };
  return inOrder([...tickCapture(ticks), order]);
}

async function formats(): Promise<Record<string, Uint8Array>> {
  const frames = fewFrames();
  // Resolutions of a µs, a ns, a ms in 10^-n, and 2^-20 s: the frames take turns.
  const interfaces = [
    { name: "us", unitPower: -6 },
    { name: "ns", unitPower: -9, snapLength: 2048 },
    { name: "coarse", unitPower: -4 },
    { name: "binary", binary: 20 },
  ];
  const spread = frames.map((frame, index) => ({ ...frame, interface: index % interfaces.length }));
  const plain = pcapFile(frames);
  const blocks = pcapngFile(spread, interfaces);
  const zstd = await Zstd.load();
  // No name and no time in the gzip header: they would change with the day.
  const gzip = (bytes: Buffer) => gzipSync(bytes, { level: 9, mtime: 0 });
  return {
    "format-us-little.pcap": pcapFile(frames, { unit: "us" }),
    "format-us-big.pcap": pcapFile(frames, { unit: "us", order: "big" }),
    "format-ns-little.pcap": plain,
    "format-ns-big.pcap": pcapFile(frames, { order: "big" }),
    "format-little.pcapng": blocks,
    "format-big.pcapng": pcapngFile(spread, interfaces, "big"),
    "format.pcap.gz": gzip(plain),
    "format.pcapng.gz": gzip(blocks),
    "format.pcap.zst": zstd.compress(plain, 19),
    "format.pcapng.zst": zstd.compress(blocks, 19),
    "format-sll.pcap": pcapFile(convert(frames, toSll), { linkType: LINK.sll }),
    "format-sll2.pcap": pcapFile(convert(frames, toSll2), { linkType: LINK.sll2 }),
    "format-raw.pcap": pcapFile(convert(frames, toRaw), { linkType: LINK.raw }),
  };
}

/** Files that end too early, and times that can't be. */
function broken(): Record<string, Buffer> {
  const frames = fewFrames();
  const whole = pcapFile(frames);
  const third = 24 + 3 * 16 + frames.slice(0, 3).reduce((sum, { bytes }) => sum + bytes.length, 0);
  const moved = (by: (index: number) => bigint) =>
    pcapFile(frames.map((frame, index) => ({ ...frame, time_ns: frame.time_ns + by(index) })));
  const chance = seeded(9);
  const [tick] = plainTicks(1, 1n);
  const none = { ...frames[2]!, bytes: Buffer.alloc(0), length: 0 };
  const oversized = Buffer.from(whole);
  oversized.writeUInt32LE(0x7fff_ffff, third + 8);
  return {
    "broken-in-header.pcap": whole.subarray(0, third + 9),
    "broken-in-record.pcap": whole.subarray(0, third + 16 + 30),
    "broken-in-file-header.pcap": whole.subarray(0, 17),
    "broken.pcapng": pcapngFile(frames, [{ name: "wire" }]).subarray(0, -40),
    "broken.pcap.gz": Buffer.from(gzipSync(whole, { level: 9, mtime: 0 })).subarray(0, -60),
    "oversized-record.pcap": oversized,
    "zero-length.pcap": pcapFile([frames[0]!, none, frames[3]!]),
    "clock-back.pcap": moved((index) => (index >= 4 ? -300_000_000n : 0n)),
    "year.pcap": moved((index) => (index >= 4 ? YEAR_NS : 0n)),
    "empty.pcap": pcapFile([]),
    "empty-file.pcap": Buffer.alloc(0),
    "garbage.pcap": Buffer.from(Array.from({ length: 400 }, () => chance(256))),
    "unknown-link.pcap": pcapFile(frames, { linkType: LINK.user0 }),
    "two-links.pcapng": pcapngFile(
      [
        { time_ns: tick!.time_ns, bytes: tickFrame(tick!, GROUP) },
        { time_ns: tick!.time_ns + 1000n, bytes: toRaw(tickFrame(tick!, GROUP)), interface: 1 },
      ],
      [{ name: "ethernet" }, { name: "raw", linkType: LINK.raw }],
    ),
  };
}
