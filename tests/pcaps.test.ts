/** The samples in pcaps/: made again they are the same, and other programs find in them what they should. */

import { execFile } from "node:child_process";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import pcapParser, { type ParsedPacket } from "pcap-parser";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { feedAb, profileTicks, START_NS } from "../pcaps/frames.js";
import { FAULTS } from "../pcaps/malformed.js";
import { fewFrames, samples } from "../pcaps/samples.js";
import { decodeFrame } from "../wire/decode.js";
import { programTest } from "./lab_support.js";

const FOLDER = fileURLToPath(new URL("../../pcaps", import.meta.url));
const path = (name: string) => join(FOLDER, name);
const made = await samples();

test("made again, every sample has the same bytes", () => {
  const there = readdirSync(FOLDER).filter((name) => /\.pcap(ng)?(\.|$)/.test(name));
  assert.equal(there.sort(), [...made.keys()].sort());
  for (const [name, bytes] of made) assert.ok(readFileSync(path(name)).equals(bytes), name);
  const total = [...made.values()].reduce((sum, { length }) => sum + length, 0);
  assert.ok(total <= 300_000, `${total} bytes`);
});

test("README.md names every sample", () => {
  const text = readFileSync(path("README.md"), "utf8");
  for (const name of made.keys()) assert.ok(text.includes(`\`${name}\``), name);
});

for (const name of ["format-us-little.pcap", "format-us-big.pcap", "steady.pcap"]) {
  test(`pcap-parser reads ${name}`, async () => {
    const packets: ParsedPacket[] = [];
    const parser = pcapParser.parse(path(name));
    parser.on("packet", (packet: ParsedPacket) => packets.push(packet));
    await once(parser, "end");
    const isSteady = name === "steady.pcap";
    const frames = isSteady ? profileTicks("steady", 1n, 200) : fewFrames();
    assert.is(packets.length, frames.length);
    for (const [index, { header, data }] of packets.entries()) {
      const time_us = BigInt(header.timestampSeconds) * 1_000_000n + BigInt(header.timestampMicroseconds);
      assert.is(time_us, frames[index]!.time_ns / 1000n, `time of frame ${index}`);
      assert.is(header.originalLength, data.length);
      if (!isSteady) assert.ok(data.equals(fewFrames()[index]!.bytes), `frame ${index}`);
    }
  });
}

test("the two lines of feed-ab.pcapng lose what they are said to lose", () => {
  const ticks = profileTicks("steady", 3n, 200);
  const { frames, lost } = feedAb(ticks, 3);
  for (const index of [120, 121, 122, 123]) assert.ok(lost.a.includes(index));
  assert.ok(lost.b.length > 8 && lost.b.some((index) => lost.a.includes(index)), "some are lost on both");
  assert.is(frames.length, 400 - lost.a.length - lost.b.length);
});

test("what is wrong with a malformed frame is found by carom's own decoder", () => {
  const names = Object.keys(FAULTS);
  const problems = new Map(names.map((name, index) => [name, decodeFrame(malformedBytes(index)).problems]));
  const fields = (name: string) => problems.get(name)!.map(({ field }) => field);
  assert.equal(fields("a good frame"), []);
  assert.equal(fields("IP checksum wrong"), ["ip.checksum"]);
  assert.equal(fields("UDP checksum wrong"), ["udp.checksum"]);
  assert.equal(fields("no UDP checksum over IPv6"), ["udp.checksum"]);
  assert.equal(fields("half an Ethernet header"), ["ethernet"]);
  assert.equal(fields("IP length beyond the frame"), ["ip.total_length"]);
  assert.equal(fields("a good frame at the end"), []);
});

/** Walks the blocks of the pcapng file itself: its packets come in the order of FAULTS. */
function malformedBytes(index: number): Buffer {
  const file = readFileSync(path("malformed.pcapng"));
  let found = -1;
  for (let at = 0; at < file.length; at += file.readUInt32LE(at + 4)) {
    if (file.readUInt32LE(at) !== 6 || ++found !== index) continue;
    return file.subarray(at + 28, at + 28 + file.readUInt32LE(at + 20));
  }
  throw new Error(`there is no packet ${index}`);
}

