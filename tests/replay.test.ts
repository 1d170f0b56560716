/** carom replay: what arrives at the far end is what was captured, when it was captured, changed as it was asked for. */

import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { command } from "../cli/replay.js";
import { resolveValues } from "../config/file.js";
import type { Lab } from "../lab/lab.js";
import { CaromError } from "../native/error.js";
import { openFrameSocket } from "../native/index.js";
import { replayProgress } from "../run/replay_report.js";
import type { Report } from "../run/report.js";
import { decodeTick, encodeTick } from "../wire/codec.js";
import { decodeFrame } from "../wire/decode.js";
import { buildFrame, type FrameFields } from "../wire/frame.js";
import { type Captured, pcapngOf, pcapOf } from "./capture_support.js";
import { assertAllRight, carom, type Ended, jsonOf, reportOf } from "./cli_support.js";
import { labForTests, labTest, MAIN, PREFIX, sleep } from "./lab_support.js";

const BEGIN_NS = 1_700_000_000_123_456_789n;
const SOURCE = "02:aa:00:00:00:01"; // tells these frames from what the kernel sends by itself
const TICK_PORT = 8080;

const folder = mkdtempSync(join(tmpdir(), "carom-replay-"));
// It stays, as one of another process would, when a run in it is over. Without one every test here is skipped.
const lab = labForTests({ name: `${PREFIX}-replay`, stay: true }) as Lab;

test.after(() => {
  rmSync(folder, { recursive: true });
});

function fieldsOf(number: number, over: Partial<FrameFields> = {}): FrameFields {
  return {
    ethernet: { source: SOURCE, destination: "02:bb:00:00:00:02" },
    ip: { source: "10.1.2.3", destination: "10.9.8.7", identification: number },
    udp: { sourcePort: 5000, destinationPort: 6000 },
    payload: Buffer.from(`frame ${String(number).padStart(6, "0")}`),
    ...over,
  };
}

const tickFields = (timestamp: bigint, price = 9000): FrameFields => ({
  ethernet: { source: SOURCE, destination: "01:00:5e:01:01:01" },
  ip: { source: "10.1.2.3", destination: "239.1.1.1", identification: 1 },
  udp: { sourcePort: 5000, destinationPort: TICK_PORT },
  payload: encodeTick({ symbol: "AAPL", price, quantity: 100, timestamp }),
});

/** Frames so far apart, in ns. */
function captured(count: number, gap_ns: bigint, first = 0): Captured[] {
  return Array.from({ length: count }, (_, index) => ({
    time_ns: BEGIN_NS + gap_ns * BigInt(index),
    frame: buildFrame(fieldsOf(first + index)),
  }));
}

