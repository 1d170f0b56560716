/** carom inspect --compare: captures that were changed in known ways, and what is said of them. */

import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { test } from "uvu";
import * as assert from "uvu/assert";
import { type CompareReport, compareLines, compareReport } from "../inspect/compare.js";
import { compareCaptures, type IgnoredFields } from "../native/index.js";
import { type CapturedFrame, pcapFile, pcapngFile } from "../pcaps/capture_file.js";
import { profileTicks, tickCapture } from "../pcaps/frames.js";
import { carom, jsonOf } from "./cli_support.js";

const SENT = tickCapture(profileTicks("opening", 5n, 3000));
const SAMPLE = fileURLToPath(new URL("../../pcaps/format-ns-big.pcap", import.meta.url));
const NOTHING: IgnoredFields = {
  mac: false,
  vlan: false,
  ttl: false,
  dscp: false,
  checksum: false,
  ip: false,
  port: false,
  timestamp: false,
  padding: false,
};

async function withFiles<T>(
  sent: readonly CapturedFrame[],
  received: readonly CapturedFrame[],
  action: (pathA: string, pathB: string) => Promise<T>,
): Promise<T> {
  const folder = mkdtempSync(join(tmpdir(), "carom-compare-"));
  try {
    const [pathA, pathB] = [join(folder, "a.pcap"), join(folder, "b.pcapng")];
    writeFileSync(pathA, pcapFile(sent));
    writeFileSync(pathB, pcapngFile(received, [{ name: "b" }], "big"));
    return await action(pathA, pathB);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function compared(received: readonly CapturedFrame[], ignored: readonly (keyof IgnoredFields)[] = []) {
  return withFiles(SENT, received, async (pathA, pathB): Promise<CompareReport> => {
    const ignore = { ...NOTHING, ...Object.fromEntries(ignored.map((name) => [name, true])) };
    const config = { pathA, pathB, filter: "", ignore, tickPort: 8080, orderPort: 9999 };
    return compareReport([pathA, pathB], await compareCaptures(config), ignored, []);
  });
}

test("the same frames a second later: nothing is wrong, and nothing drifts", async () => {
  const later = SENT.map((frame) => ({ ...frame, time_ns: frame.time_ns + 1_000_000_000n }));
  const { matched, missing, added, reordered, timing, faults } = await compared(later);
  assert.equal([matched, missing, added, reordered, faults], [3000, 0, 0, 0, []]);
  assert.equal([timing.gap_error.count, timing.gap_error.max_ns], [2999, 0]);
  assert.equal([timing.offset_ns, timing.drift_ns], [1e9, 0]);
  assert.is(timing.rate_a_pps, timing.rate_b_pps);
});

test("a clock that steps in the middle, and gaps that are longer than a histogram's range", async () => {
  const later = (by_ns: (index: number) => bigint) =>
    SENT.map((frame, index) => ({ ...frame, time_ns: frame.time_ns + by_ns(index) }));
  const step = await compared(later((index) => (index < 1500 ? 0n : 7_000_000n)));
  assert.equal([step.timing.offset_ns, step.timing.drift_ns], [0, 7e6]);
  const says = (report: CompareReport) => compareLines(report).join("\n");
  assert.match(says(step), /offset +none at first\n +drift +7 ms/);
  assert.match(says(await compared(SENT)), /offset +none: both clocks are the same/);
  const slow = await compared(later((index) => BigInt(index) * 100_000_000_000n));
  assert.equal([slow.timing.gap_error.min_ns, slow.timing.gap_error.max_ns], [1e11, 1e11]);
  assert.match(says(slow), /min 100 s {3}p50 over 60 s {3}p90 over 60 s .* max 100 s/);
  assert.match(says(slow), /rate .*, B 0\.01 frames a second/);
});

test("jitter and drift are told apart", async () => {
  // Each frame 100 ns later than the one before it, and every other one 2 µs on top.
  const drifting = SENT.map((frame, index) => ({
    ...frame,
    time_ns: frame.time_ns + BigInt(100 * index + 2000 * (index % 2)),
  }));
  const { timing } = await compared(drifting);
  // To the next one 2.1 µs longer, then 1.9 µs shorter.
  assert.equal([timing.longer, timing.shorter], [1500, 1499]);
  assert.equal([timing.gap_error.min_ns, timing.gap_error.max_ns], [1900, 2100]);
  assert.is(timing.drift_ns, 2000 * 100, "between the middles of the first and the last thousand");
  assert.ok(timing.rate_b_pps < timing.rate_a_pps);
});

test("what is missing, added, doubled and out of order, with frame numbers", async () => {
  const received = SENT.filter((_, index) => index !== 10 && index !== 20);
  [received[100], received[101]] = [received[101]!, received[100]!];
  const strange = { ...received[500]!, bytes: Buffer.from("a frame that nobody sent") };
  received.splice(501, 0, strange, received[500]!);
  const report = await compared(received);
  assert.equal([report.matched, report.missing, report.added, report.reordered], [2998, 2, 2, 1]);
  assert.equal(
    report.first_missing,
    [10, 20].map((index) => ({ frame: index + 1, time_ns: String(SENT[index]!.time_ns) })),
  );
  assert.equal(
    report.first_added.map(({ frame }) => frame),
    [502, 503],
  );
  assert.equal(report.faults, [
    "2 frames of A missing in B",
    "2 frames of B not in A",
    "1 frame out of order",
  ]);
});

test("what a hop changes can be ignored", async () => {
  const routed = SENT.map(({ time_ns, bytes }) => {
    const frame = Buffer.concat([bytes, Buffer.alloc(6)]); // padded
    frame[5]! ^= 1; // MAC
    frame[22]! -= 1; // TTL, from 1 to 0
    frame.writeUInt16BE(frame.readUInt16BE(24) + 0x100, 24); // and the checksum with it
    return { time_ns, bytes: frame };
  });
  assert.is((await compared(routed)).matched, 0);
  assert.is((await compared(routed, ["mac", "ttl"])).matched, 0);
  assert.is((await compared(routed, ["mac", "ttl", "padding"])).matched, 3000);
});

test("the command line: tolerances decide the status", () =>
  withFiles(
    SENT.slice(0, 300),
    SENT.slice(0, 300).map((frame, index) => ({
      ...frame,
      time_ns: frame.time_ns + BigInt(index % 3) * 500n,
    })),
    async (pathA, pathB) => {
      const good = await carom("inspect", "--compare", pathA, pathB, "--tolerance", "1us@max");
      assert.is(good.status, 0, good.stdout);
      for (const says of [
        "300 frames · pcap ns",
        "300 frames · pcapng",
        "1 µs at max: 1 µs ✓",
        "0 gaps are the same, 200 longer, 99 shorter",
        "the same frames in the same order, in time",
      ]) {
        assert.ok(good.stdout.includes(says), good.stdout);
      }
      const bad = await carom("inspect", "--compare", pathA, pathB, "--tolerance", "400ns@p50", "--json");
      assert.is(bad.status, 1);
      const report = jsonOf(bad);
      assert.equal([report.schema, report.version], ["carom.compare", 1]);
      assert.equal(report.faults, ["the gap error is 500 ns, over 400 ns at p50"]);
      const strange = await carom("inspect", "--compare", pathA, SAMPLE);
      assert.is(strange.status, 1);
      assert.match(strange.stdout, /300 frames of A missing in B; 8 frames of B not in A/);
      assert.match(strange.stdout, /no frame is in both: --ignore/);
      const part = await carom("inspect", "--compare", pathA, pathB, "--filter", "not udp", "--json");
      assert.equal([part.status, (jsonOf(part).a as { filtered: number }).filtered], [0, 300]);
    },
  ));

test.run();