interface Shown {
  readonly rows: readonly string[][];
  readonly stderr: string;
}

function tshark(name: string, ...fields: string[]): Promise<Shown> {
  const options = ["-n", "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-T", "fields"];
  const args = ["-r", path(name), ...options, ...fields.flatMap((field) => ["-e", field])];
  return new Promise((resolve) => {
    // For a file that breaks off it has another status than 0, and what it read is there all the same.
    execFile("tshark", args, { encoding: "utf8" }, (_, stdout, stderr) => {
      const lines = stdout.split("\n").slice(0, -1);
      resolve({ rows: lines.map((line) => line.split("\t")), stderr });
    });
  });
}

const tsharkTest = (name: string, action: () => Promise<void>) => programTest("tshark", name, action);

tsharkTest("tshark reads every format, with the same times and frames", async () => {
  const frames = fewFrames();
  const wanted = frames.map(({ time_ns, bytes }) => [
    String(time_ns),
    Buffer.from(bytes).subarray(42).toString("hex"),
  ]);
  // Those in µs were read by pcap-parser; of what the compressed ones hold, one each.
  const names = ["ns-big.pcap", "little.pcapng", "big.pcapng", "sll.pcap", "sll2.pcap", "raw.pcap"];
  const read = async (name: string) => {
    const { rows } = await tshark(name, "frame.time_epoch", "udp.payload");
    const found = rows.map(([time, payload]) => [time!.replace(".", "").padEnd(19, "0"), payload]);
    assert.equal(found, wanted, name);
  };
  await Promise.all([
    ...names.map((name) => read(`format-${name}`)),
    read("format.pcapng.zst"),
    read("format.pcap.gz"),
  ]);
});

tsharkTest(
  "tshark finds the checksums of malformed.pcapng right and wrong where they are meant to be",
  async () => {
    const { rows } = await tshark(
      "malformed.pcapng",
      "frame.comment",
      "ip.checksum.status",
      "udp.checksum.status",
    );
    assert.equal(
      rows.map(([comment]) => comment),
      Object.keys(FAULTS),
    );
    const bad = (column: number) => rows.filter((row) => row[column] === "0").map(([comment]) => comment);
    assert.equal(bad(1), ["IP checksum wrong", "IP checksum zero"]);
    // It says of the missing one over IPv6 that it is illegal (3), and of no other.
    assert.equal(bad(2), ["UDP checksum wrong"]);
  },
);

tsharkTest("tshark finds breaks, gaps, lengths and tags", async () => {
  const broken = { "broken-in-header.pcap": 3, "broken-in-record.pcap": 3, "broken.pcapng": 7 };
  const cut = Object.entries(broken).map(async ([name, count]) => {
    const { rows, stderr } = await tshark(name, "frame.number");
    assert.is(rows.length, count, name);
    assert.match(stderr, /cut short/, name);
  });
  const names = ["year.pcap", "clock-back.pcap", "snapped.pcap", "jumbo.pcap", "zero-length.pcap"] as const;
  const read = names.map((name) => tshark(name, "frame.time_delta", "frame.len", "frame.cap_len"));
  const [year, back, snapped, jumbo, zero] = (await Promise.all(read)).map(({ rows }) => rows);
  assert.is(Number(year![4]![0]), 365 * 24 * 3600 + 0.125);
  assert.is(Number(back![4]![0]), -0.175);
  assert.equal(snapped![0]!.slice(1), ["66", "60"]);
  const lengths = (rows: readonly string[][]) => rows.map(([, length]) => length);
  assert.equal(lengths(jumbo!), ["1514", "1518", "9014"]);
  assert.equal(lengths(zero!), ["66", "0", "66"]);
  const { rows } = await tshark("ipv6-vlan.pcap", "vlan.id", "frame.time_epoch");
  assert.equal(
    rows.slice(0, 6).map(([vlan]) => vlan),
    ["", "", "100", "200", "0", "100"],
  );
  assert.is(rows[0]![1], `${START_NS / 1_000_000_000n}.000000000`);
  await Promise.all(cut);
});

test.run();
