/** The generator in the kernel with feeds that are not plain: it sends, counts and judges what every backend does. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { test } from "uvu";
import * as assert from "uvu/assert";
import type { Lab } from "../lab/lab.js";
import { openFrameSocket } from "../native/index.js";
import type { Report } from "../run/report.js";
import { decodeFrame } from "../wire/decode.js";
import { backendTest, carom, ROOMY, reportOf, startCarom } from "./cli_support.js";
import { arrivedIn, halt, withLab } from "./lab_support.js";
import { measuring } from "./measuring_support.js";

const directory = mkdtempSync(join(tmpdir(), "carom-live-feed-"));
test.after(() => rmSync(directory, { recursive: true }));

function file(name: string, ...lines: string[]): string {
  const path = join(directory, name);
  writeFileSync(path, `${lines.join("\n")}\n`);
  return path;
}

const FEED = file(
  "feed.yaml",
  "arrival:",
  "  poisson: { rate: 5k }",
  "packing: { within: 500us, most: 5 }",
  "lines:",
  "  a: { loss: 10%, duplicate: 10%, corrupt: { ratio: 10%, bytes: 8-11 } }",
  "  b: { group: 239.1.1.2, skew: 100us, loss: 20%, reorder: { ratio: 10% }, jitter: 40us }",
);
const STREAMS = file(
  "streams.yaml",
  `- { name: feed, profile: ${FEED}, group: 239.1.1.5, seed: 7, dscp: EF }`,
  "- { name: sizes, profile: rfc2544, scale: 0.02x, group: 239.1.1.6, seed: 8 }",
  "- { name: six, rate: 2k, group: 'ff02::107' }",
);
const BOTH = ["xdp_live", "af_xdp"] as const;

/** What is the same in each run: all of a frame but for when it was, which is told from the earliest time. */
interface Seen {
  readonly bytes: string;
  readonly problems: readonly string[];
  readonly after: readonly bigint[]; // ns, of each tick
}

function withoutTime(frames: readonly Buffer[]): Seen[] {
  const seen = frames.flatMap((frame) => {
    const { udp, payload, problems } = decodeFrame(frame);
    if (udp?.destinationPort !== 8080) return [];
    const bytes = Buffer.from(frame);
    const start = bytes.indexOf(payload);
    bytes.writeUInt16BE(0, start - 2); // the checksum
    const after: bigint[] = [];
    for (let at = start + 16; at < start + payload.length; at += 24) {
      after.push(bytes.readBigUInt64LE(at));
      bytes.writeBigUInt64LE(0n, at);
    }
    return [{ bytes: bytes.toString("hex"), problems: problems.map(({ field }) => field), after }];
  });
  const times_ns = seen.flatMap(({ after }) => after);
  const [first_ns = 0n] = times_ns.sort((one, other) => (one < other ? -1 : 1));
  // Which of two streams goes first hangs on how late the machine is.
  return seen
    .map((frame) => ({ ...frame, after: frame.after.map((time_ns) => time_ns - first_ns) }))
    .sort((one, other) => orderOf(one).localeCompare(orderOf(other)));
}

const orderOf = ({ after, bytes }: Seen) => `${String(after[0]).padStart(20, "0")} ${bytes}`;

async function sniff(lab: Lab, backend: string): Promise<Seen[]> {
  const far = openFrameSocket({ link: lab.responder, holdPort: 8080 });
  try {
    const args = ["--lab", lab.name, "--backend", backend, "--streams", STREAMS];
    const ended = await carom("generate", ...args, "--warmup", "0", "--duration", "100ms");
    assert.is(ended.status, 0, ended.stderr + ended.stdout);
    return withoutTime(far.receive().map(({ frame }) => Buffer.from(frame)));
  } finally {
    far.close();
  }
}

backendTest("packed, impaired, of any size, on two lines: the frames are those of af_xdp", BOTH, () =>
  withLab({}, async (lab) => {
    const [live, other] = [await sniff(lab, "xdp_live"), await sniff(lab, "af_xdp")];
    assert.ok(live.length > 600, `${live.length} frames`);
    assert.is(new Set(live.map(({ bytes }) => bytes.length)).size > 10, true, "of many sizes");
    assert.ok(live.filter(({ problems }) => problems.length > 0).length > 5, "some of them corrupted");
    for (const [index, frame] of live.entries()) assert.equal(frame, other[index], `frame ${index}`);
    assert.is(live.length, other.length);
  }),
);