function write(name: string, content: Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

interface Replayed {
  readonly ended: Ended;
  readonly report: Report;
  readonly frames: Buffer[]; // as they arrived
  readonly times_ns: bigint[];
}

/** Replays in the lab, in this process, and takes what arrives. */
async function replay(...args: string[]): Promise<Replayed> {
  const far = openFrameSocket({ link: lab.responder, holdPort: 0 });
  try {
    const ended = await replayHere(args);
    const arrived = far.receive().filter(({ frame }) => isOurs(frame));
    return {
      ended,
      report: ended.stdout === "" ? ({} as Report) : reportOf(ended),
      frames: arrived.map(({ frame }) => frame),
      times_ns: arrived.map(({ time_ns }) => time_ns),
    };
  } finally {
    far.close();
  }
}

/** As the command line does it: files, and flags with their values. */
async function replayHere(args: readonly string[]): Promise<Ended> {
  const texts = new Map([["lab", { text: lab.name, place: "--lab" }]]);
  const files: string[] = [];
  for (let at = 0; at < args.length; at++) {
    const flag = /^--(no-)?(.*)$/.exec(args[at]!);
    const name = (flag?.[2] ?? "").replace(/-./g, (part) => part[1]!.toUpperCase());
    if (flag === null) files.push(args[at]!);
    else if (command.options[name]!.value !== "")
      texts.set(name, { text: args[++at]!, place: args[at - 1]! });
    else texts.set(name, { text: String(flag[1] === undefined), place: args[at]! });
  }
  let stdout = "";
  const context = {
    args: files,
    json: true,
    say: () => {},
    result: (value: unknown) => {
      stdout = JSON.stringify(value);
    },
  };
  try {
    const status = await command.run(resolveValues(command.options, texts), context);
    return { status, signal: null, stdout, stderr: "" };
  } catch (error) {
    if (!(error instanceof CaromError)) throw error;
    return { status: error.exitStatus, signal: null, stdout, stderr: error.message };
  }
}

const isOurs = (frame: Buffer) => frame.subarray(6, 8).toString("hex") === "02aa";
const hexOf = (frames: readonly Uint8Array[]) => frames.map((frame) => Buffer.from(frame).toString("hex"));
const message = ({ stdout, stderr }: Ended) => `${stdout}${stderr}`;

labTest("several formats, merged by time, arrive byte by byte", async () => {
  const all = captured(120, 50_000n);
  const part = (index: number) => all.filter((_, number) => number % 4 === index);
  const files = [
    write("a.pcap", pcapOf(part(0))),
    write("b.pcap", pcapOf(part(1), { bigEndian: true })),
    write("c.pcapng.gz", gzipSync(pcapngOf(part(2), [9, 6, 9]))),
    write("d.pcap", pcapOf(part(3), { micro: true })),
  ];
  const { ended, report, frames } = await replay(...files);
  assert.is(ended.status, 0, message(ended));
  assert.equal(hexOf(frames), hexOf(all.map(({ frame }) => frame)));
  const { replay: found, certificate } = report;
  assert.equal(
    found!.files.map(({ format, compression, frames: read, broken }) => [format, compression, read, broken]),
    [
      ["pcap ns", "none", 30, ""],
      ["pcap ns", "none", 30, ""],
      ["pcapng", "gzip", 30, ""],
      ["pcap µs", "none", 30, ""],
    ],
  );
  assert.is(found!.frames, 120);
  assert.is(report.ticks.sent, 120);
  assert.is(found!.bytes, 120 * all[0]!.frame.length);
  // The last one is by a clock of microseconds.
  assert.is(found!.span_ns, Number((all[119]!.time_ns / 1000n) * 1000n - all[0]!.time_ns));
  assert.is(certificate!.receiver!.ticks, 120, "each frame is known again at the far end");
  assert.is(certificate!.requested_pps, 119 / (found!.span_ns / 1e9));
});

for (const [args, span_ns] of [
  [[], 29_000_000],
  [["--speed", "2"], 14_500_000],
  [["--speed", "0.5"], 58_000_000],
  [["--gap", "1us"], 15_000],
  [["--rate", "3M"], 5000],
  [["--loop", "3"], 29_000_000 * 3 + 2 * 1_933_333],
  [["--loop", "2", "--loop-gap", "5ms"], 29_000_000 * 2 + 5_000_000],
  [["--preserve-bursts", "--speed", "2", "--burst-gap", "2ms"], 15_000_000],
  [["--max-gap", "1ms"], 15_000_000],
] as const) {
  labTest(`timing: ${args.join(" ") || "as captured"}`, async () => {
    // Pairs 1 ms apart, 3 ms between pairs.
    const records = captured(16, 0n).map((record, index) => ({
      ...record,
      time_ns: BEGIN_NS + BigInt(Math.floor(index / 2) * 4 + (index % 2)) * 1_000_000n,
    }));
    const { ended, report, frames, times_ns } = await replay(write("timing.pcap", pcapOf(records)), ...args);
    assert.is(ended.status, 0, message(ended));
    assert.is(report.replay!.span_ns, span_ns);
    const passes = report.replay!.passes;
    assert.is(frames.length, 16 * passes);
    const wanted = records.map(({ frame }) => frame);
    assert.equal(hexOf(frames), hexOf(Array.from({ length: passes }, () => wanted).flat()));
    // Never early, but for what the last frame is late less than the first one.
    const seen_ns = Number(times_ns.at(-1)! - times_ns[0]!);
    assert.ok(seen_ns > 0.5 * span_ns - 1e6, `${seen_ns} ns at the far end, ${span_ns} planned`);
  });
}

for (const backend of ["af_xdp", "xdp_live"]) {
  labTest(`${backend}: as fast as it goes`, async () => {
    const path = write("fast.pcap", pcapOf(captured(3000, 1_000_000n)));
    const { ended, report, frames } = await replay(path, "--fast", "--backend", backend);
    assert.is(ended.status, 0, message(ended));
    assert.is(report.certificate, null);
    assert.is(report.replay!.frames, 3000);
    assert.is(report.ticks.sent, 3000, "none of them before the start");
    assert.ok(report.elapsed_s < 2, "3 s were captured");
    assert.is(frames.length > 0 && isSorted(hexOf(frames.map((frame) => frame.subarray(42)))), true);
  });
}

labTest("xdp_live: every byte at its time, whatever the length", async () => {
  const records = captured(400, 20_000n).map((record, index) => ({
    ...record,
    frame: buildFrame({ ...fieldsOf(index), payload: Buffer.alloc(20 + ((index * 331) % 1400), index) }),
  }));
  const path = write("live.pcap", pcapOf(records));
  const { ended, report, frames, times_ns } = await replay(path, "--backend", "xdp_live", "--loop", "2");
  assert.is(ended.status, 0, message(ended));
  const wanted = records.map(({ frame }) => frame);
  assert.equal(hexOf(frames), hexOf([...wanted, ...wanted]));
  assert.is(report.replay!.span_ns, 399 * 20_000 * 2 + 20_000);
  assert.ok(Number(times_ns.at(-1)! - times_ns[0]!) > 0.5 * report.replay!.span_ns - 1e6);
  assert.is(report.certificate!.receiver!.ticks, 800, "each frame is known again at the far end");
});

const isSorted = (texts: readonly string[]) =>
  texts.every((text, index) => index === 0 || texts[index - 1]! <= text);

labTest("files begin together with --align", async () => {
  const late = captured(5, 1_000_000n, 100).map((record) => ({
    ...record,
    time_ns: record.time_ns + 10n ** 18n,
  }));
  const files = [write("e.pcap", pcapOf(captured(5, 1_000_000n))), write("f.pcap", pcapOf(late))];
  const { report, frames } = await replay(...files, "--align");
  assert.is(report.replay!.span_ns, 4_000_000);
  const numbers = frames.map((frame) => Number(frame.subarray(48).toString()));
  assert.equal(numbers, [0, 100, 1, 101, 2, 102, 3, 103, 4, 104]);
});

labTest("edits, as if the frames had been made so", async () => {
  const group: FrameFields = {
    ...fieldsOf(2),
    ethernet: { source: SOURCE, destination: "01:00:5e:01:01:01" },
    ip: { source: "10.1.2.3", destination: "239.1.1.1", identification: 7 },
  };
  const path = write(
    "edit.pcap",
    pcapOf(
      [fieldsOf(1), group].map((fields, index) => ({
        time_ns: BEGIN_NS + BigInt(index),
        frame: buildFrame(fields),
      })),
    ),
  );
  const { ended, frames } = await replay(
    path,
    ...["--source-mac", "02:aa:00:00:00:99", "--target-mac", lab.responder.mac, "--vlan", "77", "--ttl", "5"],
    ...["--map-ip", "10.1.0.0/16=198.18.0.0,10.9.8.7=198.18.0.2", "--map-group", "239.1.1.1=239.129.2.3"],
    ...["--map-port", "6000=7000,5000=5001"],
  );
  assert.is(ended.status, 0, message(ended));
  const over = (fields: FrameFields, to: string, mac: string) =>
    buildFrame({
      ...fields,
      vlans: [{ id: 77 }],
      ethernet: { source: "02:aa:00:00:00:99", destination: mac },
      ip: { ...fields.ip!, source: "198.18.2.3", destination: to, ttl: 5 },
      udp: { sourcePort: 5001, destinationPort: 7000 },
    });
  assert.equal(
    hexOf(frames),
    hexOf([
      over(fieldsOf(1), "198.18.0.2", lab.responder.mac),
      over(group, "239.129.2.3", "01:00:5e:01:02:03"),
    ]),
  );
});

labTest("a span and a filter choose", async () => {
  const records = captured(10, 1_000_000n).map((record, index) =>
    index % 2 === 0
      ? record
      : { ...record, frame: buildFrame(fieldsOf(index, { udp: { sourcePort: 1, destinationPort: 2 } })) },
  );
  const path = write("span.pcap", pcapOf(records));
  const { report, frames } = await replay(
    path,
    "--from",
    "2ms",
    "--to",
    "9ms",
    "--filter",
    "udp dst port 6000",
  );
  assert.equal(hexOf(frames), hexOf([2, 4, 6, 8].map((index) => records[index]!.frame)));
  const [file] = report.replay!.files;
  assert.is(file!.taken + file!.outside + file!.filtered, file!.frames);
  assert.is(file!.filtered, 3);
  const absolute = await replay(path, "--from", "@1700000000.130456789", "--speed", "1000");
  assert.is(absolute.frames.length, 3);
});

labTest("ticks keep their timestamps, and are told apart when sent again", async () => {
  const stamps = [5n, 9n, 9n, 7n, 100n].map((offset) => BEGIN_NS + offset);
  const records = stamps.map((stamp, index) => ({
    time_ns: BEGIN_NS + BigInt(index),
    frame: buildFrame(tickFields(stamp)),
  }));
  const { report, frames } = await replay(
    write("ticks.pcap", pcapOf(records)),
    "--loop",
    "3",
    "--gap",
    "1ms",
  );
  const seen = frames.map((frame) => decodeTick(decodeFrame(frame).payload).timestamp);
  const span = 96n;
  assert.equal(
    seen,
    [0n, span, 2n * span].flatMap((shift) => stamps.map((stamp) => stamp + shift)),
  );
  for (const frame of frames) assert.equal(decodeFrame(frame).problems, []);
  assert.is(report.replay!.restamped, 10);
});

for (const [how, sizes] of [
  ["cut", [60, 1514]],
  ["skip", [60]],
] as const) {
  labTest(`frames that are too large: ${how}`, async () => {
    const frames = [fieldsOf(1, { pad: 4 }), fieldsOf(2, { payload: Buffer.alloc(2000, 7) })].map(buildFrame);
    const path = write("large.pcap", pcapOf(frames.map((frame) => ({ time_ns: BEGIN_NS, frame }))));
    const found = await replay(path, "--oversize", how);
    assert.is(found.ended.status, 0, message(found.ended));
    assert.equal(
      found.frames.map(({ length }) => length),
      sizes.map((size) => (size === 60 ? frames[0]!.length : size)),
    );
    assert.is(found.report.replay!.files[0]!.oversized, 1);
  });
}

labTest("frames cut off by the snap length are filled up, or skipped", async () => {
  const whole = buildFrame(fieldsOf(1, { payload: Buffer.alloc(100, 9) }));
  const records = [{ time_ns: BEGIN_NS, frame: whole.subarray(0, 60), length: whole.length }];
  const path = write("snapped.pcap", pcapOf([...records, ...captured(1, 1n)]));
  const padded = await replay(path);
  assert.is(padded.frames[0]!.length, whole.length);
  assert.equal(decodeFrame(padded.frames[0]!).problems, [], "checksums are of what is sent");
  assert.is(padded.report.replay!.files[0]!.padded, 1);
  const skipped = await replay(path, "--truncated", "skip");
  assert.is(skipped.frames.length, 1);
  assert.is(skipped.report.replay!.files[0]!.skipped, 1);
});

labTest("times that go backwards are sent in the file's order, and counted", async () => {
  const records = [0n, 5n, 2n, 3n, 9n].map((offset, index) => ({
    ...captured(1, 0n, index)[0]!,
    time_ns: BEGIN_NS + offset * 1_000_000n,
  }));
  const { report, frames } = await replay(write("back.pcap", pcapOf(records)));
  assert.equal(hexOf(frames), hexOf(records.map(({ frame }) => frame)));
  assert.is(report.replay!.files[0]!.backwards, 2);
  assert.is(report.replay!.span_ns, 9_000_000);
});

labTest("raw IP and cooked frames get an Ethernet header", async () => {
  const frame = buildFrame(fieldsOf(1));
  const cooked = Buffer.concat([
    Buffer.from("0000000100060000aa000001", "hex").fill(0, 6, 12),
    Buffer.from("00000800", "hex"),
  ]);
  cooked.write("02aa00000005", 6, "hex");
  const files = [
    write("raw.pcap", pcapOf([{ time_ns: BEGIN_NS, frame: frame.subarray(14) }], { linkType: 101 })),
    write(
      "sll.pcap",
      pcapOf(
        [
          {
            time_ns: BEGIN_NS + 1n,
            frame: Buffer.concat([cooked.subarray(0, 14), Buffer.from("0800", "hex"), frame.subarray(14)]),
          },
        ],
        { linkType: 113 },
      ),
    ),
  ];
  const { ended, frames } = await replay(...files, "--source-mac", SOURCE);
  assert.is(ended.status, 0, message(ended));
  const to = lab.responder.mac.replaceAll(":", "");
  const header = `${to}${SOURCE.replaceAll(":", "")}0800`;
  assert.equal(hexOf(frames), [
    header + frame.subarray(14).toString("hex"),
    header + frame.subarray(14).toString("hex"),
  ]);
});

labTest("a truncated file: what is whole is sent, and where it broke is told", async () => {
  const content = pcapOf(captured(10, 1000n));
  const path = write("cut.pcap", content.subarray(0, content.length - 5));
  const ended = await carom("replay", path, "--lab", lab.name, "--json");
  const report = reportOf(ended);
  assert.is(ended.status, 1);
  assert.is(report.replay!.frames, 9);
  assert.match(report.faults.join(), /cut\.pcap is broken: frame 10, at byte \d+: truncated dump file/);
});

labTest("standard input, slower than it was captured", async () => {
  const content = pcapOf(captured(100, 1000n));
  const far = openFrameSocket({ link: lab.responder, holdPort: 0 });
  const child = spawn(process.execPath, [MAIN, "replay", "-", "--lab", lab.name, "--json"], {
    stdio: ["pipe", "pipe", "ignore"],
  });
  let stdout = "";
  child.stdout.on("data", (data: Buffer) => {
    stdout += data.toString();
  });
  const end = new Promise<number | null>((resolve) => child.on("close", resolve));
  child.stdin.write(content.subarray(0, 2000));
  let arrived = 0;
  const take = () => {
    arrived += far.receive().filter(({ frame }) => isOurs(frame)).length;
    return arrived;
  };
  while (take() < 20) await sleep(20);
  child.stdin.end(content.subarray(2000));
  assert.is(await end, 0);
  const report = jsonOf({ status: 0, signal: null, stdout, stderr: "" }) as unknown as Report;
  assert.is(report.replay!.frames, 100);
  assert.is(take(), 100);
  assert.ok(report.replay!.starved >= 1, "it was told that nothing was there");
  far.close();
});

for (const [what, content, args, expected] of [
  ["no capture", Buffer.from("certainly none"), [], /bad\.pcap.*not a capture: unknown file format/],
  ["an empty file", Buffer.alloc(0), [], /it is empty: 0 bytes/],
  [
    "a link type",
    pcapOf(captured(1, 1n), { linkType: 127 }),
    [],
    /IEEE802_11_RADIO.*can't be turned into Ethernet/,
  ],
  [
    "a year's gap",
    pcapOf(captured(3, 31_536_000_000_000_000n)),
    [],
    /frame 2 of .* more than 60 s after.*nothing was sent.*--max-gap/s,
  ],
  [
    "a large frame",
    pcapOf([{ time_ns: BEGIN_NS, frame: Buffer.alloc(3000) }]),
    [],
    /3000 bytes, and the link carries 1514.*--oversize/s,
  ],
  ["a filter", pcapOf(captured(1, 1n)), ["--filter", "udp and"], /filter "udp and"/],
  ["two timings", pcapOf(captured(1, 1n)), ["--fast", "--speed", "2"], /--speed with --fast/],
  ["bursts without a speed", pcapOf(captured(1, 1n)), ["--preserve-bursts"], /--preserve-bursts/],
  ["one frame, again", pcapOf(captured(1, 1n)), ["--loop", "2"], /no gap.*--loop-gap/s],
  ["a map", pcapOf(captured(1, 1n)), ["--map-ip", "10.0.0.1=::1"], /--map-ip/],
  [
    "a tolerance of nothing",
    pcapOf(captured(1, 1n)),
    ["--fast", "--arrivals", "on"],
    /--arrivals with --fast/,
  ],
  ["a backend", pcapOf(captured(1, 1n)), ["--backend", "udp"], /--backend udp/],
  [
    "what the kernel's sender can't",
    pcapOf(captured(1, 1n)),
    ["--backend", "xdp_live", "--late", "skip"],
    /--late skip with xdp_live/,
  ],
] as const) {
  labTest(`refused: ${what}`, async () => {
    const { ended, frames } = await replay(write("bad.pcap", content), ...args);
    assert.is(ended.status, 2, message(ended));
    assert.match(ended.stderr, expected);
    assert.is(frames.length, 0);
  });
}

test("the time left is that of all passes, and none is told where there is no end", () => {
  const half = { frames_out: 10, read_bytes: 50, capture_bytes: 100, passes: 1 };
  assert.match(replayProgress(2, half, 4), /, 3 s left$/);
  assert.not.match(replayProgress(2, half, 0), /left/);
  assert.match(replayProgress(2, { ...half, end_ns: 9e9, position_ns: 4e9 }, 4), /, 5 s left$/);
});

labTest("--expect: the captured ticks are answered and judged", async () => {
  const records = Array.from({ length: 300 }, (_, index) => ({
    time_ns: BEGIN_NS + BigInt(index) * 100_000n,
    frame: buildFrame(
      tickFields(BEGIN_NS + BigInt(Math.floor(index / 2)), index % 3 === 0 ? 11_000 : 9000 + index),
    ),
  }));
  const path = write("expect.pcap", pcapOf(records));
  const { ended, report } = await replay(path, "--expect");
  assert.is(ended.status, 0, message(ended));
  assertAllRight(report);
  assert.is(report.ticks.sent, 300);
  assert.is(report.ticks.quiet, 100);
  assert.is(report.verdicts.correct, 200);
  assert.is(report.replay!.restamped, 299, "no two ticks have one timestamp");
  const alone = await replay(path, "--expect", "--no-responder", "--timeout", "20ms");
  assert.is(alone.ended.status, 1);
  assert.is(alone.report.verdicts.missing, 200);
});

test.run();
