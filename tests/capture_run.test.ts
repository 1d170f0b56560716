/** carom run --capture: what was sent and what came back, each tick and order with what the ledger says of it. */

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { decodeFrame } from "../wire/decode.js";
import { assertAllRight, backendTest, carom, ROOMY, reportOf, startCarom } from "./cli_support.js";
import { labForTests, labTest, PREFIX, programTest } from "./lab_support.js";
import { type Packet, readPcapng, textOf } from "./pcapng_support.js";

const NAME = `${PREFIX}-capture-run`;
const COMMENT = 1; // an option of the format

labForTests({ name: NAME });
const folder = mkdtempSync(join(tmpdir(), "carom-capture-run-"));
test.after(() => rmSync(folder, { recursive: true }));

const isTick = ({ direction }: Packet) => direction === "out";
const count = (packets: readonly Packet[], pattern: RegExp) =>
  packets.filter(({ comments }) => comments.some((comment) => pattern.test(comment))).length;

for (const backend of ["af_xdp", "af_packet", "udp"]) {
  backendTest(
    `${backend}: each tick says whether an answer is due, each order its verdict`,
    [backend],
    async () => {
      const path = join(folder, `${backend}.pcapng`);
      const args = ["--lab", NAME, "--backend", backend, "--count", "300", "--warmup", "1ms"];
      const report = reportOf(await carom("run", ...args, "--capture", path, ...ROOMY));
      assertAllRight(report);
      const { packets, statistics, interface: described } = readPcapng(readFileSync(path));
      const counters = report.counters.generator;
      assert.is(packets.filter(isTick).length, counters.frames_out);
      assert.is(packets.filter((packet) => !isTick(packet)).length, counters.frames_in);
      assert.equal(report.capture, {
        file: path,
        frames: packets.length,
        bytes: statSync(path).size,
        dropped: 0,
      });
      assert.is(count(packets, /^carom: tick \d+, answer due$/), report.ticks.answered);
      assert.is(count(packets, /^carom: tick \d+, no answer due$/), report.ticks.quiet);
      assert.is(count(packets, /^carom: correct, .* after tick \d+$/), report.verdicts.correct);
      assert.is(count(packets, /^carom: tick \d+, .*answer due \(warm-up\)$/), report.warmup.sent);
      assert.is(count(packets, /^carom: correct, .* \(warm-up\)$/), report.warmup.answered);
      assert.match(textOf(described, COMMENT), "timestamps by the TSC");
      const { correct, wrong, missing } = report.verdicts;
      const counts = `${report.ticks.sent} ticks sent, correct ${correct}, wrong ${wrong}, missing ${missing}`;
      assert.match(textOf(statistics, COMMENT), counts);
      assertTimes(packets);
    },
  );
}

/** The time between a tick and its order is what the order's comment says; and it answers that tick. */
function assertTimes(packets: readonly Packet[]): void {
  const ticks = new Map<string, Packet>();
  let compared = 0;
  for (const packet of packets) {
    const [comment = ""] = packet.comments;
    const number = /tick (\d+)/.exec(comment)![1]!;
    const { payload } = decodeFrame(packet.frame);
    if (isTick(packet)) {
      ticks.set(number, packet);
      continue;
    }
    const tick = ticks.get(number)!;
    const timestamp = decodeFrame(tick.frame).payload!.readBigUInt64LE(16);
    assert.is(payload!.subarray(25).toString(), timestamp.toString(16).padStart(16, "0"), "its clOrdId");
    const [, value, unit] = /, ([\d.]+) (ns|us|ms|s) after/.exec(comment)!;
    const said_ns = Number(value) * { ns: 1, us: 1e3, ms: 1e6, s: 1e9 }[unit as "ns"]!;
    const between_ns = Number(packet.time_ns - tick.time_ns);
    assert.ok(Math.abs(between_ns - said_ns) <= 0.006 * between_ns + 1, `${between_ns} ns, ${comment}`);
    compared++;
  }
  assert.ok(compared > 0, "orders came");
}

let wrongComments: string[] = [];

backendTest("wrong orders say what is wrong", ["af_packet"], async () => {
  const path = join(folder, "wrong.pcapng");
  const responder = startCarom(
    ...["respond", "--lab", NAME, "--backend", "af_packet", "--name", NAME.slice(0, 24)],
    ...["--quantity", "7", "--price-offset", "3"],
  );
  try {
    await responder.said("answering");
    const args = [
      "--lab",
      NAME,
      "--no-responder",
      "--backend",
      "af_packet",
      "--count",
      "50",
      "--capture",
      path,
    ];
    const ended = await carom("run", ...args, "--warmup", "0", ...ROOMY);
    assert.is(ended.status, 1, ended.stderr);
    const report = reportOf(ended);
    assert.ok(report.verdicts.wrong > 0, JSON.stringify(report.verdicts));
    const { packets } = readPcapng(readFileSync(path));
    const wrong = packets.filter(({ comments }) =>
      comments.some((comment) => comment.startsWith("carom: wrong")),
    );
    assert.is(wrong.length, report.verdicts.wrong);
    for (const { comments, frame } of wrong) {
      const price = decodeFrame(frame).payload!.readUInt32LE(8);
      const [, is, must] = /: price (\d+) instead of (\d+), quantity 7 instead of 100$/.exec(comments[0]!)!;
      assert.is(Number(is), price);
      assert.is(Number(must), price - 3 + 1, "by default a cent above the tick's");
    }
    wrongComments = wrong.map(({ comments }) => comments[0]!);
  } finally {
    responder.child.kill("SIGINT");
    await responder.end;
  }
});

programTest(
  "tshark",
  "another program shows what is wrong",
  () => {
    const fields = ["-Y", "frame.comment contains wrong", "-T", "fields", "-e", "frame.comment"];
    const shown = spawnSync("tshark", ["-r", join(folder, "wrong.pcapng"), ...fields]);
    assert.equal(shown.stdout.toString().trim().split("\n"), wrongComments);
  },
  labTest,
);

labTest("a generator alone is captured, too; what can't be is refused by name", async () => {
  const path = join(folder, "generate.pcapng");
  const sent = ["generate", "--lab", NAME, "--backend", "af_packet", "--rate", "20k", "--count", "100"];
  const [ended, live, standard] = await Promise.all([
    carom(...sent, "--warmup", "0", "--tolerance", "59s@max", "--capture", path, "--json"),
    carom("run", "--backend", "xdp_live", "--capture", path),
    carom("run", "--capture", "-"),
  ]);
  const there = ["--lab", NAME, "--count", "10", "--backend", "udp"]; // one at a time: they take one port
  const missing = await carom("run", ...there, "--capture", join(folder, "no", "folder"));
  assert.is(reportOf(ended).capture?.frames, 100, ended.stderr);
  const { packets } = readPcapng(readFileSync(path));
  assert.is(packets.length, 100);
  assert.equal([...new Set(packets.map(({ direction, comments }) => `${direction} ${comments}`))], ["out "]);
  assert.is(live.status, 2);
  assert.match(live.stderr, "made in the driver");
  assert.is(standard.status, 2);
  assert.is(missing.status, 3);
  assert.match(missing.stderr, "ENOENT");
  const full = await carom(...sent, "--tolerance", "59s@max", "--capture", "/dev/full");
  assert.is(full.status, 3);
  assert.match(full.stderr, "ENOSPC");
  assert.not.match(full.stderr, "--snap-length", "no option of another command");
  assert.match(
    full.stdout,
    /0 frames in \/dev\/full; [\d,]+ are missing: the writer was behind, or could not write/,
  );
});

test.run();
