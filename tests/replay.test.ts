/** carom replay: what arrives at the far end is what was captured, when it was captured, changed as it was asked for. */

import { readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { gzipSync } from "node:zlib";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { replayLines, replayProgress } from "../run/replay_report.js";
import type { Report } from "../run/report.js";
import { decodeTick, encodeTick } from "../wire/codec.js";
import { decodeFrame } from "../wire/decode.js";
import { buildFrame, type FrameFields } from "../wire/frame.js";
import { pcapngOf, pcapOf } from "./capture_support.js";
import { assertAllRight } from "./cli_support.js";
import { carom, ip, labTest } from "./lab_support.js";
import {
  BEGIN_NS,
  captured,
  fieldsOf,
  hexOf,
  lab,
  message,
  replay,
  SOURCE,
  write,
} from "./replay_support.js";

const CASES = join(import.meta.dirname, "../../tests/cases");
const TICK_PORT = 8080;

const tickFields = (timestamp: bigint, price = 9000): FrameFields => ({
  ethernet: { source: SOURCE, destination: "01:00:5e:01:01:01" },
  ip: { source: "10.1.2.3", destination: "239.1.1.1", identification: 1 },
  udp: { sourcePort: 5000, destinationPort: TICK_PORT },
  payload: encodeTick({ symbol: "AAPL", price, quantity: 100, timestamp }),
});

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

const ETHER_TYPES = [0x88cc, 0x88f7, 0x8847, 0x8848, 0x88a8, 0x9100, 0x88b5]; // LLDP, PTP, MPLS, QinQ, …

labTest("frames of kinds that nobody handles arrive, and are no drops", () => {
  const records = ETHER_TYPES.map((type, index) => {
    const frame = buildFrame(fieldsOf(index));
    frame.writeUInt16BE(type, 12);
    if (type === 0x88a8 || type === 0x9100) frame.writeUInt32BE(0x8100_0064, 16);
    return { time_ns: BEGIN_NS + BigInt(index) * 10_000n, frame };
  });
  // Nothing else listens at the far end: it would take them.
  const ended = carom("replay", write("kinds.pcap", pcapOf(records)), "--lab", lab.name, "--json");
  assert.is(ended.status, 0, message({ ...ended, signal: null }));
  const { balances, interfaces, notes, certificate } = JSON.parse(ended.stdout) as Report;
  for (const { holds, equation } of balances) assert.ok(holds, equation);
  assert.is(certificate!.receiver!.ticks, records.length);
  const { rx_dropped, rx_driver_dropped } = interfaces.responder!;
  assert.ok(rx_dropped >= records.length, `the kernel counts ${rx_dropped} of them among those dropped`);
  assert.is(rx_driver_dropped, 0);
  assert.match(notes.join(), /dut0 received \d+ frames that the kernel did not take any further/);
});

labTest("a frame that the kernel refuses is told and counted; all others go, in their order", async () => {
  const sent = captured(6, 100_000n);
  // A service tag on a full frame: within the link for the plan, and not for AF_PACKET.
  const large = readFileSync(join(CASES, "R08-1518ad.pcap"))
    .subarray(-1518 - 16 - 72)
    .subarray(0, 1518);
  const path = write("refused.pcap", pcapOf(sent.with(2, { ...sent[2]!, frame: large })));
  const { ended, report, frames } = await replay(path, "--backend", "af_packet");
  assert.is(ended.status, 1, message(ended));
  assert.equal(hexOf(frames), hexOf(sent.toSpliced(2, 1).map(({ frame }) => frame)));
  assert.equal([report.ticks.sent, report.ticks.not_left, report.links.generator.refused], [5, 1, 1]);
  assert.equal(report.faults, [
    "the kernel refused 1 frame at gen0 for good",
    "1 frame handed over at gen0 did not leave",
  ]);
});

labTest(
  "an interface without an address sends a replay: its frames have addresses of their own",
  async () => {
    const { namespace, interfaceName } = lab.generator;
    ip(namespace, "address", "flush", "dev", interfaceName);
    try {
      const sent = captured(3, 100_000n);
      const path = write("no-address.pcap", pcapOf(sent));
      const there = ["--namespace", basename(namespace), "--interface", interfaceName];
      const { status, stdout, stderr } = carom("replay", path, ...there, "--json");
      assert.is(status, 0, `${stdout}${stderr}`);
      assert.is((JSON.parse(stdout) as Report).interfaces.generator?.tx_packets, 3);
    } finally {
      ip(namespace, "address", "add", "198.18.0.1/24", "dev", interfaceName);
    }
  },
);

labTest("a replay that ends early tells what it sent, and not what it had planned", async () => {
  const path = write("early.pcap", pcapOf(captured(20, 1_000_000n)));
  const { ended, report } = await replay(path, "--loop", "100", "--gap", "1ms", "--duration", "50ms");
  assert.is(ended.status, 0, message(ended));
  const { frames, passes, sent_passes, sent_span_ns, complete } = report.replay!;
  assert.is(complete, false);
  assert.ok(frames <= 50 && frames > 0, `${frames} frames in 50 ms`);
  assert.is(passes, 100, "all of it was read ahead");
  assert.is(sent_passes, Math.floor(frames / 20));
  assert.is(sent_span_ns, (frames - 1) * 1e6);
  const [line] = replayLines(report.replay);
  const times = sent_passes > 1 ? `, ${sent_passes} times` : "";
  const text = new RegExp(
    `${frames} frames, [\\d,]+ bytes${times}, planned over .*; it ended before all was sent`,
  );
  assert.match(line!, text);
  assert.ok(report.certificate!.requested_pps <= 1001, "as planned for what was sent");
});
/** Never early, but for what the first frame was late, and what the kernel takes to stamp it. */
function assertNotEarly(times_ns: readonly bigint[], { replay: found, lateness }: Report): void {
  const seen_ns = Number(times_ns.at(-1)! - times_ns[0]!);
  const least_ns = found!.span_ns - lateness.max_ns - 20e6;
  assert.ok(seen_ns > least_ns, `${seen_ns} ns at the far end, ${found!.span_ns} planned`);
}

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
    assertNotEarly(times_ns, report);
  });
}

for (const backend of ["af_xdp", "xdp_live"]) {
  labTest(`${backend}: as fast as it goes`, async () => {
    const path = write("fast.pcap", pcapOf(captured(3000, 100_000_000n)));
    const { ended, report, frames } = await replay(path, "--fast", "--backend", backend);
    assert.is(ended.status, 0, message(ended));
    assert.is(report.certificate, null);
    assert.is(report.replay!.frames, 3000);
    assert.is(report.ticks.sent, 3000, "none of them before the start");
    assert.ok(report.elapsed_s < 100, "300 s were captured");
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
  assertNotEarly(times_ns, report);
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
    "udp dst port 6000 and not symbol AAPL",
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
  const { ended, report } = await replay(path, "--expect", "--timeout", "20s", "--ring-size", "16384");
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