/** What does not hang on how fast the machine was. */
function outcome({ ticks, verdicts, impairment, streams }: Report) {
  const { reordered: _, ...counts } = ticks;
  return {
    counts,
    verdicts,
    impairment,
    streams: streams.map(({ name, ticks: { sent, answered, quiet, withheld }, latency }) => [
      [name, sent, answered, quiet, withheld],
      latency?.actual.count,
    ]),
  };
}

backendTest("each stream and line is accounted for and judged as with af_xdp", BOTH, async () => {
  const run = async (backend: string) => {
    const args = ["--backend", backend, "--responder-backend", "xdp", "--duration", "200ms"];
    return reportOf(await carom("run", "--streams", STREAMS, ...args, ...ROOMY));
  };
  const live = await run("xdp_live");
  assert.equal(live.faults, []);
  assert.is(live.verdicts.correct, live.ticks.answered);
  const { ticks, impairment } = live;
  assert.is(ticks.sent, ticks.answered + ticks.quiet + ticks.withheld);
  assert.ok(ticks.withheld > 100 && ticks.answered_copies > 20, JSON.stringify(ticks));
  for (const count of ["lost", "duplicated", "corrupted"] as const)
    assert.ok(impairment!.lines[0]![count] > 10, count);
  assert.ok(impairment!.lines[1]!.reordered > 10);
  assert.equal([live.clock.stamped, live.clock.unstamped], [ticks.answered, 0]);
  assert.ok(live.latency!.actual.min_ns > 100);
  assert.equal(outcome(live), outcome(await run("af_xdp")));
});

backendTest(
  "--late slip: the schedule of all streams moves, and the count is kept",
  ["xdp_live"],
  async () => {
    const lines = file("slip.yaml", "- { rate: 20k, group: 239.1.1.5 }", "- { rate: 20k, group: 239.1.1.6 }");
    const args = ["--late", "slip", "--late-threshold", "0", "--warmup", "20ms", "--count", "4000"];
    const report = reportOf(
      await carom("run", "--backend", "xdp_live", "--streams", lines, ...args, ...ROOMY),
    );
    assert.equal(report.faults, []);
    assert.is(report.ticks.sent, 4000);
    assert.is(report.verdicts.correct, report.ticks.answered);
    const { slips, slipped_ns, sends, machine, link, carom: own, unexplained } = report.certificate!.late;
    assert.ok(slips > 0 && slipped_ns > 0, JSON.stringify(report.certificate!.late));
    assert.is(machine + link + own + unexplained, slips);
    assert.is(sends, 0, "nothing is late any more");
  },
);

backendTest("a pause moves a feed that is made ahead, and what was lost in it", ["xdp_live"], () =>
  withLab({}, async (lab) => {
    const args = ["--profile", FEED, "--duration", "4s", "--warmup", "0", ...ROOMY];
    const running = startCarom("run", "--lab", lab.name, "--backend", "xdp_live", ...args);
    await arrivedIn(lab.name, 300);
    const pid = await measuring(running);
    await halt(pid);
    await sleep(2000);
    process.kill(pid, "SIGCONT");
    const { faults, ticks, certificate } = reportOf(await running.end);
    assert.equal(faults, []);
    assert.ok(certificate!.pauses.count >= 1);
    assert.ok(certificate!.pauses.paused_ns > 1.9e9);
    assert.is(ticks.unsent, 0);
    assert.is(ticks.sent, certificate!.planned, "as many as without");
  }),
);

backendTest("one program sends from one thread", ["xdp_live"], async () => {
  const path = file("threads.yaml", "- { rate: 1k }", "- { rate: 1k, thread: 1 }");
  const { status, stderr } = await carom("run", "--backend", "xdp_live", "--streams", path);
  assert.is(status, 2, stderr);
  assert.match(stderr, /several threads with xdp_live: one program sends all streams, from one core/);
});

test.run();
