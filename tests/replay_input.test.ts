/** carom replay: captures that are broken, odd, or come bit by bit are sent as far as they go, or refused by name. */

import { spawn } from "node:child_process";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { openFrameSocket } from "../native/index.js";
import type { Report } from "../run/report.js";
import { decodeFrame } from "../wire/decode.js";
import { buildFrame } from "../wire/frame.js";
import { pcapOf } from "./capture_support.js";
import { carom, jsonOf, reportOf } from "./cli_support.js";
import { labTest, MAIN, sleep } from "./lab_support.js";
import {
  BEGIN_NS,
  captured,
  fieldsOf,
  hexOf,
  isOurs,
  lab,
  message,
  replay,
  SOURCE,
  write,
} from "./replay_support.js";

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

labTest("files that were taken far apart: the hint is how they begin together", async () => {
  const files = [0n, 31_536_000_000_000_000n].map((later, index) =>
    write(`apart-${index}.pcap`, pcapOf([{ ...captured(1, 1n)[0]!, time_ns: BEGIN_NS + later }])),
  );
  const { ended } = await replay(...files);
  assert.is(ended.status, 2, message(ended));
  assert.match(
    message(ended),
    /more than 60 s after the one before.*add --align: all files then begin at once/s,
  );
  assert.is((await replay(...files, "--align")).frames.length, 2);
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
  [
    "a longest gap of none",
    pcapOf(captured(1, 1n)),
    ["--rate", "1k", "--max-gap", "1s"],
    /--max-gap with --rate/,
  ],
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

test.run();
